/* text/template/call.c - calls: arguments, built-ins, and who is called.
 *
 * Arguments are evaluated into arrays first (KRS_TRUN_MAX_ARGS at most), * and ** spread, and then
 * bound: to a built-in's parameter names here, to a macro's in macro.c. Binding complains in
 * Python's words.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 runtime, Macro. */
#include "base/check.h"
#include "text/template/run.h"

/* Arguments being collected; arrays in the rendering's arena. */
typedef struct args {
    size_t n, cap;
    size_t n_named, cap_named;
    krs_tval *pos;
    krs_str *names;
    krs_tval *named;
} args;

static krs_tactual actual_of(const args *a)
{
    return (krs_tactual){a->n, a->pos, a->n_named, a->names, a->named};
}

/* A larger copy of an array; false when the call has too many arguments or memory is out. */
static krs_status grow(krs_trun *run, size_t n, size_t *cap, void *items_in, size_t item_bytes,
                       void **items_out)
{
    if (n == KRS_TRUN_MAX_ARGS) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "more than %d arguments in a call",
                             KRS_TRUN_MAX_ARGS);
    }
    *cap = n ? 2 * n : 2;
    *items_out = krs_arena_array(&run->values, *cap, item_bytes);
    if (!*items_out) {
        return krs_trun_no_memory(run);
    }
    if (n && items_in) {
        memcpy(*items_out, items_in, n * item_bytes);
    }
    return KRS_OK;
}

static krs_status add_position(krs_trun *run, args *a, const krs_tval *value)
{
    if (a->n == a->cap) {
        void *items = NULL;
        krs_status status = grow(run, a->n, &a->cap, a->pos, sizeof(*a->pos), &items);
        if (status != KRS_OK) {
            return status;
        }
        a->pos = items;
    }
    KRS_DCHECK(a->pos); /* there is room, so there is an array */
    a->pos[a->n++] = *value;
    return KRS_OK;
}

static krs_status add_named(krs_trun *run, args *a, krs_str name, const krs_tval *value)
{
    for (size_t i = 0; i < a->n_named; i++) {
        if (krs_str_equal(a->names[i], name)) {
            return krs_trun_fail(run, KRS_EINVAL, "keyword argument repeated: %.*s",
                                 KRS_STR_ARGS(name));
        }
    }
    if (a->n_named == a->cap_named) {
        void *names = NULL;
        void *named = NULL;
        krs_status status =
            grow(run, a->n_named, &a->cap_named, a->names, sizeof(*a->names), &names);
        if (status == KRS_OK) {
            status = grow(run, a->n_named, &a->cap_named, a->named, sizeof(*a->named), &named);
        }
        if (status != KRS_OK) {
            return status;
        }
        a->names = names;
        a->named = named;
    }
    a->names[a->n_named] = name;
    a->named[a->n_named++] = *value;
    return KRS_OK;
}

static krs_status spread_list(krs_trun *run, args *a, const krs_tval *value)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(run, value, &items, &n);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = add_position(run, a, &items[i]);
    }
    return status;
}

static krs_status spread_map(krs_trun *run, args *a, const krs_tval *value)
{
    if (value->kind != KRS_T_DICT) {
        return krs_trun_fail(run, KRS_EINVAL, "argument after ** must be a mapping, not %s",
                             krs_tval_type(value));
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; i < value->u.map->n && status == KRS_OK; i++) {
        const krs_tentry *e = &value->u.map->entries[i];
        if (e->key.kind != KRS_T_STR) {
            return krs_trun_fail(run, KRS_EINVAL, "keywords must be strings");
        }
        status = add_named(run, a, e->key.u.s, &e->value);
    }
    return status;
}

static krs_status eval_args(krs_trun *run, const krs_tnode *call, args *a)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; i < call->n_args && status == KRS_OK; i++) {
        const krs_targ *arg = &call->args[i];
        krs_tval value;
        status = krs_teval(run, arg->value, &value);
        if (status != KRS_OK) {
            break;
        }
        if (arg->kind == KRS_TARG_POSITION) {
            status = add_position(run, a, &value);
        } else if (arg->kind == KRS_TARG_NAMED) {
            status = add_named(run, a, arg->name, &value);
        } else {
            status = arg->kind == KRS_TARG_LIST ? spread_list(run, a, &value)
                                                : spread_map(run, a, &value);
        }
    }
    return status;
}

