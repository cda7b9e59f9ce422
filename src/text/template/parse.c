/* text/template/parse.c - statements of a chat template: tokens to tree.
 *
 * Recursive descent, one function for each tag, dispatched from a table. Tags that would reach outside
 * the template (include, import, extends) or that transformers does not enable (do, trans) are refused
 * by name with KRS_EUNSUPPORTED: a template that needs them would render wrong, not slightly different.
 *
 * Thread: any; pure.  Memory: the template's arena.  Source: Jinja2 3.1 parser. */
#include "text/template/priv.h"

typedef krs_tnode *(*tag_fn)(krs_tparse *p);

static krs_tnode *parse_body(krs_tparse *p, const char *const *ends);

static bool expect_kind(krs_tparse *p, krs_ttok_kind kind, const char *what)
{
    if (p->tok->kind == (uint8_t)kind) {
        p->tok++;
        return true;
    }
    return krs_tparse_fail(p, KRS_EFORMAT, "expected %s, got '%.*s'", what,
                           KRS_STR_ARGS(krs_tparse_describe(p)));
}

static bool expect_word(krs_tparse *p, const char *word)
{
    if (krs_tparse_take_word(p, word)) {
        return true;
    }
    return krs_tparse_fail(p, KRS_EFORMAT, "expected '%s', got '%.*s'", word,
                           KRS_STR_ARGS(krs_tparse_describe(p)));
}

static bool close_tag(krs_tparse *p)
{
    return expect_kind(p, KRS_TOK_BLOCK_END, "end of statement block");
}

/* The body up to one of `ends`, then that word and, unless it is followed by more, its tag's end. */
static krs_tnode *parse_block(krs_tparse *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    krs_tnode *body = close_tag(p) ? parse_body(p, ends) : NULL;
    return body && expect_word(p, end) && close_tag(p) ? body : NULL;
}

static void give_children(krs_tnode *node, const krs_tvec *parts)
{
    node->child = (krs_tnode **)parts->items;
    node->n = parts->n;
}

static bool only_child(krs_tparse *p, krs_tnode *node, krs_tnode *child)
{
    krs_tvec vec = {0};
    if (!krs_tparse_push(p, &vec, child)) {
        return false;
    }
    give_children(node, &vec);
    return true;
}

/* ---- tags ---- */

static krs_tnode *parse_if(krs_tparse *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    krs_tnode *node = krs_tparse_node(p, KRS_TN_IF);
    krs_tvec parts = {0};
    if (!node) {
        return NULL;
    }
    p->n_soft++;
    do {
        krs_tnode *cond = krs_tparse_tuple(p, false);
        if (!krs_tparse_push(p, &parts, cond) || !close_tag(p) ||
            !krs_tparse_push(p, &parts, parse_body(p, ends))) {
            return NULL;
        }
    } while (krs_tparse_take_word(p, "elif"));
    give_children(node, &parts);
    if (krs_tparse_take_word(p, "else")) {
        node->c = parse_block(p, "endif");
    } else if (!expect_word(p, "endif") || !close_tag(p)) {
        return NULL;
    }
    p->n_soft--;
    return p->status == KRS_OK ? node : NULL;
}

/* for TARGET in ITERABLE [if CONDITION] [recursive] */
static bool parse_for_head(krs_tparse *p, krs_tnode *node)
{
    node->a = krs_tparse_target(p, false);
    if (!node->a || !expect_word(p, "in")) {
        return false;
    }
    node->b = krs_tparse_tuple(p, false);
    if (node->b && krs_tparse_take_word(p, "if")) {
        node->c = krs_tparse_expr(p);
    }
    node->is_recursive = krs_tparse_take_word(p, "recursive");
    return p->status == KRS_OK && close_tag(p);
}

