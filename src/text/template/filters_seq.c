/* text/template/filters_seq.c - filters over sequences as a whole: ends, order, length, joining.
 *
 * Comparing filters (sort, unique, min, max, dictsort) ignore case unless told otherwise, as Jinja's
 * do: a string's key is its lower case.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 filters. */
#include "text/template/run.h"
#include "text/template/unicode.h"

static krs_status filter_length(krs_tcall *call, krs_tval *out)
{
    size_t n = 0;
    krs_status status = krs_top_length(call->run, &call->self, &n);
    *out = krs_tval_int((int64_t)n);
    return status;
}

static krs_status no_item(krs_tcall *call, const char *hint, krs_tval *out)
{
    return krs_trun_undefined(call->run, KRS_TUNDEF_HINT, 0, krs_str_of(hint), out);
}

static krs_status filter_first(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tgen *gen = call->self.kind == KRS_T_GEN ? call->self.u.gen : NULL;
    const size_t at = gen ? gen->at : 0;
    krs_status status = krs_top_items(call->run, &call->self, &items, &n);
    if (status != KRS_OK) {
        return status;
    }
    if (n == 0) {
        return no_item(call, "No first item, sequence was empty.", out);
    }
    if (gen) { /* only one item is consumed */
        gen->at = at + 1;
    }
    *out = items[0];
    return KRS_OK;
}

static krs_status filter_last(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    if (call->self.kind == KRS_T_GEN) {
        return krs_trun_fail(call->run, KRS_EINVAL, "'generator' object is not reversible");
    }
    krs_status status = krs_top_items(call->run, &call->self, &items, &n);
    if (status != KRS_OK) {
        return status;
    }
    if (n == 0) {
        return no_item(call, "No last item, sequence was empty.", out);
    }
    *out = items[n - 1];
    return KRS_OK;
}

static krs_status filter_list(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(call->run, &call->self, &items, &n);
    return status == KRS_OK ? krs_trun_seq(call->run, KRS_T_LIST, items, n, out) : status;
}

static krs_status filter_reverse(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tval *turned = NULL;
    krs_status status = krs_top_items(call->run, &call->self, &items, &n);
    if (status == KRS_OK) {
        status = krs_trun_array(call->run, n, &turned);
    }
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        turned[i] = items[n - 1 - i];
    }
    if (status != KRS_OK || call->self.kind != KRS_T_STR) {
        return status == KRS_OK ? krs_trun_gen(call->run, turned, n, out) : status;
    }
    *out = krs_tval_str((krs_str){"", 0});
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = krs_trun_join(call->run, out->u.s, turned[i].u.s, &out->u.s);
    }
    return status;
}

static krs_status put_joined(krs_tcall *call, const krs_tval *item, krs_str separator,
                             bool is_first)
{
    krs_tval value = *item;
    krs_status status = krs_trun_spend(call->run, 1);
    if (status == KRS_OK && krs_tcall_has(call, 1) && call->arg[1].kind != KRS_T_NONE) {
        status = krs_top_path(call->run, item, &call->arg[1], NULL, &value);
    }
    if (status == KRS_OK && !is_first) {
        status = krs_trun_write(call->run, separator);
    }
    return status == KRS_OK ? krs_tput_str(call->run, &value) : status;
}

static krs_status filter_join(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tval separator = krs_tval_str(KRS_STR(""));
    krs_status status = krs_top_items(run, &call->self, &items, &n);
    if (status == KRS_OK && krs_tcall_has(call, 0)) {
        status = krs_tstr(run, &call->arg[0], &separator);
    }
    const size_t mark = krs_trun_mark(run);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = put_joined(call, &items[i], separator.u.s, i == 0);
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

/* ---- order ---- */

/* What an item is compared by: its attribute, if one is named, in lower case unless told otherwise. */
static krs_status sort_key(krs_trun *run, const krs_tval *item, const krs_tval *attribute,
                           bool has_case, krs_tval *out)
{
    *out = *item;
    krs_status status = KRS_OK;
    if (attribute->kind != KRS_T_ABSENT && attribute->kind != KRS_T_NONE) {
        status = krs_top_path(run, item, attribute, NULL, out);
    }
    if (status == KRS_OK && !has_case && out->kind == KRS_T_STR) {
        status = krs_tstr_case(run, out->u.s, KRS_TEXT_LOWER, out);
    }
    return status;
}

static krs_status sort_keys(krs_trun *run, const krs_tval *items, size_t n,
                            const krs_tval *attribute, bool has_case, krs_tval **out)
{
    krs_status status = krs_trun_array(run, n, out);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = sort_key(run, &items[i], attribute, has_case, &(*out)[i]);
    }
    return status;
}

