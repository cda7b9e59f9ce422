/* text/template/eval.c - statements of a chat template, executed.
 *
 * Scopes follow Jinja's: a loop body (each iteration afresh), a macro body, and the body of a capturing
 * block have their own; `if` has none. Assigning never reaches through a scope, which is what the
 * `namespace` objects are for.
 *
 * Output goes to run->out. A capture (block set, filter block, macro) notes how long the output is,
 * writes behind that, and takes its part off the end again, so captures nest without buffers of their
 * own.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 compiler. */
#include "text/template/run.h"

typedef krs_status (*exec_fn)(krs_trun *run, const krs_tnode *node);

krs_status krs_tscope_set(krs_trun *run, uint32_t name, const krs_tval *value)
{
    krs_tscope *scope = run->scope;
    for (size_t i = 0; i < scope->n; i++) {
        if (scope->vars[i].name == name) {
            scope->vars[i].value = *value;
            return KRS_OK;
        }
    }
    if (scope->n == scope->cap) {
        const size_t cap = scope->cap ? 2 * scope->cap : 4;
        krs_tvar *vars = krs_arena_array(&run->values, cap, sizeof(*vars));
        if (!vars) {
            return krs_trun_no_memory(run);
        }
        if (scope->n) {
            memcpy(vars, scope->vars, scope->n * sizeof(*vars));
        }
        scope->vars = vars;
        scope->cap = cap;
    }
    scope->vars[scope->n++] = (krs_tvar){name, *value};
    return KRS_OK;
}

/* ---- assignment ---- */

static krs_status assign_tuple(krs_trun *run, const krs_tnode *target, const krs_tval *value)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(run, value, &items, &n);
    if (status != KRS_OK) {
        return status;
    }
    if (n < target->n) {
        return krs_trun_fail(run, KRS_EINVAL, "not enough values to unpack (expected %zu, got %zu)",
                             target->n, n);
    }
    if (n > target->n) {
        return krs_trun_fail(run, KRS_EINVAL, "too many values to unpack (expected %zu)",
                             target->n);
    }
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = krs_tassign(run, target->child[i], &items[i]);
    }
    return status;
}

static krs_status assign_attribute(krs_trun *run, const krs_tnode *target, const krs_tval *value)
{
    krs_tval object;
    krs_tnode name = {.kind = KRS_TN_NAME, .line = target->line, .name = target->name};
    krs_status status = krs_teval(run, &name, &object);
    if (status != KRS_OK) {
        return status;
    }
    if (object.kind != KRS_T_NAMESPACE) {
        return krs_trun_fail(run, KRS_EINVAL, "cannot assign attribute on non-namespace object");
    }
    const krs_tval key = krs_tval_str(target->text);
    return krs_trun_set(run, object.u.map, &key, value);
}

krs_status krs_tassign(krs_trun *run, const krs_tnode *target, const krs_tval *value)
{
    if (target->kind == KRS_TN_NAME) {
        return krs_tscope_set(run, target->name, value);
    }
    if (target->kind == KRS_TN_NSREF) {
        return assign_attribute(run, target, value);
    }
    krs_status status = krs_trun_enter(run);
    if (status == KRS_OK) {
        status = assign_tuple(run, target, value);
        krs_trun_leave(run);
    }
    return status;
}

/* ---- statements ---- */

static krs_status exec_body(krs_trun *run, const krs_tnode *node)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; i < node->n && status == KRS_OK && run->flow == KRS_FLOW_ON; i++) {
        status = krs_texec(run, node->child[i]);
    }
    return status;
}

static krs_status exec_text(krs_trun *run, const krs_tnode *node)
{
    return krs_trun_write(run, node->text);
}

static krs_status exec_output(krs_trun *run, const krs_tnode *node)
{
    krs_tval value;
    krs_status status = krs_teval(run, node->a, &value);
    return status == KRS_OK ? krs_tput_str(run, &value) : status;
}

static krs_status exec_if(krs_trun *run, const krs_tnode *node)
{
    for (size_t i = 0; i < node->n; i += 2) {
        krs_tval cond;
        krs_status status = krs_teval(run, node->child[i], &cond);
        if (status != KRS_OK) {
            return status;
        }
        if (krs_top_is_true(&cond)) {
            return krs_texec(run, node->child[i + 1]);
        }
    }
    return node->c ? krs_texec(run, node->c) : KRS_OK;
}

static krs_status exec_set(krs_trun *run, const krs_tnode *node)
{
    krs_tval value;
    krs_status status = krs_teval(run, node->b, &value);
    return status == KRS_OK ? krs_tassign(run, node->a, &value) : status;
}

