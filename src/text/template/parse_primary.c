/* text/template/parse_primary.c - the parts of expressions that operators join.
 *
 * Literals, names, and what may follow them: .name, [item], [a:b:c], (call), |filter, is test. A filter
 * or test nobody knows is an error at once, unless it stands in a condition (an if block, or an
 * expression that turns out to have an inline if): Jinja waits there until it is reached, and public
 * templates rely on that.
 *
 * Thread: any; pure.  Memory: the template's arena.  Source: Jinja2 3.1 parser. */
#include "text/template/priv.h"

static void give_children(krs_tnode *node, const krs_tvec *vec)
{
    node->child = (krs_tnode **)vec->items;
    node->n = vec->n;
}

/* ---- literals and names ---- */

static krs_tnode *parse_constant(krs_tparse *p, krs_tval value)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_CONST);
    if (node) {
        node->value = value;
        p->tok++;
    }
    return node;
}

static krs_tnode *parse_name(krs_tparse *p)
{
    static const struct {
        const char *word;
        krs_tval value;
    } words[] = {
        {"true", {.kind = KRS_T_BOOL, .u.b = true}},
        {"True", {.kind = KRS_T_BOOL, .u.b = true}},
        {"false", {.kind = KRS_T_BOOL, .u.b = false}},
        {"False", {.kind = KRS_T_BOOL, .u.b = false}},
        {"none", {.kind = KRS_T_NONE}},
        {"None", {.kind = KRS_T_NONE}},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (krs_tparse_is_word(p, words[i].word)) {
            return parse_constant(p, words[i].value);
        }
    }
    krs_tnode *node = krs_tparse_node(p, KRS_TN_NAME);
    if (!node || !krs_tparse_name(p, p->tok->text, &node->name)) {
        return NULL;
    }
    if (p->macro) {
        p->macro->has_varargs |= node->name == p->t->name_varargs;
        p->macro->has_kwargs |= node->name == p->t->name_kwargs;
        p->macro->has_caller |= node->name == p->t->name_caller;
    }
    p->tok++;
    return node;
}

/* 'a' 'b' is 'ab'. */
static krs_tnode *parse_strings(krs_tparse *p)
{
    krs_tnode *node = parse_constant(p, krs_tval_str(p->tok->text));
    size_t n_bytes = 0;
    const krs_ttok *first = p->tok - 1;
    if (!node || p->tok->kind != KRS_TOK_STRING) {
        return node;
    }
    for (p->tok = first; p->tok->kind == KRS_TOK_STRING; p->tok++) {
        n_bytes += p->tok->text.len;
    }
    char *text = krs_arena_bytes(&p->t->arena, n_bytes);
    if (!text) {
        return krs_tparse_no_memory(p);
    }
    n_bytes = 0;
    for (const krs_ttok *tok = first; tok < p->tok; tok++) {
        memcpy(text + n_bytes, tok->text.ptr, tok->text.len);
        n_bytes += tok->text.len;
    }
    node->value = krs_tval_str((krs_str){text, n_bytes});
    return node;
}

static krs_tnode *parse_list(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_LIST);
    krs_tvec items = {0};
    p->tok++;
    while (node && !krs_tparse_is_op(p, ']')) {
        if (items.n && !krs_tparse_expect_op(p, ',')) {
            return NULL;
        }
        if (krs_tparse_is_op(p, ']')) {
            break;
        }
        if (!krs_tparse_push(p, &items, krs_tparse_expr(p))) {
            return NULL;
        }
    }
    if (!node) {
        return NULL;
    }
    p->tok++;
    give_children(node, &items);
    return node;
}

static krs_tnode *parse_dict(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_DICT);
    krs_tvec items = {0};
    p->tok++;
    while (node && !krs_tparse_is_op(p, '}')) {
        if (items.n && !krs_tparse_expect_op(p, ',')) {
            return NULL;
        }
        if (krs_tparse_is_op(p, '}')) {
            break;
        }
        if (!krs_tparse_push(p, &items, krs_tparse_expr(p)) || !krs_tparse_expect_op(p, ':') ||
            !krs_tparse_push(p, &items, krs_tparse_expr(p))) {
            return NULL;
        }
    }
    if (!node) {
        return NULL;
    }
    p->tok++;
    give_children(node, &items);
    return node;
}

krs_tnode *krs_tparse_primary(krs_tparse *p)
{
    switch (p->tok->kind) {
    case KRS_TOK_NAME:
        return parse_name(p);
    case KRS_TOK_STRING:
        return parse_strings(p);
    case KRS_TOK_INT:
        return parse_constant(p, krs_tval_int(p->tok->u.i));
    case KRS_TOK_FLOAT:
        return parse_constant(p, krs_tval_float(p->tok->u.f));
    default:
        break;
    }
    if (krs_tparse_is_op(p, '(')) {
        return krs_tparse_paren(p);
    }
    if (krs_tparse_is_op(p, '[')) {
        return parse_list(p);
    }
    if (krs_tparse_is_op(p, '{')) {
        return parse_dict(p);
    }
    return krs_tparse_fail(p, KRS_EFORMAT, "expected an expression, got '%.*s'",
                           KRS_STR_ARGS(krs_tparse_describe(p)));
}