/* items in the order of keys, as a list. */
static krs_status in_order(krs_trun *run, const krs_tval *items, const krs_tval *keys, size_t n,
                           bool is_reverse, krs_tval *out)
{
    const size_t *order = NULL;
    krs_tval *sorted = NULL;
    krs_status status = krs_tsort(run, keys, n, is_reverse, &order);
    if (status == KRS_OK) {
        status = krs_trun_array(run, n, &sorted);
    }
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        sorted[i] = items[order[i]];
    }
    return status == KRS_OK ? krs_trun_seq(run, KRS_T_LIST, sorted, n, out) : status;
}

/* "a,b" sorts by a, then b: the keys become tuples. */
static krs_status split_attributes(krs_trun *run, const krs_tval *attribute, krs_tlist *out)
{
    krs_status status = KRS_OK;
    if (attribute->kind != KRS_T_STR) {
        return krs_tlist_add(run, out, attribute);
    }
    krs_str rest = attribute->u.s;
    for (bool has_more = true; has_more && status == KRS_OK;) {
        const char *comma = rest.len ? memchr(rest.ptr, ',', rest.len) : NULL;
        const size_t n = comma ? (size_t)(comma - rest.ptr) : rest.len;
        const krs_tval part = krs_tval_str((krs_str){rest.ptr, n});
        status = krs_tlist_add(run, out, &part);
        has_more = comma != NULL;
        rest = comma ? (krs_str){comma + 1, rest.len - n - 1} : rest;
    }
    return status;
}

static krs_status filter_sort(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tlist attributes = {0};
    krs_status status = krs_top_items(run, &call->self, &items, &n);
    if (status == KRS_OK) {
        status = split_attributes(run, &call->arg[2], &attributes);
    }
    /* Stable sorting from the last attribute to the first is sorting by all of them. */
    for (size_t i = attributes.n; i-- > 0 && status == KRS_OK;) {
        krs_tval *keys = NULL;
        status =
            sort_keys(run, items, n, &attributes.items[i], krs_tcall_bool(call, 1, false), &keys);
        if (status == KRS_OK) {
            status = in_order(run, items, keys, n, krs_tcall_bool(call, 0, false), out);
        }
        items = status == KRS_OK ? out->u.seq->items : items;
    }
    return status;
}

static krs_status map_items(krs_trun *run, const krs_tval *v, krs_tval *out)
{
    const krs_tbuiltin *items = krs_tmethod_find(KRS_T_DICT, KRS_STR("items"));
    static const krs_tactual nothing;
    return krs_tcall_builtin(run, items, v, &nothing, out);
}

static krs_status filter_items(krs_tcall *call, krs_tval *out)
{
    krs_tval view;
    if (call->self.kind == KRS_T_UNDEF) {
        return krs_trun_gen(call->run, NULL, 0, out);
    }
    if (call->self.kind != KRS_T_DICT) {
        return krs_trun_fail(call->run, KRS_EINVAL, "Can only get item pairs from a mapping.");
    }
    krs_status status = map_items(call->run, &call->self, &view);
    return status == KRS_OK ? krs_trun_gen(call->run, view.u.seq->items, view.u.seq->n, out)
                            : status;
}

