/* text/template/filters_pick.c - filters that go through a sequence item by item: map, select, groupby.
 *
 * They give generators, as Jinja's do: always true, without length, gone once walked. Templates lean on
 * that (`x|selectattr(...)|list`), and a list in its place would make `if` and `length` answer what
 * transformers does not. The items are computed at once, though; only a filter with side effects could
 * tell, and there is none.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 filters. */
#include "text/template/run.h"

/* The arguments behind the first `skip`. */
static krs_tactual rest_of(const krs_tactual *actual, size_t skip)
{
    krs_tactual rest = *actual;
    rest.n = actual->n > skip ? actual->n - skip : 0;
    rest.pos = actual->n > skip ? actual->pos + skip : NULL;
    return rest;
}

static krs_status builtin_named(krs_tcall *call, size_t at, bool is_test, const krs_tbuiltin **out)
{
    const krs_tval *name = &call->actual->pos[at];
    *out = NULL;
    if (name->kind == KRS_T_STR) {
        *out = is_test ? krs_ttest_find(name->u.s) : krs_tfilter_find(name->u.s);
    }
    if (*out) {
        return KRS_OK;
    }
    const krs_str text = name->kind == KRS_T_STR ? name->u.s : KRS_STR("?");
    return krs_trun_fail(call->run, KRS_EUNSUPPORTED, "No %s named '%.*s' found.",
                         is_test ? "test" : "filter", KRS_STR_ARGS(text));
}

static const krs_tval *named(const krs_tcall *call, const char *name)
{
    for (size_t i = 0; i < call->actual->n_named; i++) {
        if (krs_str_equal(call->actual->names[i], krs_str_of(name))) {
            return &call->actual->named[i];
        }
    }
    return NULL;
}

static krs_status map_attribute(krs_tcall *call, const krs_tval *attribute, const krs_tval *items,
                                size_t n, krs_tval *mapped)
{
    const krs_tval *otherwise = named(call, "default");
    krs_status status = KRS_OK;
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = krs_top_path(call->run, &items[i], attribute, otherwise, &mapped[i]);
    }
    return status;
}

static krs_status map_filter(krs_tcall *call, const krs_tval *items, size_t n, krs_tval *mapped)
{
    const krs_tbuiltin *fn = NULL;
    if (call->actual->n == 0) {
        return krs_trun_fail(call->run, KRS_EINVAL, "map requires a filter argument");
    }
    krs_status status = builtin_named(call, 0, false, &fn);
    const krs_tactual rest = rest_of(call->actual, 1);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = krs_tcall_builtin(call->run, fn, &items[i], &rest, &mapped[i]);
    }
    return status;
}

static krs_status filter_map(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tval *mapped = NULL;
    const krs_tval *attribute = call->actual->n ? NULL : named(call, "attribute");
    krs_status status = krs_top_items(call->run, &call->self, &items, &n);
    if (status == KRS_OK) {
        status = krs_trun_array(call->run, n, &mapped);
    }
    if (status == KRS_OK) {
        status = attribute ? map_attribute(call, attribute, items, n, mapped)
                           : map_filter(call, items, n, mapped);
    }
    return status == KRS_OK ? krs_trun_gen(call->run, mapped, n, out) : status;
}

/* How select and its three relatives look at an item. */
typedef struct picking {
    const krs_tval *attribute; /* or NULL: the item itself */
    const krs_tbuiltin *test;  /* or NULL: is it true? */
    krs_tactual args;
    bool is_wanted; /* keep where the test says this */
} picking;

static krs_status picks(krs_tcall *call, const picking *p, const krs_tval *item, bool *out)
{
    krs_tval value = *item;
    krs_tval verdict;
    krs_status status = krs_trun_spend(call->run, 1);
    if (status == KRS_OK && p->attribute) {
        status = krs_top_path(call->run, item, p->attribute, NULL, &value);
    }
    verdict = value;
    if (status == KRS_OK && p->test) {
        status = krs_tcall_builtin(call->run, p->test, &value, &p->args, &verdict);
    }
    *out = status == KRS_OK && krs_top_is_true(&verdict) == p->is_wanted;
    return status;
}

