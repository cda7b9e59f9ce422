/* text/template/compare.c - equality, order, membership and truth of template values.
 *
 * Values can be nested as deep as a template cares to build them, so every recursion here holds a
 * level of the rendering's depth; comparing long text pays steps for its length.
 *
 * Thread: see run.h.  Source: Python 3 language reference, section 6.10. */
#include "text/template/run.h"

#define BYTES_A_STEP 64 /* text compared or searched for the price of one evaluation */

static krs_status equal_seqs(krs_trun *run, const krs_tseq *a, const krs_tseq *b, bool *out)
{
    krs_status status = KRS_OK;
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && status == KRS_OK && *out; i++) {
        status = krs_top_equal(run, &a->items[i], &b->items[i], out);
    }
    return status;
}

static krs_status equal_maps(krs_trun *run, const krs_tmap *a, const krs_tmap *b, bool *out)
{
    krs_status status = KRS_OK;
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && status == KRS_OK && *out; i++) {
        const krs_tval *other = krs_tmap_find(b, &a->entries[i].key);
        *out = other != NULL;
        if (other) {
            status = krs_top_equal(run, &a->entries[i].value, other, out);
        }
    }
    return status;
}

static krs_status equal_same_kind(krs_trun *run, const krs_tval *a, const krs_tval *b, bool *out)
{
    switch (a->kind) {
    case KRS_T_UNDEF:
    case KRS_T_NONE:
        *out = true;
        return KRS_OK;
    case KRS_T_STR:
        *out = krs_str_equal(a->u.s, b->u.s);
        return krs_trun_spend(run, *out ? a->u.s.len / BYTES_A_STEP : 0);
    case KRS_T_LIST:
    case KRS_T_TUPLE:
    case KRS_T_RANGE:
        return equal_seqs(run, a->u.seq, b->u.seq, out);
    case KRS_T_DICT:
        return equal_maps(run, a->u.map, b->u.map, out);
    case KRS_T_METHOD:
        *out = false;
        return KRS_OK;
    default:
        *out = a->u.map == b->u.map; /* identity: every pointer of the union lies there */
        return KRS_OK;
    }
}

krs_status krs_top_equal(krs_trun *run, const krs_tval *a, const krs_tval *b, bool *out)
{
    if (krs_tval_is_number(a) && krs_tval_is_number(b)) {
        *out = krs_tval_is_same_key(a, b);
        return KRS_OK;
    }
    if (a->kind != b->kind) {
        *out = false;
        return KRS_OK;
    }
    krs_status status = krs_trun_enter(run);
    if (status == KRS_OK) {
        status = equal_same_kind(run, a, b, out);
        krs_trun_leave(run);
    }
    return status;
}

static krs_status less_seqs(krs_trun *run, const krs_tseq *a, const krs_tseq *b, bool *out)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        bool is_same = false;
        krs_status status = krs_top_equal(run, &a->items[i], &b->items[i], &is_same);
        if (status != KRS_OK) {
            return status;
        }
        if (!is_same) {
            return krs_top_less(run, &a->items[i], &b->items[i], out);
        }
    }
    *out = a->n < b->n;
    return KRS_OK;
}

static bool less_str(krs_str a, krs_str b)
{
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order < 0 || (order == 0 && a.len < b.len);
}

static krs_status not_ordered(krs_trun *run, const char *op, const krs_tval *a, const krs_tval *b)
{
    if (a->kind == KRS_T_UNDEF || b->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, a->kind == KRS_T_UNDEF ? a : b);
    }
    return krs_trun_fail(run, KRS_EINVAL, "'%s' not supported between instances of '%s' and '%s'",
                         op, krs_tval_type(a), krs_tval_type(b));
}

static bool is_ordered(const krs_tval *a, const krs_tval *b)
{
    if (krs_tval_is_number(a) && krs_tval_is_number(b)) {
        return true;
    }
    return a->kind == b->kind &&
           (a->kind == KRS_T_STR || a->kind == KRS_T_LIST || a->kind == KRS_T_TUPLE);
}

