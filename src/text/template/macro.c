/* text/template/macro.c - calling a macro: its own scope, its parameters, its text.
 *
 * A default is evaluated at each call, in the macro's scope, so it may use the parameters before it.
 * varargs, kwargs and caller exist only in macros whose body mentions them; in others, surplus
 * arguments are an error.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 runtime, Macro. */
#include "text/template/run.h"

static bool is_param(const krs_trun *run, const krs_tmacro *macro, krs_str name)
{
    for (size_t i = 0; i < macro->n_params; i++) {
        if (krs_str_equal(name, *(const krs_str *)run->t->names.items[macro->params[i]])) {
            return true;
        }
    }
    return false;
}

static krs_status bind_param(krs_trun *run, const krs_tmacro *macro, const krs_tactual *actual,
                             size_t i)
{
    const krs_str name = *(const krs_str *)run->t->names.items[macro->params[i]];
    const krs_tval *named = krs_tactual_named(actual, name);
    krs_tval value;
    krs_status status = KRS_OK;
    if (named && i < actual->n) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "macro '%.*s' got multiple values for argument '%.*s'",
                             KRS_STR_ARGS(macro->title), KRS_STR_ARGS(name));
    }
    if (i < actual->n) {
        value = actual->pos[i];
    } else if (named) {
        value = *named;
    } else if (macro->defaults[i]) {
        status = krs_teval(run, macro->defaults[i], &value);
    } else {
        status = krs_trun_undefined(run, KRS_TUNDEF_NAME, 0, name, &value);
    }
    return status == KRS_OK ? krs_tscope_set(run, macro->params[i], &value) : status;
}

static krs_status bind_varargs(krs_trun *run, const krs_tmacro *macro, const krs_tactual *actual)
{
    const size_t n_extra = actual->n > macro->n_params ? actual->n - macro->n_params : 0;
    if (n_extra && !macro->has_varargs) {
        return krs_trun_fail(run, KRS_EINVAL, "macro '%.*s' takes not more than %zu argument(s)",
                             KRS_STR_ARGS(macro->title), macro->n_params);
    }
    if (!macro->has_varargs) {
        return KRS_OK;
    }
    krs_tval *items = NULL;
    krs_tval value;
    krs_status status = krs_trun_array(run, n_extra, &items);
    if (status != KRS_OK) {
        return status;
    }
    if (n_extra) {
        memcpy(items, actual->pos + macro->n_params, n_extra * sizeof(*items));
    }
    status = krs_trun_seq(run, KRS_T_TUPLE, items, n_extra, &value);
    return status == KRS_OK ? krs_tscope_set(run, run->t->name_varargs, &value) : status;
}

/* Named arguments that are no parameters: caller, or members of kwargs. */
static krs_status bind_kwargs(krs_trun *run, const krs_tmacro *macro, const krs_tactual *actual)
{
    krs_tmap *map = krs_tmap_new(&run->values, 0);
    krs_status status = map ? KRS_OK : krs_trun_no_memory(run);
    for (size_t i = 0; i < actual->n_named && status == KRS_OK; i++) {
        const krs_str name = actual->names[i];
        const krs_tval key = krs_tval_str(name);
        if (is_param(run, macro, name)) {
            continue;
        }
        if (krs_str_equal(name, KRS_STR("caller")) && macro->has_caller) {
            status = krs_tscope_set(run, run->t->name_caller, &actual->named[i]);
        } else if (macro->has_kwargs) {
            status = krs_trun_set(run, map, &key, &actual->named[i]);
        } else {
            return krs_trun_fail(run, KRS_EINVAL, "macro '%.*s' takes no keyword argument '%.*s'",
                                 KRS_STR_ARGS(macro->title), KRS_STR_ARGS(name));
        }
    }
    if (status != KRS_OK || !macro->has_kwargs) {
        return status;
    }
    const krs_tval value = krs_tval_map(KRS_T_DICT, map);
    return krs_tscope_set(run, run->t->name_kwargs, &value);
}

/* In the macro's fresh scope. A caller that was not given is undefined, whatever is called that
 * outside. */
static krs_status bind_macro(krs_trun *run, const krs_tmacro *macro, const krs_tactual *actual)
{
    krs_status status = KRS_OK;
    if (macro->has_caller) {
        krs_tval none;
        status = krs_trun_undefined(run, KRS_TUNDEF_HINT, 0, KRS_STR("No caller defined"), &none);
        if (status == KRS_OK) {
            status = krs_tscope_set(run, run->t->name_caller, &none);
        }
    }
    for (size_t i = 0; i < macro->n_params && status == KRS_OK; i++) {
        status = bind_param(run, macro, actual, i);
    }
    if (status == KRS_OK) {
        status = bind_varargs(run, macro, actual);
    }
    return status == KRS_OK ? bind_kwargs(run, macro, actual) : status;
}

krs_status krs_tmacro_call(krs_trun *run, const krs_tclosure *closure, const krs_tactual *actual,
                           krs_tval *out)
{
    if (run->n_macro >= KRS_TEMPLATE_MAX_DEPTH) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "macro calls nested deeper than %d",
                             KRS_TEMPLATE_MAX_DEPTH);
    }
    krs_tscope *scope = krs_arena_bytes(&run->values, sizeof(*scope));
    if (!scope) {
        return krs_trun_no_memory(run);
    }
    krs_tscope *outer = run->scope;
    const size_t mark = krs_trun_mark(run);
    scope->parent = closure->scope;
    run->scope = scope;
    run->n_macro++;
    krs_status status = bind_macro(run, closure->macro, actual);
    if (status == KRS_OK) {
        status = krs_texec(run, closure->macro->body);
    }
    run->n_macro--;
    run->scope = outer;
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}
