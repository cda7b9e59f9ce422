/* text/template/parse_expr.c - expressions of a chat template: tokens to tree.
 *
 * Binding, loosest first:
 *   a if c else b | or | and | not | == != < > <= >= in | + - | ~ | * / // % | ** | unary - + |
 *   .name [item] (call) | filter, is test
 * Two of Jinja's ways differ from Python's: ~ binds tighter than +, and ** groups from the left. A
 * filter takes the sign with it: -1|abs is 1.
 *
 * Thread: any; pure.  Memory: the template's arena.  Source: Jinja2 3.1 parser. */
#include "text/template/priv.h"

static krs_tnode *parse_expr_in(krs_tparse *p, bool has_cond);

static krs_tnode *binary(krs_tparse *p, krs_tnode_kind kind, krs_tnode *a, krs_tnode *b)
{
    krs_tnode *node = a && b ? krs_tparse_node(p, kind) : NULL;
    if (node) {
        node->a = a;
        node->b = b;
        node->line = a->line;
    }
    return node;
}

static void give_children(krs_tnode *node, const krs_tvec *vec)
{
    node->child = (krs_tnode **)vec->items;
    node->n = vec->n;
}

/* ---- operators ---- */

static krs_tnode *parse_unary(krs_tparse *p, bool has_filter)
{
    krs_tnode *node = NULL;
    if (!krs_tparse_enter(p)) {
        return NULL;
    }
    if (krs_tparse_is_op(p, '-') || krs_tparse_is_op(p, '+')) {
        node = krs_tparse_node(p, krs_tparse_is_op(p, '-') ? KRS_TN_NEG : KRS_TN_POS);
        p->tok++;
        if (node && !(node->a = parse_unary(p, false))) {
            return NULL;
        }
    } else {
        node = krs_tparse_primary(p);
    }
    node = node ? krs_tparse_postfix(p, node) : NULL;
    node = node && has_filter ? krs_tparse_filters(p, node) : node;
    p->depth--;
    return node;
}

static bool is_op_of(const krs_tparse *p, const uint8_t *ops)
{
    for (; *ops; ops++) {
        if (krs_tparse_is_op(p, *ops)) {
            return true;
        }
    }
    return false;
}

typedef krs_tnode *(*operand_fn)(krs_tparse *p);

/* operand (op operand)*, grouping from the left. Each link costs a level of nesting. */
static krs_tnode *parse_left(krs_tparse *p, const uint8_t *ops, operand_fn operand)
{
    const uint32_t depth = p->depth;
    krs_tnode *node = operand(p);
    while (node && is_op_of(p, ops)) {
        const uint8_t op = p->tok->op;
        p->tok++;
        if (!krs_tparse_enter(p)) {
            return NULL;
        }
        node = binary(p, KRS_TN_BINARY, node, operand(p));
        if (node) {
            node->op = op;
        }
    }
    p->depth = depth;
    return node;
}

static krs_tnode *parse_operand(krs_tparse *p)
{
    return parse_unary(p, true);
}

static krs_tnode *parse_power(krs_tparse *p)
{
    static const uint8_t ops[] = {KRS_TOP_POW, 0};
    return parse_left(p, ops, parse_operand);
}

static krs_tnode *parse_product(krs_tparse *p)
{
    static const uint8_t ops[] = {'*', '/', KRS_TOP_FLOORDIV, '%', 0};
    return parse_left(p, ops, parse_power);
}

static krs_tnode *parse_concat(krs_tparse *p)
{
    krs_tnode *first = parse_product(p);
    if (!first || !krs_tparse_is_op(p, '~')) {
        return first;
    }
    krs_tnode *node = krs_tparse_node(p, KRS_TN_CONCAT);
    krs_tvec parts = {0};
    if (!node || !krs_tparse_push(p, &parts, first)) {
        return NULL;
    }
    while (krs_tparse_take_op(p, '~')) {
        if (!krs_tparse_push(p, &parts, parse_product(p))) {
            return NULL;
        }
    }
    give_children(node, &parts);
    return node;
}

static krs_tnode *parse_sum(krs_tparse *p)
{
    static const uint8_t ops[] = {'+', '-', 0};
    return parse_left(p, ops, parse_concat);
}