static krs_status filter_dictsort(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    krs_str by = {NULL, 0};
    krs_tval view;
    krs_tval *keys = NULL;
    krs_status status = krs_tcall_str(call, 1, KRS_STR("key"), &by);
    const bool by_key = krs_str_equal(by, KRS_STR("key"));
    if (status != KRS_OK) {
        return status;
    }
    if (!by_key && !krs_str_equal(by, KRS_STR("value"))) {
        return krs_trun_fail(run, KRS_EINVAL, "You can only sort by either \"key\" or \"value\"");
    }
    if (call->self.kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, &call->self);
    }
    if (call->self.kind != KRS_T_DICT) {
        return krs_trun_fail(run, KRS_EINVAL, "'%s' object has no attribute 'items'",
                             krs_tval_type(&call->self));
    }
    status = map_items(run, &call->self, &view);
    const krs_tval position = krs_tval_int(by_key ? 0 : 1);
    if (status == KRS_OK) {
        status = sort_keys(run, view.u.seq->items, view.u.seq->n, &position,
                           krs_tcall_bool(call, 0, false), &keys);
    }
    return status == KRS_OK ? in_order(run, view.u.seq->items, keys, view.u.seq->n,
                                       krs_tcall_bool(call, 2, false), out)
                            : status;
}

static krs_status filter_unique(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tval *keys = NULL;
    krs_tlist kept = {0};
    const krs_tval nothing = krs_tval_none();
    krs_status status = krs_top_items(run, &call->self, &items, &n);
    if (status == KRS_OK) {
        status = sort_keys(run, items, n, &call->arg[1], krs_tcall_bool(call, 0, false), &keys);
    }
    krs_tmap *seen = krs_tmap_new(&run->values, 0);
    if (status != KRS_OK || !seen) {
        return status != KRS_OK ? status : krs_trun_no_memory(run);
    }
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        const size_t n_seen = seen->n;
        status = krs_trun_set(run, seen, &keys[i], &nothing);
        if (status == KRS_OK && seen->n > n_seen) {
            status = krs_tlist_add(run, &kept, &items[i]);
        }
    }
    return status == KRS_OK ? krs_trun_gen(run, kept.items, kept.n, out) : status;
}

static krs_status extreme(krs_tcall *call, bool is_max, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tval *keys = NULL;
    size_t best = 0;
    krs_status status = krs_top_items(run, &call->self, &items, &n);
    if (status == KRS_OK && n == 0) {
        return no_item(call, "No aggregated item, sequence was empty.", out);
    }
    if (status == KRS_OK) {
        status = sort_keys(run, items, n, &call->arg[1], krs_tcall_bool(call, 0, false), &keys);
    }
    for (size_t i = 1; i < n && status == KRS_OK; i++) {
        bool is_better = false;
        status = is_max ? krs_top_less(run, &keys[best], &keys[i], &is_better)
                        : krs_top_less(run, &keys[i], &keys[best], &is_better);
        best = is_better ? i : best;
    }
    if (status == KRS_OK) {
        *out = items[best];
    }
    return status;
}

static krs_status filter_min(krs_tcall *call, krs_tval *out)
{
    return extreme(call, false, out);
}

static krs_status filter_max(krs_tcall *call, krs_tval *out)
{
    return extreme(call, true, out);
}

const krs_tbuiltin krs_tfilters_seq[] = {
    {"length", filter_length, ""},
    {"count", filter_length, ""},
    {"first", filter_first, ""},
    {"last", filter_last, ""},
    {"list", filter_list, ""},
    {"reverse", filter_reverse, ""},
    {"join", filter_join, "d?,attribute?"},
    {"sort", filter_sort, "reverse?,case_sensitive?,attribute?"},
    {"items", filter_items, ""},
    {"dictsort", filter_dictsort, "case_sensitive?,by?,reverse?"},
    {"unique", filter_unique, "case_sensitive?,attribute?"},
    {"min", filter_min, "case_sensitive?,attribute?"},
    {"max", filter_max, "case_sensitive?,attribute?"},
    {NULL, NULL, NULL},
};