/* The attribute and the test named by the arguments. */
static krs_status read_picking(krs_tcall *call, bool has_attribute, picking *p)
{
    const size_t n_before = has_attribute ? 1 : 0;
    p->args = rest_of(call->actual, n_before + 1);
    if (call->actual->n < n_before) {
        return krs_trun_fail(call->run, KRS_EINVAL, "Missing parameter for attribute name");
    }
    p->attribute = has_attribute ? &call->actual->pos[0] : NULL;
    return call->actual->n > n_before ? builtin_named(call, n_before, true, &p->test) : KRS_OK;
}

static krs_status pick(krs_tcall *call, bool has_attribute, bool is_wanted, krs_tval *out)
{
    picking p = {.is_wanted = is_wanted};
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_tlist kept = {0};
    krs_status status = read_picking(call, has_attribute, &p);
    if (status == KRS_OK) {
        status = krs_top_items(call->run, &call->self, &items, &n);
    }
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        bool is_in = false;
        status = picks(call, &p, &items[i], &is_in);
        if (status == KRS_OK && is_in) {
            status = krs_tlist_add(call->run, &kept, &items[i]);
        }
    }
    return status == KRS_OK ? krs_trun_gen(call->run, kept.items, kept.n, out) : status;
}

static krs_status filter_select(krs_tcall *call, krs_tval *out)
{
    return pick(call, false, true, out);
}

static krs_status filter_reject(krs_tcall *call, krs_tval *out)
{
    return pick(call, false, false, out);
}

static krs_status filter_selectattr(krs_tcall *call, krs_tval *out)
{
    return pick(call, true, true, out);
}

static krs_status filter_rejectattr(krs_tcall *call, krs_tval *out)
{
    return pick(call, true, false, out);
}

/* ---- groups ---- */

/* (grouper, list) of items[from, to), all with one key. */
static krs_status add_group(krs_tcall *call, const krs_tval *items, size_t n, const krs_tval *key,
                            krs_tlist *groups)
{
    krs_tval *pair = NULL;
    krs_status status = krs_trun_array(call->run, 2, &pair);
    if (status == KRS_OK) {
        pair[0] = *key;
        status = krs_trun_seq(call->run, KRS_T_LIST, items, n, &pair[1]);
    }
    krs_tseq *seq = status == KRS_OK ? krs_tseq_new(&call->run->values, pair, 2) : NULL;
    if (!seq) {
        return status == KRS_OK ? krs_trun_no_memory(call->run) : status;
    }
    seq->type_name = "_GroupTuple";
    const krs_tval group = krs_tval_seq(KRS_T_TUPLE, seq);
    return krs_tlist_add(call->run, groups, &group);
}

/* Cut sorted items into runs of one key. */
static krs_status cut_groups(krs_tcall *call, const krs_tseq *seq, const krs_tval *keys,
                             krs_tlist *groups)
{
    krs_status status = KRS_OK;
    for (size_t from = 0, i = 1; status == KRS_OK && i <= seq->n; i++) {
        bool is_same = false;
        if (i < seq->n) {
            status = krs_top_equal(call->run, &keys[from], &keys[i], &is_same);
        }
        if (status == KRS_OK && !is_same) {
            status = add_group(call, seq->items + from, i - from, &keys[from], groups);
            from = i;
        }
    }
    return status;
}

static krs_status filter_groupby(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    krs_tval sorted;
    krs_tval *keys = NULL;
    krs_tlist groups = {0};
    const krs_tval args[3] = {krs_tval_bool(false), krs_tval_bool(krs_tcall_bool(call, 2, false)),
                              call->arg[0]};
    const krs_tactual actual = {.n = 3, .pos = args};
    const krs_tval *otherwise = krs_tcall_has(call, 1) ? &call->arg[1] : NULL;
    krs_status status =
        krs_tcall_builtin(run, krs_tfilter_find(KRS_STR("sort")), &call->self, &actual, &sorted);
    if (status != KRS_OK) {
        return status;
    }
    const krs_tseq *seq = sorted.u.seq;
    status = krs_trun_array(run, seq->n, &keys);
    for (size_t i = 0; status == KRS_OK && i < seq->n; i++) {
        status = krs_top_path(run, &seq->items[i], &call->arg[0], otherwise, &keys[i]);
    }
    if (status == KRS_OK) {
        status = cut_groups(call, seq, keys, &groups);
    }
    return status == KRS_OK ? krs_trun_seq(run, KRS_T_LIST, groups.items, groups.n, out) : status;
}

