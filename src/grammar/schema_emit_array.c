/* grammar/schema_emit_array.c - arrays to expressions.
 *
 *   [ p0 , p1 , rest , rest ]      each comma belongs to the item after it; items beyond the least number may be left
 *                                  out, with all that follow
 *
 * "Contains" is a choice of which item is the one that is asked for: one of the first few by place, or one of the rest,
 * with others before and after it. */
#include "grammar/schema_priv.h"

#define MAX_WITNESS_PLACES 64u   /* items told by place: contains beside minItems and maxItems */
#define MAX_PREFIX         4096u /* items told one by one, after that was added */

static krs_expr none(krs_schema *s)
{
    return krs_expr_none(s->b);
}

static krs_expr seq2(krs_schema *s, krs_expr a, krs_expr c)
{
    const krs_expr parts[] = {a, c};
    return krs_expr_seq(s->b, parts, 2);
}

static krs_expr alt2(krs_schema *s, krs_expr a, krs_expr c)
{
    const krs_expr parts[] = {a, c};
    return krs_expr_alt(s->b, parts, 2);
}

static krs_expr with_comma(krs_schema *s, krs_expr item)
{
    return seq2(s, krs_schema_sign(s, ",", true, true), item);
}

static krs_expr any_number(krs_schema *s, krs_expr e)
{
    return krs_expr_repeat(s->b, e, 0, KRS_REGEX_INF);
}

static uint32_t less(uint32_t a, uint32_t n)
{
    return a == KRS_REGEX_INF ? a : a > n ? a - n : 0;
}

/* The items after the prefix. is_witnessed: one of them at least is `has`. is_first: none came before. */
static krs_expr rest_of(krs_schema *s, const krs_array_shape *a, bool is_witnessed)
{
    const bool is_first = a->n_prefix == 0;
    const krs_expr item = krs_schema_conj_expr(s, a->rest);
    const krs_expr more = any_number(s, with_comma(s, item));
    if (is_witnessed) {
        const krs_expr has = krs_schema_conj_expr(s, krs_conj_and(s, a->rest, a->has));
        const krs_expr later = seq2(s, more, seq2(s, with_comma(s, has), more));
        return is_first ? alt2(s, seq2(s, has, more), seq2(s, item, later)) : later;
    }
    const uint32_t min = less(a->min, a->n_prefix);
    const uint32_t max = less(a->max, a->n_prefix);
    if (!is_first) {
        return krs_expr_repeat(s->b, with_comma(s, item), min, max);
    }
    if (max == 0) {
        return krs_expr_empty(s->b);
    }
    const krs_expr some =
        seq2(s, item, krs_expr_repeat(s->b, with_comma(s, item), less(min, 1), less(max, 1)));
    return min == 0 ? krs_expr_repeat(s->b, some, 0, 1) : some;
}

static krs_expr in_brackets(krs_schema *s, krs_expr items)
{
    const krs_expr parts[] = {krs_schema_sign(s, "[", false, true), items,
                              krs_schema_sign(s, "]", true, false)};
    return krs_expr_seq(s->b, parts, 3);
}

/* A shape that asks for no `has`, or for one among the rest. */
static krs_expr emit_plain(krs_schema *s, const krs_array_shape *a, bool is_witnessed)
{
    if (a->min > a->max) {
        return none(s);
    }
    krs_expr tail = rest_of(s, a, is_witnessed);
    for (uint32_t i = a->n_prefix; i > 0; i--) {
        const uint32_t before = i - 1;
        const krs_expr item = krs_schema_conj_expr(s, a->prefix[before]);
        const krs_expr here = seq2(s, before > 0 ? with_comma(s, item) : item, tail);
        if (before >= a->max) {
            tail = krs_expr_empty(s->b);
        } else {
            tail = before >= a->min && !is_witnessed ? krs_expr_repeat(s->b, here, 0, 1) : here;
        }
    }
    return in_brackets(s, tail);
}

/* a with n items told by place, of which item `at` (if below n) is `has`. false after a failure. */
static bool spread(krs_schema *s, const krs_array_shape *a, uint32_t n, uint32_t at,
                   krs_array_shape *out)
{
    *out = *a;
    if (n > MAX_PREFIX) {
        krs_schema_refuse(s, a->at, "contains", "beside so many items is not supported");
        return false;
    }
    krs_conj *prefix = krs_schema_take(s, n, sizeof(*prefix));
    if (!prefix) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        prefix[i] = i < a->n_prefix ? a->prefix[i] : a->rest;
        prefix[i] = i == at ? krs_conj_and(s, prefix[i], a->has) : prefix[i];
    }
    out->prefix = prefix;
    out->n_prefix = n;
    return true;
}