/* ---- what follows a primary ---- */

static krs_tnode *parse_attribute(krs_tparse *p, krs_tnode *object)
{
    p->tok++;
    krs_tnode *node = krs_tparse_node(p, KRS_TN_ATTR);
    if (!node) {
        return NULL;
    }
    node->a = object;
    if (p->tok->kind == KRS_TOK_INT) { /* x.0 is x[0] */
        node->kind = KRS_TN_ITEM;
        node->b = parse_constant(p, krs_tval_int(p->tok->u.i));
        return node->b ? node : NULL;
    }
    if (p->tok->kind != KRS_TOK_NAME) {
        return krs_tparse_fail(p, KRS_EFORMAT, "expected name or number after '.', got '%.*s'",
                               KRS_STR_ARGS(krs_tparse_describe(p)));
    }
    node->text = p->tok->text;
    p->tok++;
    return node;
}

static bool is_slice_part_missing(const krs_tparse *p)
{
    return krs_tparse_is_op(p, ':') || krs_tparse_is_op(p, ']');
}

/* :b:c behind the first bound of a slice. */
static bool parse_slice(krs_tparse *p, krs_tnode *node)
{
    krs_tnode **parts = krs_arena_array(&p->t->arena, 3, sizeof(void *));
    if (!parts) {
        return krs_tparse_no_memory(p);
    }
    node->kind = KRS_TN_SLICE;
    node->child = parts;
    parts[0] = node->b;
    for (size_t i = 1; i < 3 && krs_tparse_take_op(p, ':'); i++) {
        if (!is_slice_part_missing(p) && !(parts[i] = krs_tparse_expr(p))) {
            return false;
        }
    }
    return true;
}

static krs_tnode *parse_item(krs_tparse *p, krs_tnode *object)
{
    p->tok++;
    krs_tnode *node = krs_tparse_node(p, KRS_TN_ITEM);
    if (!node) {
        return NULL;
    }
    node->a = object;
    if (!is_slice_part_missing(p) && !(node->b = krs_tparse_tuple(p, true))) {
        return NULL;
    }
    if (krs_tparse_is_op(p, ':')) {
        if (!parse_slice(p, node)) {
            return NULL;
        }
    } else if (!node->b) {
        return krs_tparse_fail(p, KRS_EFORMAT, "expected a subscript");
    }
    return krs_tparse_expect_op(p, ']') ? node : NULL;
}

static bool parse_arg(krs_tparse *p, krs_targ *arg)
{
    arg->kind = KRS_TARG_POSITION;
    if (krs_tparse_take_op(p, '*')) {
        arg->kind = KRS_TARG_LIST;
    } else if (krs_tparse_take_op(p, KRS_TOP_POW)) {
        arg->kind = KRS_TARG_MAP;
    } else if (p->tok->kind == KRS_TOK_NAME && p->tok[1].kind == KRS_TOK_OP &&
               p->tok[1].op == '=') {
        arg->kind = KRS_TARG_NAMED;
        arg->name = p->tok->text;
        p->tok += 2;
    }
    arg->value = krs_tparse_expr(p);
    return arg->value != NULL;
}

/* The arguments up to the closing parenthesis, into a vector. */
static krs_targ *new_arg(krs_tparse *p)
{
    krs_targ *arg = krs_arena_bytes(&p->t->arena, sizeof(*arg));
    if (!arg) {
        return krs_tparse_no_memory(p);
    }
    return parse_arg(p, arg) ? arg : NULL;
}

/* The arguments up to the closing parenthesis, into a vector. */
static bool collect_args(krs_tparse *p, krs_tvec *found)
{
    bool has_named = false;
    while (!krs_tparse_is_op(p, ')')) {
        if (found->n && !krs_tparse_expect_op(p, ',')) {
            return false;
        }
        if (krs_tparse_is_op(p, ')')) {
            break;
        }
        krs_targ *arg = new_arg(p);
        if (!krs_tparse_push(p, found, arg)) {
            return false;
        }
        if (has_named && arg->kind == KRS_TARG_POSITION) {
            return krs_tparse_fail(p, KRS_EFORMAT, "a positional argument after a named one");
        }
        has_named |= arg->kind == KRS_TARG_NAMED || arg->kind == KRS_TARG_MAP;
    }
    p->tok++;
    return true;
}

static bool parse_call_args(krs_tparse *p, krs_tnode *call)
{
    krs_tvec found = {0};
    if (!collect_args(p, &found)) {
        return false;
    }
    krs_targ *args = krs_arena_array(&p->t->arena, found.n + 1, sizeof(*args));
    if (!args) {
        return krs_tparse_no_memory(p);
    }
    for (size_t i = 0; i < found.n; i++) {
        args[i] = *(const krs_targ *)found.items[i];
    }
    call->args = args;
    call->n_args = found.n;
    return true;
}

