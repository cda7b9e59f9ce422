/* text/template/access.c - attributes, subscripts, slices and items of template values.
 *
 * Jinja's two ways in differ in order: x.name asks for a method first and a key second, x['name'] the
 * other way round. Neither fails: what is not there is undefined, and remembers where it was looked
 * for. Methods that would change their object are undefined too (the templates' sandbox is immutable),
 * in a way that fails when called.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 sandbox. */
#include "text/template/run.h"
#include "text/template/unicode.h"

krs_status krs_top_length(krs_trun *run, const krs_tval *v, size_t *out)
{
    *out = 0;
    if (v->kind == KRS_T_UNDEF) {
        return KRS_OK;
    }
    if (v->kind == KRS_T_STR) {
        *out = krs_text_count(v->u.s);
        return krs_trun_spend(run, v->u.s.len / 64);
    }
    if (krs_tval_is_seq(v)) {
        *out = v->u.seq->n;
        return KRS_OK;
    }
    if (v->kind == KRS_T_DICT) {
        *out = v->u.map->n;
        return KRS_OK;
    }
    return krs_trun_fail(run, KRS_EINVAL, "object of type '%s' has no len()", krs_tval_type(v));
}

static krs_status characters(krs_trun *run, krs_str s, const krs_tval **items, size_t *n)
{
    krs_tval *chars = NULL;
    const size_t n_chars = krs_text_count(s);
    krs_status status = krs_trun_array(run, n_chars + 1, &chars);
    *n = 0;
    for (size_t at = 0; status == KRS_OK && at < s.len && *n < n_chars;) {
        uint32_t code = 0;
        const size_t size = krs_text_decode(s, at, &code);
        chars[(*n)++] = krs_tval_str((krs_str){s.ptr + at, size});
        at += size;
    }
    *items = chars;
    return status;
}

static krs_status keys(krs_trun *run, const krs_tmap *map, const krs_tval **items, size_t *n)
{
    krs_tval *found = NULL;
    krs_status status = krs_trun_array(run, map->n, &found);
    for (size_t i = 0; i < map->n && status == KRS_OK; i++) {
        found[i] = map->entries[i].key;
    }
    *items = found;
    *n = map->n;
    return status;
}

krs_status krs_top_items(krs_trun *run, const krs_tval *v, const krs_tval **items, size_t *n)
{
    *items = NULL;
    *n = 0;
    switch (v->kind) {
    case KRS_T_UNDEF:
        return KRS_OK;
    case KRS_T_STR:
        return characters(run, v->u.s, items, n);
    case KRS_T_DICT:
        return keys(run, v->u.map, items, n);
    case KRS_T_GEN:
        *items = v->u.gen->items ? v->u.gen->items + v->u.gen->at : NULL;
        *n = v->u.gen->n - v->u.gen->at;
        v->u.gen->at = v->u.gen->n;
        return KRS_OK;
    default:
        break;
    }
    if (krs_tval_is_seq(v)) {
        *items = v->u.seq->items;
        *n = v->u.seq->n;
        return KRS_OK;
    }
    return krs_trun_fail(run, KRS_EINVAL, "'%s' object is not iterable", krs_tval_type(v));
}

/* ---- x[key] ---- */

/* Index into n items, negative from the end; false when out of bounds. */
static bool place(int64_t index, size_t n, size_t *out)
{
    if (index < 0) {
        index += (int64_t)n;
    }
    *out = (size_t)index;
    return index >= 0 && (uint64_t)index < n;
}

static bool find_in_str(krs_str s, int64_t index, krs_tval *out)
{
    size_t at = 0;
    if (!place(index, krs_text_count(s), &at)) {
        return false;
    }
    const size_t from = krs_text_offset(s, at);
    const size_t to = krs_text_offset(s, at + 1);
    *out = krs_tval_str((krs_str){s.ptr + from, to - from});
    return true;
}