/* items[from, from + n) as a list, filled up to n_wanted with `fill` if there is one. */
static krs_status add_row(krs_tcall *call, const krs_tval *items, size_t n, size_t n_wanted,
                          krs_tlist *rows)
{
    krs_tval *row = NULL;
    krs_tval value;
    const bool has_fill = krs_tcall_has(call, 1) && call->arg[1].kind != KRS_T_NONE;
    const size_t n_row = has_fill && n_wanted > n ? n_wanted : n;
    krs_status status = krs_trun_array(call->run, n_row, &row);
    for (size_t i = 0; i < n_row && status == KRS_OK; i++) {
        row[i] = i < n ? items[i] : call->arg[1];
    }
    if (status == KRS_OK) {
        status = krs_trun_seq(call->run, KRS_T_LIST, row, n_row, &value);
    }
    return status == KRS_OK ? krs_tlist_add(call->run, rows, &value) : status;
}

static krs_status row_count(krs_tcall *call, size_t *out)
{
    int64_t n = 0;
    krs_status status = krs_tcall_int(call, 0, 0, &n);
    if (status == KRS_OK && (n < 1 || n > KRS_TRUN_MAX_RANGE)) {
        return krs_trun_fail(call->run, KRS_EINVAL, "%s(): %lld, want 1..%d", call->fn->name,
                             (long long)n, KRS_TRUN_MAX_RANGE);
    }
    *out = (size_t)n;
    return status;
}

static krs_status filter_batch(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    size_t width = 1;
    krs_tlist rows = {0};
    krs_status status = row_count(call, &width);
    if (status == KRS_OK) {
        status = krs_top_items(call->run, &call->self, &items, &n);
    }
    for (size_t at = 0; at < n && status == KRS_OK; at += width) {
        const size_t n_row = n - at < width ? n - at : width;
        status = add_row(call, items + at, n_row, width, &rows);
    }
    return status == KRS_OK ? krs_trun_gen(call->run, rows.items, rows.n, out) : status;
}

/* n columns whose lengths differ by one at most, the longer ones first. */
static krs_status filter_slice(krs_tcall *call, krs_tval *out)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    size_t n_rows = 1;
    size_t at = 0;
    krs_tlist rows = {0};
    krs_status status = row_count(call, &n_rows);
    if (status == KRS_OK) {
        status = krs_top_items(call->run, &call->self, &items, &n);
    }
    if (status != KRS_OK) {
        return status;
    }
    const size_t n_long = n % n_rows;
    for (size_t i = 0; i < n_rows && status == KRS_OK; i++) {
        const size_t n_row = n / n_rows + (i < n_long);
        /* Only the short ones are filled, and only where there are long ones. */
        const size_t n_wanted = n_long && i >= n_long ? n_row + 1 : n_row;
        status = add_row(call, n_row ? items + at : NULL, n_row, n_wanted, &rows);
        at += n_row;
    }
    return status == KRS_OK ? krs_trun_gen(call->run, rows.items, rows.n, out) : status;
}

const krs_tbuiltin krs_tfilters_pick[] = {
    {"map", filter_map, "*"},
    {"select", filter_select, "*"},
    {"reject", filter_reject, "*"},
    {"selectattr", filter_selectattr, "*"},
    {"rejectattr", filter_rejectattr, "*"},
    {"groupby", filter_groupby, "attribute,default?,case_sensitive?"},
    {"batch", filter_batch, "linecount,fill_with?"},
    {"slice", filter_slice, "slices,fill_with?"},
    {NULL, NULL, NULL},
};