static krs_tnode *parse_call(krs_tparse *p, krs_tnode *callee)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_CALL);
    p->tok++;
    if (!node || !parse_call_args(p, node)) {
        return NULL;
    }
    node->a = callee;
    return node;
}

/* One link of a chain of .x [x] (x) costs a level: the evaluator walks it by recursion. */
krs_tnode *krs_tparse_postfix(krs_tparse *p, krs_tnode *node)
{
    const uint32_t depth = p->depth;
    while (node && krs_tparse_enter(p)) {
        if (krs_tparse_is_op(p, '.')) {
            node = parse_attribute(p, node);
        } else if (krs_tparse_is_op(p, '[')) {
            node = parse_item(p, node);
        } else if (krs_tparse_is_op(p, '(')) {
            node = parse_call(p, node);
        } else {
            break;
        }
    }
    p->depth = depth;
    return p->status == KRS_OK ? node : NULL;
}

/* Fill node's fn; an unknown name is left for the end of the expression, or for run time. */
static bool resolve(krs_tparse *p, krs_tnode *node, const krs_tbuiltin *fn, const char *what)
{
    node->fn = fn;
    if (fn || p->n_soft) {
        return true;
    }
    if (p->n_nested) {
        p->unknown = p->unknown ? p->unknown : node;
        return true;
    }
    return krs_tparse_fail(p, KRS_EUNSUPPORTED, "No %s named '%.*s' found.", what,
                           KRS_STR_ARGS(node->text));
}

/* The name of a filter or test. */
static bool parse_word(krs_tparse *p, krs_tnode *node)
{
    node->text = p->tok->text;
    if (p->tok->kind != KRS_TOK_NAME) {
        return krs_tparse_fail(p, KRS_EFORMAT, "expected a filter or test name, got '%.*s'",
                               KRS_STR_ARGS(krs_tparse_describe(p)));
    }
    p->tok++;
    return true;
}

krs_tnode *krs_tparse_filter(krs_tparse *p, krs_tnode *input)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_FILTER);
    if (!node || !parse_word(p, node)) {
        return NULL;
    }
    node->a = input;
    if (krs_tparse_take_op(p, '(') && !parse_call_args(p, node)) {
        return NULL;
    }
    return resolve(p, node, krs_tfilter_find(node->text), "filter") ? node : NULL;
}

/* May the current token start the bare argument of a test, as in `x is divisibleby 3`? */
static bool starts_test_arg(const krs_tparse *p)
{
    const uint8_t kind = p->tok->kind;
    if (kind == KRS_TOK_NAME) {
        return !krs_tparse_is_word(p, "else") && !krs_tparse_is_word(p, "or") &&
               !krs_tparse_is_word(p, "and");
    }
    return kind == KRS_TOK_STRING || kind == KRS_TOK_INT || kind == KRS_TOK_FLOAT ||
           krs_tparse_is_op(p, '[') || krs_tparse_is_op(p, '{');
}

static bool parse_bare_arg(krs_tparse *p, krs_tnode *test)
{
    if (krs_tparse_is_word(p, "is")) {
        return krs_tparse_fail(p, KRS_EFORMAT, "tests cannot be chained with is");
    }
    krs_targ *arg = krs_arena_bytes(&p->t->arena, sizeof(*arg));
    if (!arg) {
        return krs_tparse_no_memory(p);
    }
    arg->value = krs_tparse_postfix(p, krs_tparse_primary(p));
    test->args = arg;
    test->n_args = 1;
    return arg->value != NULL;
}

static krs_tnode *parse_test(krs_tparse *p, krs_tnode *input)
{
    p->tok++;
    const bool is_not = krs_tparse_take_word(p, "not");
    krs_tnode *node = krs_tparse_node(p, KRS_TN_TEST);
    if (!node || !parse_word(p, node)) {
        return NULL;
    }
    node->a = input;
    if (krs_tparse_take_op(p, '(')) {
        if (!parse_call_args(p, node)) {
            return NULL;
        }
    } else if (starts_test_arg(p) && !parse_bare_arg(p, node)) {
        return NULL;
    }
    if (!resolve(p, node, krs_ttest_find(node->text), "test")) {
        return NULL;
    }
    if (!is_not) {
        return node;
    }
    krs_tnode *negated = krs_tparse_node(p, KRS_TN_NOT);
    if (negated) {
        negated->a = node;
    }
    return negated;
}

krs_tnode *krs_tparse_filters(krs_tparse *p, krs_tnode *node)
{
    const uint32_t depth = p->depth;
    while (node && krs_tparse_enter(p)) {
        if (krs_tparse_take_op(p, '|')) {
            node = krs_tparse_filter(p, node);
        } else if (krs_tparse_is_word(p, "is")) {
            node = parse_test(p, node);
        } else if (krs_tparse_is_op(p, '(')) {
            node = parse_call(p, node);
        } else {
            break;
        }
    }
    p->depth = depth;
    return p->status == KRS_OK ? node : NULL;
}
