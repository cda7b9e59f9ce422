/* grammar/ebnf_expr.c - the right side of a rule: alternatives, sequences, repeats, groups. */
#include "grammar/ebnf_priv.h"

/* A piece of text, and in a rule of Lark what may be ignored after it. */
static krs_expr text_of(krs_ebnf *e, krs_expr text)
{
    if (!e->has_ignore || e->is_terminal) {
        return text;
    }
    const krs_expr parts[] = {text, e->ignored};
    return krs_expr_seq(e->b, parts, 2);
}

static bool is_terminal_name(krs_str name)
{
    size_t i = 0;
    while (i < name.len && name.ptr[i] == '_') {
        i++;
    }
    return i < name.len && name.ptr[i] >= 'A' && name.ptr[i] <= 'Z';
}

static krs_expr read_reference(krs_ebnf *e)
{
    const krs_str name = krs_ebnf_read_name(e);
    krs_ebnf_rule *rule = krs_ebnf_rule_of(e, name);
    if (krs_ebnf_peek(e) == '{' && !e->is_gbnf) {
        krs_ebnf_refuse(e, "templates are not supported");
    }
    krs_ebnf_use *use = rule ? krs_ebnf_take(e, 1, sizeof(*use)) : NULL;
    if (!use) {
        return krs_expr_none(e->b);
    }
    use->rule = rule;
    if (e->current) {
        use->next = e->current->uses;
        e->current->uses = use;
    } else {
        rule->is_used = true;
    }
    const krs_expr expr = krs_expr_rule(e->b, rule->rule);
    return is_terminal_name(name) && !e->is_gbnf ? text_of(e, expr) : expr;
}

/* After an opening bracket, up to the closing one. */
static krs_expr read_group(krs_ebnf *e, const char *close)
{
    if (++e->n_open > KRS_GRAMMAR_EBNF_MAX_DEPTH) {
        krs_ebnf_refuse(e, "groups nest deeper than %d", KRS_GRAMMAR_EBNF_MAX_DEPTH);
        return krs_expr_none(e->b);
    }
    const krs_expr inner = krs_ebnf_read_alternatives(e);
    if (!krs_ebnf_skip(e, close)) {
        krs_ebnf_refuse(e, "want %s here", close);
    }
    e->n_open--;
    return inner;
}

static krs_expr read_brackets(krs_ebnf *e)
{
    if (e->is_gbnf) {
        return krs_expr_lexeme(e->b, krs_ebnf_read_class(e));
    }
    (void)krs_ebnf_skip(e, "[");
    return krs_expr_repeat(e->b, read_group(e, "]"), 0, 1);
}

static krs_expr read_atom(krs_ebnf *e)
{
    const char c = krs_ebnf_peek(e);
    if (c == '"' || c == '\'') {
        return text_of(e, krs_expr_lexeme(e->b, krs_ebnf_read_literal(e)));
    }
    if (c == '/') {
        return text_of(e, krs_expr_lexeme(e->b, krs_ebnf_read_regex(e)));
    }
    if (c == '[') {
        return read_brackets(e);
    }
    if (krs_ebnf_skip(e, "(")) {
        return read_group(e, ")");
    }
    if (e->is_gbnf && krs_ebnf_skip(e, ".")) {
        const krs_char_range all = {0, KRS_CHARS_MAX};
        return krs_expr_lexeme(e->b, krs_regex_chars(e->b, &all, 1, false));
    }
    return read_reference(e);
}

/* The counts in {m}, {m,}, {,n}, {m,n}, or after ~. */
static void read_counts(krs_ebnf *e, const char *between, const char *close, uint32_t *min,
                        uint32_t *max)
{
    krs_ebnf_skip_blanks(e);
    const bool has_min = krs_ebnf_read_number(e, min);
    krs_ebnf_skip_blanks(e);
    *max = *min;
    bool has_max = has_min;
    if (krs_ebnf_skip(e, between)) {
        krs_ebnf_skip_blanks(e);
        has_max = krs_ebnf_read_number(e, max);
        *max = has_max ? *max : KRS_REGEX_INF;
        krs_ebnf_skip_blanks(e);
    }
    if ((!has_min && !has_max) || *min > *max || !krs_ebnf_skip(e, close)) {
        krs_ebnf_refuse(e, "a repeat wants one number, or two in order");
    }
}

/* One repeat after an item; false when there is none. */
static bool read_repeat(krs_ebnf *e, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = KRS_REGEX_INF;
    if (krs_ebnf_at_rule(e)) {
        return false; /* the ? of "?rule:" */
    }
    if (krs_ebnf_skip(e, "*")) {
        return true;
    }
    if (krs_ebnf_skip(e, "+")) {
        *min = 1;
        return true;
    }
    if (krs_ebnf_skip(e, "?")) {
        *max = 1;
        return true;
    }
    if (krs_ebnf_skip(e, "{")) {
        read_counts(e, ",", "}", min, max);
        return true;
    }
    if (krs_ebnf_skip(e, "~")) {
        read_counts(e, "..", "", min, max);
        return true;
    }
    return false;
}

/* Does an item begin here? */
static bool at_item(const krs_ebnf *e)
{
    const char c = krs_ebnf_peek(e);
    return c != 0 && c != '|' && c != ')' && c != ']' && c != '%' && !krs_ebnf_at_rule(e) &&
           !krs_str_starts_with(e->left, KRS_STR("->"));
}

static krs_expr read_item(krs_ebnf *e)
{
    const size_t before = e->left.len;
    krs_expr item = read_atom(e);
    if (e->left.len == before) {
        krs_ebnf_refuse(e, "%.*s is not understood", (int)(before > 12 ? 12 : before), e->left.ptr);
    }
    krs_ebnf_skip_blanks(e);
    uint32_t min;
    uint32_t max;
    while (e->status == KRS_OK && read_repeat(e, &min, &max)) {
        item = krs_expr_repeat(e->b, item, min, max);
        krs_ebnf_skip_blanks(e);
    }
    return item;
}

static krs_expr read_sequence(krs_ebnf *e)
{
    krs_expr parts[64];
    size_t n = 0;
    krs_expr whole = krs_expr_empty(e->b);
    krs_ebnf_skip_blanks(e);
    while (e->status == KRS_OK && at_item(e)) {
        parts[n++] = read_item(e);
        if (n == sizeof(parts) / sizeof(*parts)) {
            /* Long sequences go in pieces. */
            parts[0] = krs_expr_seq(e->b, parts, n);
            n = 1;
        }
    }
    whole = n == 1 ? parts[0] : n > 1 ? krs_expr_seq(e->b, parts, n) : whole;
    if (krs_ebnf_skip(e, "->")) {
        krs_ebnf_skip_blanks(e);
        (void)krs_ebnf_read_name(e); /* what Lark calls the tree */
        krs_ebnf_skip_blanks(e);
    }
    return whole;
}

krs_expr krs_ebnf_read_alternatives(krs_ebnf *e)
{
    krs_expr parts[64];
    size_t n = 0;
    parts[n++] = read_sequence(e);
    while (e->status == KRS_OK && krs_ebnf_skip(e, "|")) {
        if (n == sizeof(parts) / sizeof(*parts)) {
            parts[0] = krs_expr_alt(e->b, parts, n);
            n = 1;
        }
        parts[n++] = read_sequence(e);
    }
    return krs_expr_alt(e->b, parts, n);
}