/* The comparison at the current token, taken; 0 when there is none. */
static uint8_t take_comparison(krs_tparse *p)
{
    static const uint8_t ops[] = {KRS_TOP_EQ, KRS_TOP_NE, '<', KRS_TOP_LE, '>', KRS_TOP_GE, 0};
    if (is_op_of(p, ops)) {
        return (p->tok++)->op;
    }
    if (krs_tparse_take_word(p, "in")) {
        return KRS_TOP_IN;
    }
    if (krs_tparse_is_word(p, "not") && p->tok[1].kind == KRS_TOK_NAME &&
        krs_str_equal(p->tok[1].text, KRS_STR("in"))) {
        p->tok += 2;
        return KRS_TOP_NOT_IN;
    }
    return 0;
}

static krs_tnode *parse_comparison(krs_tparse *p)
{
    krs_tnode *first = parse_sum(p);
    uint8_t op = first ? take_comparison(p) : 0;
    if (!op) {
        return first;
    }
    krs_tnode *node = krs_tparse_node(p, KRS_TN_COMPARE);
    krs_tvec parts = {0};
    uint8_t ops[KRS_TEMPLATE_MAX_DEPTH];
    size_t n = 0;
    bool is_ok = node && krs_tparse_push(p, &parts, first);
    for (; is_ok && op; op = take_comparison(p)) {
        if (n == sizeof(ops)) {
            return krs_tparse_fail(p, KRS_ETOOLARGE, "more than %zu comparisons in a chain", n);
        }
        ops[n++] = op;
        is_ok = krs_tparse_push(p, &parts, parse_sum(p));
    }
    const krs_str kept =
        is_ok ? krs_arena_copy(&p->t->arena, (krs_str){(const char *)ops, n}) : (krs_str){NULL, 0};
    if (!kept.ptr) {
        return krs_tparse_no_memory(p);
    }
    node->ops = (const uint8_t *)kept.ptr;
    give_children(node, &parts);
    return node;
}

static krs_tnode *parse_not(krs_tparse *p)
{
    if (!krs_tparse_is_word(p, "not")) {
        return parse_comparison(p);
    }
    if (!krs_tparse_enter(p)) {
        return NULL;
    }
    krs_tnode *node = krs_tparse_node(p, KRS_TN_NOT);
    p->tok++;
    if (node && !(node->a = parse_not(p))) {
        return NULL;
    }
    p->depth--;
    return node;
}

static krs_tnode *parse_and(krs_tparse *p)
{
    const uint32_t depth = p->depth;
    krs_tnode *node = parse_not(p);
    while (node && krs_tparse_take_word(p, "and")) {
        node = krs_tparse_enter(p) ? binary(p, KRS_TN_AND, node, parse_not(p)) : NULL;
    }
    p->depth = depth;
    return node;
}

static krs_tnode *parse_or(krs_tparse *p)
{
    const uint32_t depth = p->depth;
    krs_tnode *node = parse_and(p);
    while (node && krs_tparse_take_word(p, "or")) {
        node = krs_tparse_enter(p) ? binary(p, KRS_TN_OR, node, parse_and(p)) : NULL;
    }
    p->depth = depth;
    return node;
}

static krs_tnode *parse_cond(krs_tparse *p)
{
    krs_tnode *node = parse_or(p);
    while (node && krs_tparse_take_word(p, "if")) {
        krs_tnode *cond = krs_tparse_enter(p) ? parse_or(p) : NULL;
        node = binary(p, KRS_TN_COND, node, cond);
        if (node && krs_tparse_take_word(p, "else") && !(node->c = krs_tparse_expr(p))) {
            return NULL;
        }
        p->unknown = NULL; /* all of an inline if counts as conditional */
    }
    return node;
}

