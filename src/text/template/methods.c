/* text/template/methods.c - which methods each type has, and those of dict, list, loop and the like.
 *
 * Names the sandbox refuses are in the tables too, without function and without parameters: looking
 * one up gives an undefined value whose use fails, while a dict's own key of that name stays hidden, as
 * in Jinja. A NULL function with parameters is a method we do not have: calling it is KRS_EUNSUPPORTED.
 *
 * Thread: see run.h.  Source: Python 3; Jinja2 3.1 sandbox (_mutable_spec). */
#include "text/template/run.h"
#include "text/template/unicode.h"

/* ---- str.is... ---- */

typedef bool (*code_test)(uint32_t code);

static krs_status all_are(krs_tcall *call, code_test test, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    bool is_true = s.len > 0;
    for (size_t at = 0; at < s.len && is_true;) {
        uint32_t code = 0;
        at += krs_text_decode(s, at, &code);
        is_true = test(code);
    }
    *out = krs_tval_bool(is_true);
    return krs_trun_spend(call->run, s.len / 64);
}

static bool is_alnum(uint32_t code)
{
    return krs_text_is_alpha(code) || krs_text_is_digit(code);
}

static krs_status method_isdigit(krs_tcall *call, krs_tval *out)
{
    return all_are(call, krs_text_is_digit, out);
}

static krs_status method_isalpha(krs_tcall *call, krs_tval *out)
{
    return all_are(call, krs_text_is_alpha, out);
}

static krs_status method_isalnum(krs_tcall *call, krs_tval *out)
{
    return all_are(call, is_alnum, out);
}

static krs_status method_isspace(krs_tcall *call, krs_tval *out)
{
    return all_are(call, krs_text_is_space, out);
}

static bool is_ascii(uint32_t code)
{
    return code < 0x80;
}

static krs_status method_isascii(krs_tcall *call, krs_tval *out)
{
    krs_status status = all_are(call, is_ascii, out);
    out->u.b = out->u.b || call->self.u.s.len == 0;
    return status;
}

static krs_status method_isprintable(krs_tcall *call, krs_tval *out)
{
    krs_status status = all_are(call, krs_text_is_printable, out);
    out->u.b = out->u.b || call->self.u.s.len == 0;
    return status;
}

/* At least one letter of this case, and none of the other. */
static krs_status case_only(krs_tcall *call, code_test wanted, code_test other, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    bool has_wanted = false;
    bool has_other = false;
    for (size_t at = 0; at < s.len && !has_other;) {
        uint32_t code = 0;
        at += krs_text_decode(s, at, &code);
        has_wanted |= wanted(code);
        has_other |= other(code);
    }
    *out = krs_tval_bool(has_wanted && !has_other);
    return krs_trun_spend(call->run, s.len / 64);
}

static krs_status method_isupper(krs_tcall *call, krs_tval *out)
{
    return case_only(call, krs_text_is_upper, krs_text_is_lower, out);
}

static krs_status method_islower(krs_tcall *call, krs_tval *out)
{
    return case_only(call, krs_text_is_lower, krs_text_is_upper, out);
}

const krs_tbuiltin krs_tmethods_is[] = {
    {"isdigit", method_isdigit, ""},
    {"isdecimal", method_isdigit, ""},
    {"isnumeric", method_isdigit, ""},
    {"isalpha", method_isalpha, ""},
    {"isalnum", method_isalnum, ""},
    {"isspace", method_isspace, ""},
    {"isascii", method_isascii, ""},
    {"isupper", method_isupper, ""},
    {"islower", method_islower, ""},
    {"isprintable", method_isprintable, ""},
    {"isidentifier", NULL, ""},
    {"istitle", NULL, ""},
    {NULL, NULL, NULL},
};

/* ---- dict ---- */