static krs_tnode *parse_for(krs_tparse *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    krs_tnode *node = krs_tparse_node(p, KRS_TN_FOR);
    krs_tvec parts = {0};
    if (!node || !parse_for_head(p, node)) {
        return NULL;
    }
    p->n_loops++;
    if (!krs_tparse_push(p, &parts, parse_body(p, ends))) {
        return NULL;
    }
    p->n_loops--;
    if (krs_tparse_take_word(p, "else")) {
        if (!krs_tparse_push(p, &parts, parse_block(p, "endfor"))) {
            return NULL;
        }
    } else if (!expect_word(p, "endfor") || !close_tag(p)) {
        return NULL;
    }
    give_children(node, &parts);
    return node;
}

/* Filters after a block's head, `| upper | trim`, over the captured text. */
static krs_tnode *parse_block_filters(krs_tparse *p, bool has_first)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_INPUT);
    while (node && (has_first || krs_tparse_take_op(p, '|'))) {
        has_first = false;
        node = krs_tparse_filter(p, node);
    }
    return node;
}

static krs_tnode *parse_set(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_SET);
    if (!node || !(node->a = krs_tparse_target(p, true))) {
        return NULL;
    }
    if (krs_tparse_take_op(p, '=')) {
        node->b = krs_tparse_tuple(p, true);
        return node->b && close_tag(p) ? node : NULL;
    }
    node->kind = KRS_TN_SETBLOCK;
    node->b = parse_block_filters(p, false);
    return node->b && only_child(p, node, parse_block(p, "endset")) ? node : NULL;
}

static krs_tnode *parse_filter_block(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_FILTERBLOCK);
    if (!node || !(node->b = parse_block_filters(p, true))) {
        return NULL;
    }
    return only_child(p, node, parse_block(p, "endfilter")) ? node : NULL;
}

/* One parameter and its default, if any. */
static bool parse_param(krs_tparse *p, krs_tvec *names, krs_tvec *defaults)
{
    krs_tnode *name = krs_tparse_node(p, KRS_TN_NAME);
    if (!name || !krs_tparse_name(p, p->tok->text, &name->name) ||
        !expect_kind(p, KRS_TOK_NAME, "a parameter name") || !krs_tparse_push(p, names, name)) {
        return false;
    }
    krs_tnode *value = NULL;
    if (krs_tparse_take_op(p, '=')) {
        value = krs_tparse_expr(p);
        if (!value) {
            return false;
        }
    } else if (defaults->n && defaults->items[defaults->n - 1]) {
        return krs_tparse_fail(p, KRS_EFORMAT, "a parameter without default after one with");
    }
    return krs_tvec_push(&p->t->arena, defaults, value) || krs_tparse_no_memory(p);
}

static bool parse_params(krs_tparse *p, krs_tmacro *macro)
{
    krs_tvec names = {0};
    krs_tvec defaults = {0};
    if (!krs_tparse_expect_op(p, '(')) {
        return false;
    }
    while (!krs_tparse_is_op(p, ')')) {
        if ((names.n && !krs_tparse_expect_op(p, ',')) || !parse_param(p, &names, &defaults)) {
            return false;
        }
    }
    p->tok++;
    uint32_t *numbers = krs_arena_array(&p->t->arena, names.n + 1, sizeof(*numbers));
    if (!numbers) {
        return krs_tparse_no_memory(p);
    }
    for (size_t i = 0; i < names.n; i++) {
        numbers[i] = ((const krs_tnode *)names.items[i])->name;
    }
    macro->n_params = names.n;
    macro->params = numbers;
    macro->defaults = (const krs_tnode *const *)defaults.items;
    return true;
}

/* The body of a macro: its own world for break, caller and unknown filters. */
static bool parse_macro_body(krs_tparse *p, krs_tmacro *macro, const char *end)
{
    krs_tmacro *outer = p->macro;
    const uint32_t n_loops = p->n_loops;
    p->macro = macro;
    p->n_loops = 0;
    macro->body = parse_block(p, end);
    p->n_loops = n_loops;
    p->macro = outer;
    return macro->body != NULL;
}