/* ---- built-ins ---- */

/* The next name in "old,new,count?"; moves *params behind it. */
static krs_str next_param(const char **params, bool *is_optional)
{
    const size_t n = strcspn(*params, ",");
    krs_str name = {*params, n};
    *params += n + ((*params)[n] == ',');
    *is_optional = n > 0 && name.ptr[n - 1] == '?';
    name.len -= *is_optional;
    return name;
}

const krs_tval *krs_tactual_named(const krs_tactual *actual, krs_str name)
{
    for (size_t i = 0; i < actual->n_named; i++) {
        if (krs_str_equal(actual->names[i], name)) {
            return &actual->named[i];
        }
    }
    return NULL;
}

/* Argument i, called name, from either side. */
static krs_status bind_one(krs_tcall *call, size_t i, krs_str name, bool is_optional,
                           size_t *n_named)
{
    const krs_tactual *actual = call->actual;
    const krs_tval *named = krs_tactual_named(actual, name);
    *n_named += named != NULL;
    if (named && i < actual->n) {
        return krs_trun_fail(call->run, KRS_EINVAL, "%s() got multiple values for argument '%.*s'",
                             call->fn->name, KRS_STR_ARGS(name));
    }
    if (named || i < actual->n) {
        call->arg[i] = named ? *named : actual->pos[i];
        return KRS_OK;
    }
    call->arg[i] = (krs_tval){.kind = KRS_T_ABSENT};
    return is_optional ? KRS_OK
                       : krs_trun_fail(call->run, KRS_EINVAL, "%s() is missing its argument '%.*s'",
                                       call->fn->name, KRS_STR_ARGS(name));
}

static krs_status bind(krs_tcall *call)
{
    const char *params = call->fn->params;
    size_t n_named = 0;
    size_t i = 0;
    for (; *params && i < KRS_TCALL_MAX_PARAMS; i++) {
        bool is_optional = false;
        const krs_str name = next_param(&params, &is_optional);
        krs_status status = bind_one(call, i, name, is_optional, &n_named);
        if (status != KRS_OK) {
            return status;
        }
    }
    if (call->actual->n > i) {
        return krs_trun_fail(call->run, KRS_EINVAL, "%s() takes at most %zu arguments (%zu given)",
                             call->fn->name, i, call->actual->n);
    }
    if (n_named < call->actual->n_named) {
        return krs_trun_fail(call->run, KRS_EINVAL, "%s() got an unexpected keyword argument",
                             call->fn->name);
    }
    return KRS_OK;
}

krs_status krs_tcall_builtin(krs_trun *run, const krs_tbuiltin *fn, const krs_tval *self,
                             const krs_tactual *actual, krs_tval *out)
{
    krs_tcall call = {.run = run, .fn = fn, .self = *self, .actual = actual};
    if (!fn->fn) {
        return krs_trun_fail(run, KRS_EUNSUPPORTED, "'%s' is not supported", fn->name);
    }
    krs_status status = krs_trun_enter(run);
    if (status != KRS_OK) {
        return status;
    }
    if (fn->params[0] != '*') {
        status = bind(&call);
    }
    if (status == KRS_OK) {
        status = fn->fn(&call, out);
    }
    krs_trun_leave(run);
    return status;
}

const krs_tbuiltin *krs_tbuiltin_in(const krs_tbuiltin *table, krs_str name)
{
    for (; table->name; table++) {
        if (krs_str_equal(name, krs_str_of(table->name))) {
            return table;
        }
    }
    return NULL;
}

krs_status krs_tcall_int(krs_tcall *call, size_t i, int64_t otherwise, int64_t *out)
{
    const krs_tval *v = &call->arg[i];
    if (v->kind == KRS_T_ABSENT) {
        *out = otherwise;
        return KRS_OK;
    }
    if (v->kind != KRS_T_INT && v->kind != KRS_T_BOOL) {
        return krs_trun_fail(call->run, KRS_EINVAL,
                             "%s(): '%s' object cannot be interpreted as an integer",
                             call->fn->name, krs_tval_type(v));
    }
    *out = krs_tval_integer(v);
    return KRS_OK;
}