static krs_status method_get(krs_tcall *call, krs_tval *out)
{
    if (!krs_tval_is_hashable(&call->arg[0])) {
        return krs_trun_fail(call->run, KRS_EINVAL, "unhashable type: '%s'",
                             krs_tval_type(&call->arg[0]));
    }
    const krs_tval *found = krs_tmap_find(call->self.u.map, &call->arg[0]);
    *out = found ? *found : krs_tcall_has(call, 1) ? call->arg[1] : krs_tval_none();
    return KRS_OK;
}

static krs_status make_view(krs_tcall *call, const krs_tval *items, const char *type, krs_tval *out)
{
    krs_tseq *seq = krs_tseq_new(&call->run->values, items, call->self.u.map->n);
    if (!seq) {
        return krs_trun_no_memory(call->run);
    }
    seq->type_name = type;
    *out = krs_tval_seq(KRS_T_VIEW, seq);
    return KRS_OK;
}

static krs_status method_items(krs_tcall *call, krs_tval *out)
{
    const krs_tmap *map = call->self.u.map;
    krs_tval *items = NULL;
    krs_tval *pairs = NULL;
    krs_status status = krs_trun_array(call->run, map->n, &items);
    if (status == KRS_OK) {
        status = krs_trun_array(call->run, 2 * map->n, &pairs);
    }
    for (size_t i = 0; i < map->n && status == KRS_OK; i++) {
        pairs[2 * i] = map->entries[i].key;
        pairs[2 * i + 1] = map->entries[i].value;
        status = krs_trun_seq(call->run, KRS_T_TUPLE, pairs + 2 * i, 2, &items[i]);
    }
    return status == KRS_OK ? make_view(call, items, "dict_items", out) : status;
}

static krs_status column(krs_tcall *call, bool is_key, krs_tval *out)
{
    const krs_tmap *map = call->self.u.map;
    krs_tval *items = NULL;
    krs_status status = krs_trun_array(call->run, map->n, &items);
    for (size_t i = 0; i < map->n && status == KRS_OK; i++) {
        items[i] = is_key ? map->entries[i].key : map->entries[i].value;
    }
    return status == KRS_OK ? make_view(call, items, is_key ? "dict_keys" : "dict_values", out)
                            : status;
}

static krs_status method_keys(krs_tcall *call, krs_tval *out)
{
    return column(call, true, out);
}

static krs_status method_values(krs_tcall *call, krs_tval *out)
{
    return column(call, false, out);
}

/* Values never change, so a copy is the thing itself. */
static krs_status method_copy(krs_tcall *call, krs_tval *out)
{
    *out = call->self;
    return KRS_OK;
}

const krs_tbuiltin krs_tmethods_dict[] = {
    {"get", method_get, "key,default?"},
    {"items", method_items, ""},
    {"keys", method_keys, ""},
    {"values", method_values, ""},
    {"copy", method_copy, ""},
    {"fromkeys", NULL, ""},
    {"clear", NULL, NULL},
    {"pop", NULL, NULL},
    {"popitem", NULL, NULL},
    {"setdefault", NULL, NULL},
    {"update", NULL, NULL},
    {NULL, NULL, NULL},
};

/* ---- list and tuple ---- */

static krs_status method_list_count(krs_tcall *call, krs_tval *out)
{
    const krs_tseq *seq = call->self.u.seq;
    int64_t n = 0;
    krs_status status = KRS_OK;
    for (size_t i = 0; i < seq->n && status == KRS_OK; i++) {
        bool is_same = false;
        status = krs_top_equal(call->run, &seq->items[i], &call->arg[0], &is_same);
        n += is_same;
    }
    *out = krs_tval_int(n);
    return status;
}

static krs_status method_list_index(krs_tcall *call, krs_tval *out)
{
    const krs_tseq *seq = call->self.u.seq;
    for (size_t i = 0; i < seq->n; i++) {
        bool is_same = false;
        krs_status status = krs_top_equal(call->run, &seq->items[i], &call->arg[0], &is_same);
        if (status != KRS_OK) {
            return status;
        }
        if (is_same) {
            *out = krs_tval_int((int64_t)i);
            return KRS_OK;
        }
    }
    return krs_trun_fail(call->run, KRS_EINVAL, "value is not in list");
}