static krs_tmacro *new_macro(krs_tparse *p, krs_str title)
{
    krs_tmacro *macro = krs_arena_bytes(&p->t->arena, sizeof(*macro));
    if (!macro) {
        return krs_tparse_no_memory(p);
    }
    macro->title = title;
    return krs_tparse_name(p, title, &macro->name) ? macro : NULL;
}

static krs_tnode *parse_macro(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_MACRO);
    krs_tmacro *macro = node ? new_macro(p, p->tok->text) : NULL;
    if (!macro || !expect_kind(p, KRS_TOK_NAME, "a macro name")) {
        return NULL;
    }
    node->macro = macro;
    node->name = macro->name;
    return parse_params(p, macro) && parse_macro_body(p, macro, "endmacro") ? node : NULL;
}

static krs_tnode *parse_call_block(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_CALLBLOCK);
    krs_tmacro *macro = node ? new_macro(p, KRS_STR("caller")) : NULL;
    if (!macro || (krs_tparse_is_op(p, '(') && !parse_params(p, macro))) {
        return NULL;
    }
    node->a = krs_tparse_expr(p);
    if (!node->a) {
        return NULL;
    }
    if (node->a->kind != KRS_TN_CALL) {
        return krs_tparse_fail(p, KRS_EFORMAT, "a call block needs a call");
    }
    node->macro = macro;
    return parse_macro_body(p, macro, "endcall") ? node : NULL;
}

static krs_tnode *parse_with(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_WITH);
    krs_tvec parts = {0};
    while (node && p->tok->kind != KRS_TOK_BLOCK_END) {
        if ((parts.n && !krs_tparse_expect_op(p, ',')) ||
            !krs_tparse_push(p, &parts, krs_tparse_target(p, false)) ||
            !krs_tparse_expect_op(p, '=') || !krs_tparse_push(p, &parts, krs_tparse_expr(p))) {
            return NULL;
        }
    }
    if (!node || !krs_tparse_push(p, &parts, parse_block(p, "endwith"))) {
        return NULL;
    }
    give_children(node, &parts);
    return node;
}

/* transformers marks what the assistant said; the marks do not show in the text. */
static krs_tnode *parse_generation(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_SCOPED);
    return node && only_child(p, node, parse_block(p, "endgeneration")) ? node : NULL;
}

static krs_tnode *parse_jump(krs_tparse *p)
{
    const bool is_break = krs_str_equal(p->tok[-1].text, KRS_STR("break"));
    krs_tnode *node = krs_tparse_node(p, is_break ? KRS_TN_BREAK : KRS_TN_CONTINUE);
    if (node && p->n_loops == 0) {
        return krs_tparse_fail(p, KRS_EFORMAT, "'%.*s' outside a loop",
                               KRS_STR_ARGS(p->tok[-1].text));
    }
    return node && close_tag(p) ? node : NULL;
}

static krs_tnode *parse_print(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_BODY);
    krs_tvec parts = {0};
    if (!node) {
        return NULL;
    }
    do {
        krs_tnode *one = krs_tparse_node(p, KRS_TN_OUTPUT);
        if (!one || !(one->a = krs_tparse_expr(p)) || !krs_tparse_push(p, &parts, one)) {
            return NULL;
        }
    } while (krs_tparse_take_op(p, ','));
    give_children(node, &parts);
    return close_tag(p) ? node : NULL;
}

static krs_tnode *parse_unsupported(krs_tparse *p)
{
    p->tok--;
    return krs_tparse_fail(p, KRS_EUNSUPPORTED, "'%.*s' is not supported in chat templates",
                           KRS_STR_ARGS(p->tok->text));
}