krs_status krs_tcall_str(krs_tcall *call, size_t i, krs_str otherwise, krs_str *out)
{
    const krs_tval *v = &call->arg[i];
    if (v->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(call->run, v);
    }
    if (v->kind != KRS_T_ABSENT && v->kind != KRS_T_STR) {
        return krs_trun_fail(call->run, KRS_EINVAL, "%s() argument %zu must be str, not %s",
                             call->fn->name, i + 1, krs_tval_type(v));
    }
    *out = v->kind == KRS_T_STR ? v->u.s : otherwise;
    return KRS_OK;
}

bool krs_tcall_bool(const krs_tcall *call, size_t i, bool otherwise)
{
    return krs_tcall_has(call, i) ? krs_top_is_true(&call->arg[i]) : otherwise;
}

/* ---- calls ---- */

static krs_status call_cycle(krs_trun *run, const krs_tval *callee, krs_tval *out)
{
    krs_tcycle *cycle = callee->u.cycle;
    if (callee->kind == KRS_T_JOINER) {
        *out = cycle->at++ ? cycle->items[0] : krs_tval_str(KRS_STR(""));
        return KRS_OK;
    }
    (void)run;
    *out = cycle->items[cycle->at];
    cycle->at = (cycle->at + 1) % cycle->n;
    return KRS_OK;
}

static krs_status call_value(krs_trun *run, const krs_tval *callee, const krs_tactual *actual,
                             krs_tval *out)
{
    static const krs_tval nothing = {.kind = KRS_T_NONE};
    switch (callee->kind) {
    case KRS_T_FUNC:
        return krs_tcall_builtin(run, callee->u.func, &nothing, actual, out);
    case KRS_T_METHOD:
        return krs_tcall_builtin(run, callee->u.method->fn, &callee->u.method->self, actual, out);
    case KRS_T_MACRO:
        return krs_tmacro_call(run, callee->u.macro, actual, out);
    case KRS_T_CYCLER:
    case KRS_T_JOINER:
        return call_cycle(run, callee, out);
    case KRS_T_LOOP:
        if (actual->n == 1) {
            return krs_tloop_recurse(callee->u.loop, &actual->pos[0], out);
        }
        break;
    case KRS_T_UNDEF:
        return krs_trun_fail_undefined(run, callee);
    default:
        break;
    }
    return krs_trun_fail(run, KRS_EINVAL, "'%s' object is not callable", krs_tval_type(callee));
}

static krs_status call_with(krs_trun *run, const krs_tnode *node, const krs_tval *caller,
                            krs_tval *out)
{
    krs_tval callee;
    args a = {0};
    krs_status status = krs_teval(run, node->a, &callee);
    if (status == KRS_OK) {
        status = eval_args(run, node, &a);
    }
    if (status == KRS_OK && caller) {
        status = add_named(run, &a, KRS_STR("caller"), caller);
    }
    if (status != KRS_OK) {
        return status;
    }
    run->line = node->line;
    const krs_tactual actual = actual_of(&a);
    return call_value(run, &callee, &actual, out);
}

krs_status krs_teval_call(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    return call_with(run, node, NULL, out);
}

krs_status krs_tcall_block(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tclosure *closure = krs_arena_bytes(&run->values, sizeof(*closure));
    if (!closure) {
        return krs_trun_no_memory(run);
    }
    *closure = (krs_tclosure){node->macro, run->scope};
    const krs_tval caller = {.kind = KRS_T_MACRO, .u.macro = closure};
    return call_with(run, node->a, &caller, out);
}

/* Filters and tests: the same, with the operand as self. */
static krs_status apply(krs_trun *run, const krs_tnode *node, const char *what, krs_tval *out)
{
    krs_tval self;
    krs_status status = krs_teval(run, node->a, &self);
    if (status != KRS_OK) {
        return status;
    }
    if (!node->fn) {
        return krs_trun_fail(run, KRS_EUNSUPPORTED, "No %s named '%.*s' found.", what,
                             KRS_STR_ARGS(node->text));
    }
    args a = {0};
    status = eval_args(run, node, &a);
    if (status != KRS_OK) {
        return status;
    }
    run->line = node->line;
    const krs_tactual actual = actual_of(&a);
    return krs_tcall_builtin(run, node->fn, &self, &actual, out);
}

krs_status krs_teval_filter(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    return apply(run, node, "filter", out);
}

krs_status krs_teval_test(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    return apply(run, node, "test", out);
}