/* An expression; on leaving the outermost one, unknown filters outside inline ifs are errors. */
static krs_tnode *parse_expr_in(krs_tparse *p, bool has_cond)
{
    const uint32_t depth = p->depth;
    const krs_tnode *outer = p->unknown;
    p->unknown = NULL;
    p->n_nested++;
    krs_tnode *node = NULL;
    if (krs_tparse_enter(p)) {
        node = has_cond ? parse_cond(p) : parse_or(p);
    }
    p->n_nested--;
    p->depth = depth;
    p->unknown = outer ? outer : p->unknown;
    if (p->n_nested == 0 && p->unknown) {
        const char *what = p->unknown->kind == KRS_TN_TEST ? "test" : "filter";
        return krs_tparse_fail(p, KRS_EUNSUPPORTED, "No %s named '%.*s' found.", what,
                               KRS_STR_ARGS(p->unknown->text));
    }
    return node;
}

krs_tnode *krs_tparse_expr(krs_tparse *p)
{
    return parse_expr_in(p, true);
}

/* ---- tuples and targets ---- */

static bool is_tuple_end(const krs_tparse *p)
{
    return p->tok->kind == KRS_TOK_VAR_END || p->tok->kind == KRS_TOK_BLOCK_END ||
           krs_tparse_is_op(p, ')') || krs_tparse_is_op(p, ']') || krs_tparse_is_op(p, '=') ||
           krs_tparse_is_word(p, "in") || krs_tparse_is_word(p, "recursive");
}

typedef enum element {
    ELEMENT_EXPR,
    ELEMENT_NO_COND,
    ELEMENT_TARGET,
    ELEMENT_TARGET_NSREF,
} element;

static krs_tnode *parse_element(krs_tparse *p, element what)
{
    if (what == ELEMENT_EXPR || what == ELEMENT_NO_COND) {
        return parse_expr_in(p, what == ELEMENT_EXPR);
    }
    krs_tnode *node = krs_tparse_primary(p);
    if (node && what == ELEMENT_TARGET_NSREF && node->kind == KRS_TN_NAME &&
        krs_tparse_take_op(p, '.')) {
        node->kind = KRS_TN_NSREF;
        node->text = p->tok->text;
        if (p->tok->kind != KRS_TOK_NAME) {
            return krs_tparse_fail(p, KRS_EFORMAT, "expected an attribute name");
        }
        p->tok++;
    }
    return node;
}

/* One element, or several with commas between them as a tuple; `()` only where may_be_empty. */
static krs_tnode *parse_elements(krs_tparse *p, element what, bool may_be_empty)
{
    krs_tvec parts = {0};
    bool is_tuple = may_be_empty && is_tuple_end(p);
    while (!is_tuple || (parts.n && !is_tuple_end(p))) {
        if (!krs_tparse_push(p, &parts, parse_element(p, what))) {
            return NULL;
        }
        if (!krs_tparse_take_op(p, ',')) {
            break;
        }
        is_tuple = true;
    }
    if (!is_tuple) {
        return parts.items[0];
    }
    krs_tnode *node = krs_tparse_node(p, KRS_TN_TUPLE);
    if (node) {
        give_children(node, &parts);
    }
    return node;
}

krs_tnode *krs_tparse_tuple(krs_tparse *p, bool has_cond)
{
    return parse_elements(p, has_cond ? ELEMENT_EXPR : ELEMENT_NO_COND, false);
}

krs_tnode *krs_tparse_paren(krs_tparse *p)
{
    p->tok++;
    krs_tnode *node = krs_tparse_enter(p) ? parse_elements(p, ELEMENT_EXPR, true) : NULL;
    if (!node || !krs_tparse_expect_op(p, ')')) {
        return NULL;
    }
    p->depth--;
    return node;
}

static bool is_target(krs_tparse *p, const krs_tnode *node)
{
    if (node->kind == KRS_TN_NAME || node->kind == KRS_TN_NSREF) {
        return true;
    }
    if (node->kind != KRS_TN_TUPLE) {
        return krs_tparse_fail(p, KRS_EFORMAT, "this cannot be assigned to");
    }
    for (size_t i = 0; i < node->n; i++) {
        if (!is_target(p, node->child[i])) {
            return false;
        }
    }
    return true;
}

krs_tnode *krs_tparse_target(krs_tparse *p, bool has_nsref)
{
    krs_tnode *node = parse_elements(p, has_nsref ? ELEMENT_TARGET_NSREF : ELEMENT_TARGET, false);
    return node && is_target(p, node) ? node : NULL;
}
