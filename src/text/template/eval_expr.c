/* text/template/eval_expr.c - expressions of a chat template, evaluated.
 *
 * One function for each kind of node, in a table. Every evaluation pays a step and holds a level of
 * depth, so neither a loop nor a nest of values or calls can run away.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 compiler. */
#include "text/template/run.h"

typedef krs_status (*eval_fn)(krs_trun *run, const krs_tnode *node, krs_tval *out);

static krs_status eval_const(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    (void)run;
    *out = node->value;
    return KRS_OK;
}

static krs_status eval_name(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    for (const krs_tscope *scope = run->scope; scope; scope = scope->parent) {
        for (size_t i = 0; i < scope->n; i++) {
            if (scope->vars[i].name == node->name) {
                *out = scope->vars[i].value;
                return KRS_OK;
            }
        }
    }
    *out = run->base[node->name];
    if (out->kind != KRS_T_ABSENT) {
        return KRS_OK;
    }
    const krs_str name = *(const krs_str *)run->t->names.items[node->name];
    return krs_trun_undefined(run, KRS_TUNDEF_NAME, 0, name, out);
}

static krs_status eval_children(krs_trun *run, const krs_tnode *node, krs_tval **out)
{
    krs_status status = krs_trun_array(run, node->n, out);
    for (size_t i = 0; i < node->n && status == KRS_OK; i++) {
        status = krs_teval(run, node->child[i], &(*out)[i]);
    }
    return status;
}

static krs_status eval_list(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval *items = NULL;
    krs_status status = eval_children(run, node, &items);
    const krs_tkind kind = node->kind == KRS_TN_LIST ? KRS_T_LIST : KRS_T_TUPLE;
    return status == KRS_OK ? krs_trun_seq(run, kind, items, node->n, out) : status;
}

static krs_status eval_dict(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tmap *map = krs_tmap_new(&run->values, node->n / 2);
    if (!map) {
        return krs_trun_no_memory(run);
    }
    for (size_t i = 0; i < node->n; i += 2) {
        krs_tval key;
        krs_tval value;
        krs_status status = krs_teval(run, node->child[i], &key);
        if (status == KRS_OK) {
            status = krs_teval(run, node->child[i + 1], &value);
        }
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

static krs_status eval_attribute(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval object;
    krs_status status = krs_teval(run, node->a, &object);
    return status == KRS_OK ? krs_top_attribute(run, &object, node->text, out) : status;
}

static krs_status eval_item(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval object;
    krs_tval key;
    krs_status status = krs_teval(run, node->a, &object);
    if (status == KRS_OK) {
        status = krs_teval(run, node->b, &key);
    }
    return status == KRS_OK ? krs_top_subscript(run, &object, &key, out) : status;
}

static krs_status eval_slice(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval object;
    krs_tval bound[3] = {krs_tval_none(), krs_tval_none(), krs_tval_none()};
    krs_status status = krs_teval(run, node->a, &object);
    for (size_t i = 0; i < 3 && status == KRS_OK; i++) {
        if (node->child[i]) {
            status = krs_teval(run, node->child[i], &bound[i]);
        }
    }
    return status == KRS_OK ? krs_top_slice(run, &object, bound, out) : status;
}

static krs_status eval_not(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval value;
    krs_status status = krs_teval(run, node->a, &value);
    *out = krs_tval_bool(status == KRS_OK && !krs_top_is_true(&value));
    return status;
}

static krs_status eval_sign(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval value;
    krs_status status = krs_teval(run, node->a, &value);
    return status == KRS_OK ? krs_top_negate(run, &value, node->kind == KRS_TN_NEG, out) : status;
}

static krs_status eval_binary(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval a;
    krs_tval b;
    krs_status status = krs_teval(run, node->a, &a);
    if (status == KRS_OK) {
        status = krs_teval(run, node->b, &b);
    }
    return status == KRS_OK ? krs_top_binary(run, node->op, &a, &b, out) : status;
}

static krs_status eval_concat(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval *parts = NULL;
    krs_status status = eval_children(run, node, &parts);
    krs_str joined = {"", 0};
    for (size_t i = 0; i < node->n && status == KRS_OK; i++) {
        krs_tval text;
        status = krs_tstr(run, &parts[i], &text);
        if (status == KRS_OK) {
            status = krs_trun_join(run, joined, text.u.s, &joined);
        }
    }
    *out = krs_tval_str(joined);
    return status;
}

static krs_status eval_compare(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval left;
    bool is_true = true;
    krs_status status = krs_teval(run, node->child[0], &left);
    for (size_t i = 1; i < node->n && status == KRS_OK && is_true; i++) {
        krs_tval right;
        status = krs_teval(run, node->child[i], &right);
        if (status == KRS_OK) {
            status = krs_top_compare(run, node->ops[i - 1], &left, &right, &is_true);
            left = right;
        }
    }
    *out = krs_tval_bool(is_true);
    return status;
}

/* `and`, `or`: the deciding operand itself, as in Python. */
static krs_status eval_logic(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_status status = krs_teval(run, node->a, out);
    if (status != KRS_OK || krs_top_is_true(out) == (node->kind == KRS_TN_OR)) {
        return status;
    }
    return krs_teval(run, node->b, out);
}

static krs_status eval_cond(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    krs_tval cond;
    krs_status status = krs_teval(run, node->b, &cond);
    if (status != KRS_OK) {
        return status;
    }
    if (krs_top_is_true(&cond)) {
        return krs_teval(run, node->a, out);
    }
    if (node->c) {
        return krs_teval(run, node->c, out);
    }
    return krs_trun_undefined(run, KRS_TUNDEF_HINT, 0,
                              KRS_STR("the inline if-expression evaluated to false and no else "
                                      "section was defined."),
                              out);
}

static krs_status eval_input(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    (void)node;
    *out = run->input;
    return KRS_OK;
}

static const eval_fn expressions[KRS_TNODE_KIND_COUNT] = {
    [KRS_TN_CONST] = eval_const,     [KRS_TN_NAME] = eval_name,
    [KRS_TN_LIST] = eval_list,       [KRS_TN_TUPLE] = eval_list,
    [KRS_TN_DICT] = eval_dict,       [KRS_TN_ATTR] = eval_attribute,
    [KRS_TN_ITEM] = eval_item,       [KRS_TN_SLICE] = eval_slice,
    [KRS_TN_CALL] = krs_teval_call,  [KRS_TN_FILTER] = krs_teval_filter,
    [KRS_TN_TEST] = krs_teval_test,  [KRS_TN_NOT] = eval_not,
    [KRS_TN_NEG] = eval_sign,        [KRS_TN_POS] = eval_sign,
    [KRS_TN_BINARY] = eval_binary,   [KRS_TN_CONCAT] = eval_concat,
    [KRS_TN_COMPARE] = eval_compare, [KRS_TN_AND] = eval_logic,
    [KRS_TN_OR] = eval_logic,        [KRS_TN_COND] = eval_cond,
    [KRS_TN_INPUT] = eval_input,
};

krs_status krs_teval(krs_trun *run, const krs_tnode *node, krs_tval *out)
{
    *out = krs_tval_none();
    krs_status status = krs_trun_enter(run);
    if (status != KRS_OK) {
        return status;
    }
    run->line = node->line;
    status = expressions[node->kind](run, node, out);
    krs_trun_leave(run);
    return status;
}
