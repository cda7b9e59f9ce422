/* text/template/template.c - see template.h: parse once, render often.
 *
 * Rendering copies nothing of the inputs but their shape: strings stay in the caller's JSON tree. All
 * names a template mentions are numbered while parsing; at the start of a rendering each is looked up
 * once among the inputs and the global functions, so a variable costs a comparison of numbers.
 *
 * Thread: immutable after parse; every rendering has its own state.
 * Memory: one arena for the tree, one for each rendering. */
#include "text/template.h"

#include "text/template/run.h"

/* ---- parse ---- */

static bool number_names(krs_tparse *p)
{
    krs_template *t = p->t;
    t->numbers = krs_tmap_new(&t->arena, 0);
    if (!t->numbers) {
        return krs_tparse_fail(p, KRS_ENOMEM, "out of memory");
    }
    return krs_tparse_name(p, KRS_STR("loop"), &t->name_loop) &&
           krs_tparse_name(p, KRS_STR("caller"), &t->name_caller) &&
           krs_tparse_name(p, KRS_STR("varargs"), &t->name_varargs) &&
           krs_tparse_name(p, KRS_STR("kwargs"), &t->name_kwargs);
}

static krs_status parse_source(krs_template *t, krs_str source, krs_error *err)
{
    krs_ttok *tokens = NULL;
    size_t n_tokens = 0;
    krs_status status = krs_tlex(source, &t->arena, &tokens, &n_tokens, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_tparse p = {.t = t, .tok = tokens, .err = err};
    t->root = number_names(&p) ? krs_tparse_template(&p) : NULL;
    return p.status;
}

krs_status krs_template_parse(krs_str source, const krs_alloc *alloc, krs_template **out,
                              krs_error *err)
{
    *out = NULL;
    if (source.len > KRS_TEMPLATE_MAX_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "template of %zu bytes, limit %u", source.len,
                        KRS_TEMPLATE_MAX_BYTES);
    }
    krs_template *t = krs_alloc_zero(alloc, sizeof(*t));
    if (!t) {
        return krs_fail(err, KRS_ENOMEM, "template: out of memory");
    }
    t->alloc = alloc;
    krs_arena_init(&t->arena, alloc, KRS_TEMPLATE_CHUNK, KRS_TEMPLATE_MAX_TREE);
    krs_status status = parse_source(t, source, err);
    if (status != KRS_OK) {
        krs_template_free(t);
        return status;
    }
    *out = t;
    return KRS_OK;
}

void krs_template_free(krs_template *t)
{
    if (t) {
        const krs_alloc *alloc = t->alloc;
        krs_arena_deinit(&t->arena);
        krs_alloc_free(alloc, t);
    }
}

bool krs_template_mentions(const krs_template *t, krs_str name)
{
    return krs_tmap_find_str(t->numbers, name) != NULL;
}

/* ---- inputs ---- */

static krs_status from_json(krs_trun *run, const json_t *json, krs_tval *out);

static krs_status from_array(krs_trun *run, const json_t *json, krs_tval *out)
{
    const size_t n = json_array_size(json);
    krs_tval *items = NULL;
    krs_status status = krs_trun_array(run, n, &items);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = from_json(run, json_array_get(json, i), &items[i]);
    }
    return status == KRS_OK ? krs_trun_seq(run, KRS_T_LIST, items, n, out) : status;
}

static krs_status from_object(krs_trun *run, const json_t *json, krs_tval *out)
{
    krs_tmap *map = krs_tmap_new(&run->values, json_object_size(json));
    if (!map) {
        return krs_trun_no_memory(run);
    }
    /* jansson iterates through a non-const handle but changes nothing. */
    json_t *object = (json_t *)(uintptr_t)json;
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const krs_tval key =
            krs_tval_str((krs_str){json_object_iter_key(it), json_object_iter_key_len(it)});
        krs_tval value;
        krs_status status = from_json(run, json_object_iter_value(it), &value);
        if (status == KRS_OK) {
            status = krs_trun_set(run, map, &key, &value);
        }
        if (status != KRS_OK) {
            return status;
        }
    }
    *out = krs_tval_map(KRS_T_DICT, map);
    return KRS_OK;
}

static krs_status from_json(krs_trun *run, const json_t *json, krs_tval *out)
{
    krs_status status = krs_trun_enter(run);
    if (status != KRS_OK) {
        return status;
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        status = from_object(run, json, out);
        break;
    case JSON_ARRAY:
        status = from_array(run, json, out);
        break;
    case JSON_STRING:
        *out = krs_tval_str((krs_str){json_string_value(json), json_string_length(json)});
        break;
    case JSON_INTEGER:
        *out = krs_tval_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = krs_tval_float(json_real_value(json));
        break;
    case JSON_NULL:
        *out = krs_tval_none();
        break;
    default:
        *out = krs_tval_bool(json_is_true(json));
        break;
    }
    krs_trun_leave(run);
    return status;
}

/* Give every name of the template its input, its global function, or KRS_T_ABSENT. */
static krs_status bind_names(krs_trun *run, const json_t *inputs)
{
    const size_t n = run->t->names.n;
    krs_tval *base = NULL;
    krs_status status = krs_trun_array(run, n, &base);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        const krs_str name = *(const krs_str *)run->t->names.items[i];
        const json_t *input = json_object_getn(inputs, name.ptr, name.len);
        const krs_tbuiltin *fn = krs_tglobal_find(name);
        if (input) {
            status = from_json(run, input, &base[i]);
        } else if (fn) {
            base[i] = (krs_tval){.kind = KRS_T_FUNC, .u.func = fn};
        }
    }
    run->base = base;
    return status;
}

/* ---- render ---- */

static krs_status render(krs_trun *run, const json_t *inputs, krs_buf *out)
{
    krs_tscope top = {0};
    run->scope = &top;
    krs_status status = bind_names(run, inputs);
    if (status == KRS_OK) {
        status = krs_texec(run, run->t->root);
    }
    if (status != KRS_OK) {
        return status;
    }
    status = krs_buf_append(out, run->out.data ? run->out.data : "", run->out.len);
    if (status != KRS_OK) {
        return krs_fail(run->err, status, "template: output of %zu bytes: %s", run->out.len,
                        krs_status_sentence(status));
    }
    return KRS_OK;
}

krs_status krs_template_render(const krs_template *t, const json_t *inputs,
                               const krs_template_options *options, krs_buf *out, krs_error *err)
{
    if (!json_is_object(inputs)) {
        return krs_fail(err, KRS_EINVAL, "template: the inputs are not a JSON object");
    }
    krs_trun run = {.t = t,
                    .max_steps =
                        options && options->max_steps ? options->max_steps : KRS_TEMPLATE_MAX_STEPS,
                    .now_unix_s = options ? options->now_unix_s : 0,
                    .line = 1,
                    .err = err};
    run.steps_left = run.max_steps;
    krs_arena_init(&run.values, t->alloc, KRS_TEMPLATE_CHUNK, KRS_TRUN_MAX_BYTES);
    krs_buf_init(&run.out, t->alloc, KRS_TEMPLATE_MAX_OUTPUT);
    krs_status status = render(&run, inputs, out);
    krs_buf_deinit(&run.out);
    krs_arena_deinit(&run.values);
    return status;
}