static const struct {
    const char *name;
    tag_fn parse;
} tags[] = {
    {"if", parse_if},
    {"for", parse_for},
    {"set", parse_set},
    {"macro", parse_macro},
    {"call", parse_call_block},
    {"filter", parse_filter_block},
    {"with", parse_with},
    {"generation", parse_generation},
    {"break", parse_jump},
    {"continue", parse_jump},
    {"print", parse_print},
    {"include", parse_unsupported},
    {"import", parse_unsupported},
    {"from", parse_unsupported},
    {"extends", parse_unsupported},
    {"block", parse_unsupported},
    {"autoescape", parse_unsupported},
    {"do", parse_unsupported},
    {"debug", parse_unsupported},
    {"trans", parse_unsupported},
};

static krs_tnode *parse_tag(krs_tparse *p)
{
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        if (krs_tparse_is_word(p, tags[i].name)) {
            if (!krs_tparse_enter(p)) {
                return NULL;
            }
            p->tok++;
            krs_tnode *node = tags[i].parse(p);
            p->depth--;
            return node;
        }
    }
    const krs_str word = krs_tparse_describe(p);
    if (p->tok->kind == KRS_TOK_NAME && !krs_str_starts_with(word, KRS_STR("end")) &&
        !krs_str_starts_with(word, KRS_STR("el"))) {
        return krs_tparse_fail(p, KRS_EUNSUPPORTED, "unknown tag '%.*s'", KRS_STR_ARGS(word));
    }
    return krs_tparse_fail(p, KRS_EFORMAT, "unexpected '%.*s' in a tag", KRS_STR_ARGS(word));
}

static krs_tnode *parse_output(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_OUTPUT);
    p->tok++;
    if (!node || !(node->a = krs_tparse_tuple(p, true))) {
        return NULL;
    }
    return expect_kind(p, KRS_TOK_VAR_END, "end of print statement") ? node : NULL;
}

static krs_tnode *parse_text(krs_tparse *p)
{
    krs_tnode *node = krs_tparse_node(p, KRS_TN_TEXT);
    if (node) {
        node->text = p->tok->text;
        p->tok++;
    }
    return node;
}

static bool is_end(const krs_tparse *p, const char *const *ends)
{
    for (size_t i = 0; ends && ends[i]; i++) {
        if (p->tok[0].kind == KRS_TOK_BLOCK_BEGIN && p->tok[1].kind == KRS_TOK_NAME &&
            krs_str_equal(p->tok[1].text, krs_str_of(ends[i]))) {
            return true;
        }
    }
    return false;
}

/* Statements up to the tag of one of the words in `ends` (left at the word), or to the end of the
 * template when ends is NULL. */
/* The statement at the current token; NULL after a failure, and at the template's end. */
static krs_tnode *parse_statement(krs_tparse *p)
{
    switch (p->tok->kind) {
    case KRS_TOK_TEXT:
        return parse_text(p);
    case KRS_TOK_VAR_BEGIN:
        return parse_output(p);
    case KRS_TOK_BLOCK_BEGIN:
        p->tok++;
        return parse_tag(p);
    default:
        return NULL;
    }
}

/* Statements into parts; false after a failure, and where an end that must come is missing. */
static bool parse_statements(krs_tparse *p, const char *const *ends, krs_tvec *parts)
{
    while (!is_end(p, ends)) {
        krs_tnode *node = parse_statement(p);
        if (node && krs_tparse_push(p, parts, node)) {
            continue;
        }
        if (p->status == KRS_OK && ends) {
            return krs_tparse_fail(p, KRS_EFORMAT, "the template ends where '%s' is missing",
                                   ends[0]);
        }
        return p->status == KRS_OK;
    }
    p->tok++; /* the tag's opening */
    return true;
}

static krs_tnode *parse_body(krs_tparse *p, const char *const *ends)
{
    krs_tnode *body = krs_tparse_node(p, KRS_TN_BODY);
    krs_tvec parts = {0};
    if (!body || !parse_statements(p, ends, &parts)) {
        return NULL;
    }
    give_children(body, &parts);
    return body;
}

krs_tnode *krs_tparse_template(krs_tparse *p)
{
    return parse_body(p, NULL);
}
