/* text/template/globals.c - the functions every template can call.
 *
 * Jinja's own (range, dict, namespace, cycler, joiner) and the two transformers adds: raise_exception,
 * which ends the rendering with the template's words and nothing else, and strftime_now. lipsum is
 * refused: nothing that depends on chance belongs in a prompt.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 globals; transformers chat_template_utils. */
#include "text/template/run.h"

static krs_status range_size(krs_trun *run, int64_t start, int64_t stop, int64_t step, size_t *n)
{
    *n = 0;
    if (step == 0) {
        return krs_trun_fail(run, KRS_EINVAL, "range() arg 3 must not be zero");
    }
    const bool is_up = step > 0;
    if (is_up ? start >= stop : start <= stop) {
        return KRS_OK;
    }
    const uint64_t distance =
        is_up ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    const uint64_t stride = is_up ? (uint64_t)step : (uint64_t)0 - (uint64_t)step;
    const uint64_t count = (distance - 1) / stride + 1;
    if (count > KRS_TRUN_MAX_RANGE) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "range of %llu items, limit %d",
                             (unsigned long long)count, KRS_TRUN_MAX_RANGE);
    }
    *n = (size_t)count;
    return KRS_OK;
}

static krs_status range_bounds(krs_tcall *call, int64_t bound[3])
{
    krs_status status = KRS_OK;
    for (size_t i = 0; i < 3 && status == KRS_OK; i++) {
        status = krs_tcall_int(call, i, bound[i], &bound[i]);
    }
    if (!krs_tcall_has(call, 1)) {
        bound[1] = bound[0];
        bound[0] = 0;
    }
    return status;
}

static krs_status global_range(krs_tcall *call, krs_tval *out)
{
    int64_t bound[3] = {0, 0, 1};
    size_t n = 0;
    krs_tval *items = NULL;
    krs_status status = range_bounds(call, bound);
    if (status == KRS_OK) {
        status = range_size(call->run, bound[0], bound[1], bound[2], &n);
    }
    if (status == KRS_OK) {
        status = krs_trun_array(call->run, n, &items);
    }
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        /* Unsigned: the way there may wrap, the item itself fits. */
        items[i] = krs_tval_int((int64_t)((uint64_t)bound[0] + i * (uint64_t)bound[2]));
    }
    krs_tseq *seq = krs_tseq_new(&call->run->values, items, n);
    if (!seq) {
        return krs_trun_no_memory(call->run);
    }
    seq->start = bound[0];
    seq->stop = bound[1];
    seq->step = bound[2];
    *out = krs_tval_seq(KRS_T_RANGE, seq);
    return KRS_OK;
}

/* One [key, value] of the list form of dict(). */
static krs_status add_pair(krs_trun *run, krs_tmap *map, const krs_tval *pair)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(run, pair, &items, &n);
    if (status == KRS_OK && n != 2) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "dictionary update sequence element has length %zu; 2 is "
                             "required",
                             n);
    }
    return status == KRS_OK ? krs_trun_set(run, map, &items[0], &items[1]) : status;
}

static krs_status add_all(krs_trun *run, krs_tmap *map, const krs_tval *from)
{
    krs_status status = KRS_OK;
    if (from->kind == KRS_T_DICT || from->kind == KRS_T_NAMESPACE) {
        for (size_t i = 0; i < from->u.map->n && status == KRS_OK; i++) {
            const krs_tentry *e = &from->u.map->entries[i];
            status = krs_trun_set(run, map, &e->key, &e->value);
        }
        return status;
    }
    const krs_tval *items = NULL;
    size_t n = 0;
    status = krs_top_items(run, from, &items, &n);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = add_pair(run, map, &items[i]);
    }
    return status;
}

/* dict(...) and namespace(...): a mapping or pairs, then named members. */
static krs_status make_map(krs_tcall *call, krs_tkind kind, krs_tval *out)
{
    krs_tmap *map = krs_tmap_new(&call->run->values, call->actual->n_named);
    krs_status status = map ? KRS_OK : krs_trun_no_memory(call->run);
    for (size_t i = 0; i < call->actual->n && status == KRS_OK; i++) {
        status = add_all(call->run, map, &call->actual->pos[i]);
    }
    for (size_t i = 0; i < call->actual->n_named && status == KRS_OK; i++) {
        const krs_tval key = krs_tval_str(call->actual->names[i]);
        status = krs_trun_set(call->run, map, &key, &call->actual->named[i]);
    }
    *out = krs_tval_map(kind, map);
    return status;
}

static krs_status global_dict(krs_tcall *call, krs_tval *out)
{
    return make_map(call, KRS_T_DICT, out);
}

static krs_status global_namespace(krs_tcall *call, krs_tval *out)
{
    return make_map(call, KRS_T_NAMESPACE, out);
}

static krs_status make_cycle(krs_tcall *call, krs_tkind kind, size_t n, const krs_tval *items,
                             krs_tval *out)
{
    krs_tcycle *cycle = krs_arena_bytes(&call->run->values, sizeof(*cycle));
    krs_tval *kept = NULL;
    krs_status status = cycle ? krs_trun_array(call->run, n, &kept) : krs_trun_no_memory(call->run);
    if (status == KRS_OK && kept) {
        memcpy(kept, items, n * sizeof(*kept));
        *cycle = (krs_tcycle){n, 0, kept};
        *out = (krs_tval){.kind = (uint8_t)kind, .u.cycle = cycle};
    }
    return status;
}

static krs_status global_cycler(krs_tcall *call, krs_tval *out)
{
    if (call->actual->n == 0) {
        return krs_trun_fail(call->run, KRS_EINVAL, "at least one item has to be provided");
    }
    return make_cycle(call, KRS_T_CYCLER, call->actual->n, call->actual->pos, out);
}

static krs_status global_joiner(krs_tcall *call, krs_tval *out)
{
    krs_str separator = {NULL, 0};
    krs_status status = krs_tcall_str(call, 0, KRS_STR(", "), &separator);
    const krs_tval item = krs_tval_str(separator);
    return status == KRS_OK ? make_cycle(call, KRS_T_JOINER, 1, &item, out) : status;
}

static krs_status global_raise(krs_tcall *call, krs_tval *out)
{
    krs_tval words;
    (void)out;
    krs_status status = krs_tstr(call->run, &call->arg[0], &words);
    if (status != KRS_OK) {
        return status;
    }
    return krs_fail(call->run->err, KRS_EINVAL, "%.*s", KRS_STR_ARGS(words.u.s));
}

static krs_status global_strftime(krs_tcall *call, krs_tval *out)
{
    krs_str format = {NULL, 0};
    const size_t mark = krs_trun_mark(call->run);
    krs_status status = krs_tcall_str(call, 0, KRS_STR(""), &format);
    if (status == KRS_OK) {
        status = krs_tput_time(call->run, format, call->run->now_unix_s);
    }
    return status == KRS_OK ? krs_trun_take(call->run, mark, out) : status;
}

static const krs_tbuiltin globals[] = {
    {"range", global_range, "start,stop?,step?"},
    {"dict", global_dict, "*"},
    {"namespace", global_namespace, "*"},
    {"cycler", global_cycler, "*"},
    {"joiner", global_joiner, "sep?"},
    {"raise_exception", global_raise, "message"},
    {"strftime_now", global_strftime, "format"},
    {"lipsum", NULL, ""},
    {NULL, NULL, NULL},
};

const krs_tbuiltin *krs_tglobal_find(krs_str name)
{
    return krs_tbuiltin_in(globals, name);
}