static bool find_item(const krs_tval *v, const krs_tval *key, krs_tval *out)
{
    size_t at = 0;
    if (v->kind == KRS_T_DICT) {
        const krs_tval *found = krs_tval_is_hashable(key) ? krs_tmap_find(v->u.map, key) : NULL;
        *out = found ? *found : *out;
        return found != NULL;
    }
    if (key->kind != KRS_T_INT && key->kind != KRS_T_BOOL) {
        return false;
    }
    if (v->kind == KRS_T_STR) {
        return find_in_str(v->u.s, krs_tval_integer(key), out);
    }
    if (!krs_tval_is_seq(v) || v->kind == KRS_T_VIEW) {
        return false;
    }
    const bool is_there = place(krs_tval_integer(key), v->u.seq->n, &at);
    *out = is_there ? v->u.seq->items[at] : *out;
    return is_there;
}

static krs_status missing_item(krs_trun *run, const krs_tval *v, const krs_tval *key, krs_tval *out)
{
    if (key->kind == KRS_T_STR) {
        return krs_trun_undefined(run, KRS_TUNDEF_ATTRIBUTE, v->kind, key->u.s, out);
    }
    const size_t mark = krs_trun_mark(run);
    krs_tval text;
    krs_status status = krs_tput_repr(run, key);
    if (status == KRS_OK) {
        status = krs_trun_take(run, mark, &text);
    }
    return status == KRS_OK ? krs_trun_undefined(run, KRS_TUNDEF_ELEMENT, v->kind, text.u.s, out)
                            : status;
}

/* ---- x.name ---- */

static krs_status find_method(krs_trun *run, const krs_tval *v, krs_str name, krs_tval *out,
                              bool *is_known)
{
    const krs_tbuiltin *fn = krs_tmethod_find(v->kind, name);
    *is_known = fn != NULL;
    if (!fn) {
        return KRS_OK;
    }
    if (!fn->fn && !fn->params) {
        return krs_trun_undefined(run, KRS_TUNDEF_UNSAFE, v->kind, name, out);
    }
    krs_tmethod *method = krs_arena_bytes(&run->values, sizeof(*method));
    if (!method) {
        return krs_trun_no_memory(run);
    }
    *method = (krs_tmethod){fn, *v};
    *out = (krs_tval){.kind = KRS_T_METHOD, .u.method = method};
    return KRS_OK;
}

/* One group of groupby: (grouper, list). */
static const krs_tval *find_in_group(const krs_tseq *group, krs_str name)
{
    if (krs_str_equal(name, KRS_STR("grouper"))) {
        return &group->items[0];
    }
    return krs_str_equal(name, KRS_STR("list")) ? &group->items[1] : NULL;
}

/* Attributes of the few objects that have some; false when v has none of that name. */
static bool find_field(const krs_tval *v, krs_str name, krs_tval *out)
{
    const krs_tval *found = NULL;
    krs_tval made;
    if (v->kind == KRS_T_NAMESPACE) {
        found = krs_tmap_find_str(v->u.map, name);
    } else if (v->kind == KRS_T_MACRO && krs_str_equal(name, KRS_STR("name"))) {
        made = krs_tval_str(v->u.macro->macro->title);
        found = &made;
    } else if (v->kind == KRS_T_CYCLER && krs_str_equal(name, KRS_STR("current"))) {
        found = &v->u.cycle->items[v->u.cycle->at];
    } else if (v->kind == KRS_T_TUPLE && v->u.seq->type_name) {
        found = find_in_group(v->u.seq, name);
    }
    *out = found ? *found : *out;
    return found != NULL;
}

/* What Python's getattr would find. */
static krs_status find_attribute(krs_trun *run, const krs_tval *v, krs_str name, krs_tval *out,
                                 bool *is_known)
{
    *is_known = find_field(v, name, out);
    if (*is_known) {
        return KRS_OK;
    }
    if (v->kind == KRS_T_LOOP) {
        krs_status status = krs_tloop_attribute(v->u.loop, name, out, is_known);
        if (status != KRS_OK || *is_known) {
            return status;
        }
    }
    return find_method(run, v, name, out, is_known);
}

krs_status krs_top_attribute(krs_trun *run, const krs_tval *v, krs_str name, krs_tval *out)
{
    if (v->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, v);
    }
    bool is_known = false;
    krs_status status = find_attribute(run, v, name, out, &is_known);
    if (status != KRS_OK || is_known) {
        return status;
    }
    const krs_tval key = krs_tval_str(name);
    if (find_item(v, &key, out)) {
        return KRS_OK;
    }
    return missing_item(run, v, &key, out);
}