/* Run body in a scope of its own. */
static krs_status exec_scoped_body(krs_trun *run, const krs_tnode *body)
{
    krs_tscope scope = {.parent = run->scope};
    krs_tscope *kept = krs_arena_bytes(&run->values, sizeof(*kept));
    if (!kept) {
        return krs_trun_no_memory(run);
    }
    *kept = scope;
    run->scope = kept;
    krs_status status = krs_texec(run, body);
    run->scope = kept->parent;
    return status;
}

static krs_status exec_scoped(krs_trun *run, const krs_tnode *node)
{
    return exec_scoped_body(run, node->child[0]);
}

/* The text of body, passed through the filters over it. */
static krs_status capture(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    const size_t mark = krs_trun_mark(run);
    krs_tval text = krs_tval_none();
    krs_status status = exec_scoped_body(run, node->child[0]);
    if (status == KRS_OK) {
        status = krs_trun_take(run, mark, &text);
    }
    if (status != KRS_OK) {
        return status;
    }
    const krs_tval outer = run->input;
    run->input = text;
    status = krs_teval(run, node->b, out);
    run->input = outer;
    return status;
}

static krs_status exec_set_block(krs_trun *run, const krs_tnode *node)
{
    krs_tval value;
    krs_status status = capture(run, node, &value);
    return status == KRS_OK ? krs_tassign(run, node->a, &value) : status;
}

static krs_status exec_filter_block(krs_trun *run, const krs_tnode *node)
{
    krs_tval value;
    krs_status status = capture(run, node, &value);
    return status == KRS_OK ? krs_tput_str(run, &value) : status;
}

static krs_status exec_macro(krs_trun *run, const krs_tnode *node)
{
    krs_tclosure *closure = krs_arena_bytes(&run->values, sizeof(*closure));
    if (!closure) {
        return krs_trun_no_memory(run);
    }
    *closure = (krs_tclosure){node->macro, run->scope};
    const krs_tval value = {.kind = KRS_T_MACRO, .u.macro = closure};
    return krs_tscope_set(run, node->name, &value);
}

static krs_status exec_call_block(krs_trun *run, const krs_tnode *node)
{
    krs_tval value;
    krs_status status = krs_tcall_block(run, node, &value);
    return status == KRS_OK ? krs_tput_str(run, &value) : status;
}

/* The values of `with` are computed outside its scope, all before any is assigned. */
static krs_status exec_with(krs_trun *run, const krs_tnode *node)
{
    const size_t n_pairs = (node->n - 1) / 2;
    krs_tval *values = NULL;
    krs_status status = krs_trun_array(run, n_pairs, &values);
    for (size_t i = 0; i < n_pairs && status == KRS_OK; i++) {
        status = krs_teval(run, node->child[2 * i + 1], &values[i]);
    }
    krs_tscope *scope = krs_arena_bytes(&run->values, sizeof(*scope));
    if (status != KRS_OK || !scope) {
        return status != KRS_OK ? status : krs_trun_no_memory(run);
    }
    scope->parent = run->scope;
    run->scope = scope;
    for (size_t i = 0; i < n_pairs && status == KRS_OK; i++) {
        status = krs_tassign(run, node->child[2 * i], &values[i]);
    }
    if (status == KRS_OK) {
        status = krs_texec(run, node->child[node->n - 1]);
    }
    run->scope = scope->parent;
    return status;
}

static krs_status exec_break(krs_trun *run, const krs_tnode *node)
{
    run->flow = node->kind == KRS_TN_BREAK ? KRS_FLOW_BREAK : KRS_FLOW_CONTINUE;
    return KRS_OK;
}

static const exec_fn statements[KRS_TNODE_KIND_COUNT] = {
    [KRS_TN_BODY] = exec_body,
    [KRS_TN_TEXT] = exec_text,
    [KRS_TN_OUTPUT] = exec_output,
    [KRS_TN_IF] = exec_if,
    [KRS_TN_FOR] = krs_tfor,
    [KRS_TN_SET] = exec_set,
    [KRS_TN_SETBLOCK] = exec_set_block,
    [KRS_TN_MACRO] = exec_macro,
    [KRS_TN_CALLBLOCK] = exec_call_block,
    [KRS_TN_FILTERBLOCK] = exec_filter_block,
    [KRS_TN_WITH] = exec_with,
    [KRS_TN_SCOPED] = exec_scoped,
    [KRS_TN_BREAK] = exec_break,
    [KRS_TN_CONTINUE] = exec_break,
};

krs_status krs_texec(krs_trun *run, const krs_tnode *node)
{
    krs_status status = krs_trun_enter(run);
    if (status != KRS_OK) {
        return status;
    }
    run->line = node->line;
    status = statements[node->kind](run, node);
    krs_trun_leave(run);
    return status;
}