const krs_tbuiltin krs_tmethods_list[] = {
    {"count", method_list_count, "value"},
    {"index", method_list_index, "value"},
    {"copy", method_copy, ""},
    {"append", NULL, NULL},
    {"clear", NULL, NULL},
    {"extend", NULL, NULL},
    {"insert", NULL, NULL},
    {"pop", NULL, NULL},
    {"remove", NULL, NULL},
    {"reverse", NULL, NULL},
    {"sort", NULL, NULL},
    {NULL, NULL, NULL},
};

/* ---- loop, cycler, float ---- */

static krs_status method_cycle(krs_tcall *call, krs_tval *out)
{
    if (call->actual->n == 0) {
        return krs_trun_fail(call->run, KRS_EINVAL, "no items for cycling given");
    }
    *out = call->actual->pos[call->self.u.loop->at % call->actual->n];
    return KRS_OK;
}

static krs_status method_changed(krs_tcall *call, krs_tval *out)
{
    krs_tloop *loop = call->self.u.loop;
    krs_tval now;
    bool is_same = false;
    krs_status status =
        krs_trun_seq(call->run, KRS_T_TUPLE, call->actual->pos, call->actual->n, &now);
    if (status == KRS_OK && loop->has_changed) {
        status = krs_top_equal(call->run, &now, &loop->changed, &is_same);
    }
    loop->changed = now;
    loop->has_changed = true;
    *out = krs_tval_bool(!is_same);
    return status;
}

static krs_status method_next(krs_tcall *call, krs_tval *out)
{
    krs_tcycle *cycle = call->self.u.cycle;
    *out = cycle->items[cycle->at];
    cycle->at = (cycle->at + 1) % cycle->n;
    return KRS_OK;
}

static krs_status method_reset(krs_tcall *call, krs_tval *out)
{
    call->self.u.cycle->at = 0;
    *out = krs_tval_none();
    return KRS_OK;
}

static krs_status method_is_integer(krs_tcall *call, krs_tval *out)
{
    const double f = call->self.u.f;
    *out = krs_tval_bool(f - f == 0 && (f >= 0x1p53 || f <= -0x1p53 || (double)(int64_t)f == f));
    return KRS_OK;
}

static const krs_tbuiltin of_loop[] = {
    {"cycle", method_cycle, "*"}, {"changed", method_changed, "*"}, {NULL, NULL, NULL}};
static const krs_tbuiltin of_cycler[] = {
    {"next", method_next, ""}, {"reset", method_reset, ""}, {NULL, NULL, NULL}};
static const krs_tbuiltin of_float[] = {{"is_integer", method_is_integer, ""}, {NULL, NULL, NULL}};

/* Up to three tables a type. */
static const krs_tbuiltin *const tables[KRS_TKIND_COUNT][3] = {
    [KRS_T_STR] = {krs_tmethods_str, krs_tmethods_split, krs_tmethods_is},
    [KRS_T_DICT] = {krs_tmethods_dict},
    [KRS_T_LIST] = {krs_tmethods_list},
    [KRS_T_TUPLE] = {krs_tmethods_list},
    [KRS_T_LOOP] = {of_loop},
    [KRS_T_CYCLER] = {of_cycler},
    [KRS_T_FLOAT] = {of_float},
};

const krs_tbuiltin *krs_tmethod_find(uint8_t kind, krs_str name)
{
    const krs_tbuiltin *found = NULL;
    for (size_t i = 0; i < 3 && tables[kind][i] && !found; i++) {
        found = krs_tbuiltin_in(tables[kind][i], name);
    }
    /* A tuple has only the first two of a list's. */
    return found && kind == KRS_T_TUPLE && found - krs_tmethods_list > 1 ? NULL : found;
}