krs_status krs_top_subscript(krs_trun *run, const krs_tval *v, const krs_tval *key, krs_tval *out)
{
    if (v->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, v);
    }
    if (v->kind == KRS_T_STR) {
        krs_status status = krs_trun_spend(run, v->u.s.len / 64);
        if (status != KRS_OK) {
            return status;
        }
    }
    if (find_item(v, key, out)) {
        return KRS_OK;
    }
    if (key->kind == KRS_T_STR) {
        bool is_known = false;
        krs_status status = find_attribute(run, v, key->u.s, out, &is_known);
        if (status != KRS_OK || is_known) {
            return status;
        }
    }
    return missing_item(run, v, key, out);
}

/* ---- x[a:b:c] ---- */

typedef struct span {
    int64_t start, stop, step;
    size_t n; /* items it selects */
} span;

static krs_status slice_bound(krs_trun *run, const krs_tval *v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v->kind == KRS_T_NONE) {
        return KRS_OK;
    }
    if (v->kind != KRS_T_INT && v->kind != KRS_T_BOOL) {
        return krs_trun_fail(run, KRS_EINVAL, "slice indices must be integers or None");
    }
    *out = krs_tval_integer(v);
    return KRS_OK;
}

/* Clamp as Python's slice.indices does: low and high are the bounds for this direction. */
static int64_t clamp(int64_t at, int64_t n, int64_t low, int64_t high)
{
    if (at < 0) {
        at += n;
    }
    return at < low ? low : at > high ? high : at;
}

static krs_status read_bounds(krs_trun *run, const krs_tval bound[3], span *s)
{
    krs_status status = slice_bound(run, &bound[2], 1, &s->step);
    if (status == KRS_OK && s->step == 0) {
        return krs_trun_fail(run, KRS_EINVAL, "slice step cannot be zero");
    }
    const bool is_back = s->step < 0;
    if (status == KRS_OK) {
        status = slice_bound(run, &bound[0], is_back ? INT64_MAX : 0, &s->start);
    }
    return status == KRS_OK ? slice_bound(run, &bound[1], is_back ? INT64_MIN : INT64_MAX, &s->stop)
                            : status;
}

static krs_status resolve_span(krs_trun *run, const krs_tval bound[3], size_t n_items, span *s)
{
    const int64_t n = (int64_t)n_items;
    krs_status status = read_bounds(run, bound, s);
    if (status != KRS_OK) {
        return status;
    }
    const bool is_back = s->step < 0;
    const int64_t low = is_back ? -1 : 0;
    const int64_t high = is_back ? n - 1 : n;
    s->start = clamp(s->start, n, low, high);
    s->stop = s->stop == INT64_MIN ? low : clamp(s->stop, n, low, high);
    const int64_t distance = is_back ? s->start - s->stop : s->stop - s->start;
    const uint64_t stride = is_back ? (uint64_t)0 - (uint64_t)s->step : (uint64_t)s->step;
    s->n = distance > 0 ? (size_t)(((uint64_t)distance - 1) / stride + 1) : 0;
    return KRS_OK;
}

static krs_status pick(krs_trun *run, const krs_tval *items, const span *s, krs_tval **out)
{
    krs_status status = krs_trun_array(run, s->n, out);
    int64_t at = s->start;
    for (size_t i = 0; i < s->n && status == KRS_OK; i++) {
        (*out)[i] = items[at];
        at += i + 1 < s->n ? s->step : 0;
    }
    return status;
}