static uint32_t larger(uint32_t a, uint32_t c)
{
    return a > c ? a : c;
}

/* Items from this one on need not be told apart by place: any of them may be the one that is asked for. */
static uint32_t end_of_places(const krs_array_shape *a)
{
    return a->max != KRS_REGEX_INF ? a->max
                                   : larger(less(a->min, 1), larger(a->n_prefix, a->has_from));
}

/* At least one is `has`. */
static krs_expr emit_one_has(krs_schema *s, const krs_array_shape *a)
{
    const uint32_t end = end_of_places(a);
    if (end > a->has_from && end - a->has_from > MAX_WITNESS_PLACES) {
        krs_schema_refuse(s, a->at, "contains", "beside so many items is not supported");
        return none(s);
    }
    krs_expr any = none(s);
    krs_array_shape one;
    for (uint32_t i = a->has_from; i < end; i++) {
        if (!spread(s, a, larger(i + 1, a->n_prefix), i, &one)) {
            return none(s);
        }
        one.min = larger(a->min, i + 1);
        any = alt2(s, any, emit_plain(s, &one, false));
    }
    if (a->max == KRS_REGEX_INF && spread(s, a, end, KRS_REGEX_INF, &one)) {
        any = alt2(s, any, emit_plain(s, &one, true));
    }
    return any;
}

/* min_has to max_has of them, where nothing else is asked of their number. */
static krs_expr emit_counted_has(krs_schema *s, const krs_array_shape *a)
{
    bool is_known;
    const krs_conj not_has = krs_conj_not(s, a->has, &is_known);
    if (!is_known || a->n_prefix > 0 || a->has_from > 0 || a->min > a->min_has ||
        a->max != KRS_REGEX_INF) {
        krs_schema_refuse(s, a->at, "contains",
                          "counted is not supported beside prefixItems, minItems or maxItems");
        return none(s);
    }
    const krs_conj other =
        a->max_has == KRS_REGEX_INF ? a->rest : krs_conj_and(s, a->rest, not_has);
    const krs_expr o = krs_schema_conj_expr(s, other);
    const krs_expr h = krs_schema_conj_expr(s, krs_conj_and(s, a->rest, a->has));
    const krs_expr os = any_number(s, with_comma(s, o));
    const krs_expr one = seq2(s, with_comma(s, h), os);
    const krs_expr first_other =
        seq2(s, seq2(s, o, os), krs_expr_repeat(s->b, one, a->min_has, a->max_has));
    const krs_expr first_has = seq2(
        s, seq2(s, h, os), krs_expr_repeat(s->b, one, less(a->min_has, 1), less(a->max_has, 1)));
    krs_expr items = alt2(s, first_other, first_has);
    return in_brackets(s, a->min_has == 0 ? krs_expr_repeat(s->b, items, 0, 1) : items);
}

/* None of them is `has`. */
static krs_expr emit_no_has(krs_schema *s, const krs_array_shape *a)
{
    bool is_known;
    const krs_conj not_has = krs_conj_not(s, a->has, &is_known);
    if (!is_known) {
        krs_schema_refuse(s, a->at, "contains", "under not is not supported here");
        return none(s);
    }
    krs_array_shape free;
    const uint32_t n = a->n_prefix > a->has_from ? a->n_prefix : a->has_from;
    if (!spread(s, a, n, KRS_REGEX_INF, &free)) {
        return none(s);
    }
    krs_conj *prefix = krs_schema_take(s, n, sizeof(*prefix));
    for (uint32_t i = 0; prefix && i < n; i++) {
        prefix[i] = i < a->has_from ? free.prefix[i] : krs_conj_and(s, free.prefix[i], not_has);
    }
    free.prefix = prefix;
    free.rest = krs_conj_and(s, a->rest, not_has);
    return prefix ? emit_plain(s, &free, false) : none(s);
}

krs_expr krs_schema_emit_array(krs_schema *s, const krs_array_shape *a)
{
    if (a->is_unique && a->max > 1) {
        krs_schema_refuse(s, a->at, "uniqueItems", "is not supported for more than one item");
        return none(s);
    }
    if (a->min_has > a->max_has) {
        return none(s);
    }
    if (a->max_has == 0) {
        return emit_no_has(s, a);
    }
    if (a->min_has == 0 && a->max_has == KRS_REGEX_INF) {
        return emit_plain(s, a, false);
    }
    return a->min_has == 1 && a->max_has == KRS_REGEX_INF ? emit_one_has(s, a)
                                                          : emit_counted_has(s, a);
}