static krs_status less_ordered(krs_trun *run, const krs_tval *a, const krs_tval *b, bool *out)
{
    if (a->kind == KRS_T_STR) {
        *out = less_str(a->u.s, b->u.s);
        return KRS_OK;
    }
    if (krs_tval_is_seq(a)) {
        krs_status status = krs_trun_enter(run);
        if (status == KRS_OK) {
            status = less_seqs(run, a->u.seq, b->u.seq, out);
            krs_trun_leave(run);
        }
        return status;
    }
    if (a->kind == KRS_T_FLOAT || b->kind == KRS_T_FLOAT) {
        *out = krs_tval_number(a) < krs_tval_number(b);
    } else {
        *out = krs_tval_integer(a) < krs_tval_integer(b);
    }
    return KRS_OK;
}

krs_status krs_top_less(krs_trun *run, const krs_tval *a, const krs_tval *b, bool *out)
{
    return is_ordered(a, b) ? less_ordered(run, a, b, out) : not_ordered(run, "<", a, b);
}

/* a <= b as "a < b or a == b", which is right for NaN too. */
static krs_status order(krs_trun *run, uint8_t op, const krs_tval *a, const krs_tval *b, bool *out)
{
    const bool is_swapped = op == '>' || op == KRS_TOP_GE;
    const bool has_equal = op == KRS_TOP_LE || op == KRS_TOP_GE;
    if (!is_ordered(a, b)) {
        static const char *const texts[2][2] = {{"<", "<="}, {">", ">="}};
        return not_ordered(run, texts[is_swapped][has_equal], a, b);
    }
    krs_status status = is_swapped ? less_ordered(run, b, a, out) : less_ordered(run, a, b, out);
    if (status == KRS_OK && has_equal && !*out) {
        status = krs_top_equal(run, a, b, out);
    }
    return status;
}

krs_status krs_top_compare(krs_trun *run, uint8_t op, const krs_tval *a, const krs_tval *b,
                           bool *out)
{
    krs_status status = KRS_OK;
    switch (op) {
    case KRS_TOP_EQ:
        return krs_top_equal(run, a, b, out);
    case KRS_TOP_NE:
        status = krs_top_equal(run, a, b, out);
        *out = !*out;
        return status;
    case KRS_TOP_IN:
        return krs_top_contains(run, a, b, out);
    case KRS_TOP_NOT_IN:
        status = krs_top_contains(run, a, b, out);
        *out = !*out;
        return status;
    default:
        return order(run, op, a, b, out);
    }
}

static krs_status text_contains(krs_trun *run, const krs_tval *item, krs_str text, bool *out)
{
    if (item->kind != KRS_T_STR) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "'in <string>' requires string as left operand, not %s",
                             krs_tval_type(item));
    }
    *out = krs_str_find(text, item->u.s, 0) != SIZE_MAX;
    return krs_trun_spend(run, text.len / BYTES_A_STEP);
}

static krs_status items_contain(krs_trun *run, const krs_tval *item, const krs_tval *in, bool *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(run, in, &items, &n);
    *out = false;
    for (size_t i = 0; i < n && status == KRS_OK && !*out; i++) {
        status = krs_top_equal(run, item, &items[i], out);
        if (status == KRS_OK) {
            status = krs_trun_spend(run, 1);
        }
    }
    return status;
}

krs_status krs_top_contains(krs_trun *run, const krs_tval *item, const krs_tval *in, bool *out)
{
    *out = false;
    if (in->kind == KRS_T_STR) {
        return text_contains(run, item, in->u.s, out);
    }
    if (in->kind == KRS_T_DICT) {
        if (!krs_tval_is_hashable(item)) {
            return krs_trun_fail(run, KRS_EINVAL, "unhashable type: '%s'", krs_tval_type(item));
        }
        *out = krs_tmap_find(in->u.map, item) != NULL;
        return KRS_OK;
    }
    if (krs_tval_is_seq(in) || in->kind == KRS_T_GEN || in->kind == KRS_T_UNDEF) {
        return items_contain(run, item, in, out);
    }
    return krs_trun_fail(run, KRS_EINVAL, "argument of type '%s' is not iterable",
                         krs_tval_type(in));
}

bool krs_top_is_true(const krs_tval *v)
{
    switch (v->kind) {
    case KRS_T_ABSENT:
    case KRS_T_UNDEF:
    case KRS_T_NONE:
        return false;
    case KRS_T_BOOL:
        return v->u.b;
    case KRS_T_INT:
        return v->u.i != 0;
    case KRS_T_FLOAT:
        return v->u.f != 0;
    case KRS_T_STR:
        return v->u.s.len != 0;
    case KRS_T_DICT:
        return v->u.map->n != 0;
    default:
        return krs_tval_is_seq(v) ? v->u.seq->n != 0 : true;
    }
}