static krs_status slice_str(krs_trun *run, const krs_tval *v, const krs_tval bound[3],
                            krs_tval *out)
{
    const krs_str s = v->u.s;
    span where = {0};
    krs_status status = resolve_span(run, bound, krs_text_count(s), &where);
    if (status == KRS_OK) {
        status = krs_trun_spend(run, s.len / 64);
    }
    if (status != KRS_OK) {
        return status;
    }
    *out = krs_tval_str((krs_str){"", 0});
    out->is_safe = v->is_safe;
    if (where.n && where.step == 1) { /* the usual case: a view into the text */
        const size_t from = krs_text_offset(s, (size_t)where.start);
        const krs_str rest = {s.ptr + from, s.len - from};
        out->u.s = (krs_str){rest.ptr, krs_text_offset(rest, where.n)};
        return KRS_OK;
    }
    const krs_tval *chars = NULL;
    krs_tval *picked = NULL;
    size_t n = 0;
    status = characters(run, s, &chars, &n);
    if (status == KRS_OK) {
        status = pick(run, chars, &where, &picked);
    }
    for (size_t i = 0; i < where.n && status == KRS_OK; i++) {
        status = krs_trun_join(run, out->u.s, picked[i].u.s, &out->u.s);
    }
    return status;
}

/* A part of a range is a range. Its ends may lie beyond 64 bits only where it prints; they wrap. */
static krs_status slice_range(krs_trun *run, const krs_tseq *from, const krs_tval *items,
                              const span *where, krs_tval *out)
{
    krs_tseq *seq = krs_tseq_new(&run->values, items, where->n);
    if (!seq) {
        return krs_trun_no_memory(run);
    }
    const uint64_t step = (uint64_t)from->step;
    seq->start = (int64_t)((uint64_t)from->start + (uint64_t)where->start * step);
    seq->stop = (int64_t)((uint64_t)from->start + (uint64_t)where->stop * step);
    seq->step = (int64_t)((uint64_t)where->step * step);
    *out = krs_tval_seq(KRS_T_RANGE, seq);
    return KRS_OK;
}

krs_status krs_top_slice(krs_trun *run, const krs_tval *v, const krs_tval bound[3], krs_tval *out)
{
    if (v->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, v);
    }
    if (v->kind == KRS_T_STR) {
        return slice_str(run, v, bound, out);
    }
    if (!krs_tval_is_seq(v) || v->kind == KRS_T_VIEW) {
        return krs_trun_fail(run, KRS_EINVAL, "'%s' object is not subscriptable", krs_tval_type(v));
    }
    span where = {0};
    krs_tval *items = NULL;
    krs_status status = resolve_span(run, bound, v->u.seq->n, &where);
    if (status == KRS_OK) {
        status = pick(run, v->u.seq->items, &where, &items);
    }
    if (status == KRS_OK && v->kind == KRS_T_RANGE) {
        return slice_range(run, v->u.seq, items, &where, out);
    }
    const krs_tkind kind = v->kind == KRS_T_TUPLE ? KRS_T_TUPLE : KRS_T_LIST;
    return status == KRS_OK ? krs_trun_seq(run, kind, items, where.n, out) : status;
}

/* ---- "a.b.0" ---- */

static bool parse_index(krs_str part, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] < '0' || part.ptr[i] > '9' || i > 9) { /* an index has few digits */
            return false;
        }
        *out = *out * 10 + (part.ptr[i] - '0');
    }
    return part.len > 0;
}

static krs_status step_into(krs_trun *run, krs_str part, const krs_tval *default_value, krs_tval *v)
{
    int64_t index = 0;
    const krs_tval key = parse_index(part, &index) ? krs_tval_int(index) : krs_tval_str(part);
    const krs_tval from = *v;
    krs_status status = krs_top_subscript(run, &from, &key, v);
    if (status == KRS_OK && v->kind == KRS_T_UNDEF && default_value) {
        *v = *default_value;
    }
    return status;
}

krs_status krs_top_path(krs_trun *run, const krs_tval *v, const krs_tval *attribute,
                        const krs_tval *default_value, krs_tval *out)
{
    if (attribute->kind != KRS_T_STR) {
        return krs_top_subscript(run, v, attribute, out);
    }
    *out = *v;
    krs_status status = KRS_OK;
    krs_str rest = attribute->u.s;
    for (bool has_more = true; has_more && status == KRS_OK;) {
        const char *dot = rest.len ? memchr(rest.ptr, '.', rest.len) : NULL;
        const krs_str part = {rest.ptr, dot ? (size_t)(dot - rest.ptr) : rest.len};
        status = step_into(run, part, default_value, out);
        has_more = dot != NULL;
        rest = dot ? (krs_str){dot + 1, rest.len - part.len - 1} : rest;
    }
    return status;
}
