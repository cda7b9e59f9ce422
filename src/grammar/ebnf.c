/* grammar/ebnf.c - see ebnf.h: rules, directives, and what is checked when all is read. */
#include "grammar/ebnf_priv.h"

#include "base/utf8.h"
#include "grammar/builder_priv.h"
#include "grammar/pattern_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define ARENA_CHUNK_BYTES (16u << 10) /* a small grammar fits in one */
#define ARENA_MAX_BYTES   (64u << 20) /* a literal of n characters takes 12 n bytes */

void krs_ebnf_refuse(krs_ebnf *e, const char *format, ...)
{
    if (e->status != KRS_OK) {
        return;
    }
    char why[150];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    e->status = krs_fail(e->err, KRS_EINVAL, "grammar line %u: %s", e->line, why);
}

void *krs_ebnf_take(krs_ebnf *e, size_t n, size_t item_bytes)
{
    void *p = e->status == KRS_OK ? krs_arena_array(&e->arena, n ? n : 1, item_bytes) : NULL;
    if (!p && e->status == KRS_OK) {
        e->status = krs_fail(e->err, KRS_ENOMEM, "grammar: out of memory");
    }
    return p;
}

krs_ebnf_rule *krs_ebnf_rule_of(krs_ebnf *e, krs_str name)
{
    krs_ebnf_rule **bucket = &e->buckets[krs_str_hash(name, 0) % KRS_EBNF_BUCKETS];
    for (krs_ebnf_rule *rule = *bucket; rule; rule = rule->next_in_bucket) {
        if (krs_str_equal(rule->name, name)) {
            return rule;
        }
    }
    krs_ebnf_rule *rule = krs_ebnf_take(e, 1, sizeof(*rule));
    if (!rule) {
        return NULL;
    }
    char title[64];
    (void)snprintf(title, sizeof(title), "%.*s (line %u)", (int)(name.len > 40 ? 40 : name.len),
                   name.ptr, e->line);
    rule->name = name;
    rule->line = e->line;
    rule->rule = krs_expr_declare(e->b, krs_str_of(title));
    rule->next_in_bucket = *bucket;
    *bucket = rule;
    *e->end = rule;
    e->end = &rule->next;
    return rule;
}

static void define(krs_ebnf *e, krs_ebnf_rule *rule, krs_expr expr)
{
    if (rule && e->status == KRS_OK) {
        rule->is_defined = true;
        krs_expr_define(e->b, rule->rule, expr);
    }
}

/* [?!]* name [.priority] */
static krs_ebnf_rule *read_head(krs_ebnf *e)
{
    while (krs_ebnf_skip(e, "?") || krs_ebnf_skip(e, "!")) {
    }
    const uint32_t line = e->line;
    krs_ebnf_rule *rule = krs_ebnf_rule_of(e, krs_ebnf_read_name(e));
    uint32_t priority;
    if (krs_ebnf_skip(e, ".")) {
        (void)krs_ebnf_skip(e, "-");
        (void)krs_ebnf_read_number(e, &priority);
    }
    krs_ebnf_skip_blanks(e);
    if (rule && rule->is_defined) {
        krs_ebnf_refuse(e, "%.*s is defined twice", KRS_STR_ARGS(rule->name));
    }
    if (!rule || e->status != KRS_OK) {
        return NULL;
    }
    rule->line = line;
    return rule;
}

/* head (: | ::=) alternatives */
static void read_rule(krs_ebnf *e)
{
    krs_ebnf_rule *rule = read_head(e);
    if (!rule) {
        return;
    }
    e->is_gbnf = krs_ebnf_skip(e, "::=");
    if (!e->is_gbnf && !krs_ebnf_skip(e, ":")) {
        krs_ebnf_refuse(e, "want : or ::= here");
    }
    const char first = rule->name.ptr[strspn(rule->name.ptr, "_")];
    e->is_terminal = !e->is_gbnf && first >= 'A' && first <= 'Z';
    e->current = rule;
    define(e, rule, krs_ebnf_read_alternatives(e));
}

/* Lark's common terminals. */
static const struct {
    const char *name;
    const char *pattern;
} commons[] = {
    {"DIGIT", "[0-9]"},
    {"HEXDIGIT", "[0-9a-fA-F]"},
    {"INT", "[0-9]+"},
    {"SIGNED_INT", "[+-]?[0-9]+"},
    {"DECIMAL", "[0-9]+\\.[0-9]*|\\.[0-9]+"},
    {"FLOAT", "[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?"},
    {"SIGNED_FLOAT",
     "[+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"},
    {"NUMBER", "[0-9]+|[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?"},
    {"SIGNED_NUMBER",
     "[+-]?(?:[0-9]+|[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"},
    {"ESCAPED_STRING", "\"(?:[^\"\\\\\\n]|\\\\[^\\n])*\""},
    {"LCASE_LETTER", "[a-z]"},
    {"UCASE_LETTER", "[A-Z]"},
    {"LETTER", "[A-Za-z]"},
    {"WORD", "[A-Za-z]+"},
    {"CNAME", "[_A-Za-z][_A-Za-z0-9]*"},
    {"WS_INLINE", "[ \\t]+"},
    {"WS", "[ \\t\\f\\r\\n]+"},
    {"CR", "\\r"},
    {"LF", "\\n"},
    {"NEWLINE", "(?:\\r?\\n)+"},
};

static void import_common(krs_ebnf *e, krs_str name, krs_str as)
{
    static const krs_pattern_options whole = {KRS_SPELLING_PLAIN, false};
    for (size_t i = 0; i < sizeof(commons) / sizeof(*commons); i++) {
        if (!krs_str_equal(name, krs_str_of(commons[i].name))) {
            continue;
        }
        krs_ebnf_rule *rule = krs_ebnf_rule_of(e, as);
        krs_regex r;
        if (rule && rule->is_defined) {
            krs_ebnf_refuse(e, "%.*s is defined twice", KRS_STR_ARGS(as));
        } else if (rule && krs_grammar_pattern(e->b, krs_str_of(commons[i].pattern), &whole, &r,
                                               e->err) == KRS_OK) {
            rule->is_imported = true;
            define(e, rule, krs_expr_lexeme(e->b, r));
        } else {
            e->status = KRS_ENOMEM;
        }
        return;
    }
    krs_ebnf_refuse(e, "common.%.*s is not known", KRS_STR_ARGS(name));
}

/* After %import. */
static void read_import(krs_ebnf *e)
{
    krs_ebnf_skip_blanks(e);
    if (!krs_ebnf_skip(e, "common")) {
        krs_ebnf_refuse(e, "%%import: only common is there");
    }
    krs_ebnf_skip_blanks(e);
    if (krs_ebnf_skip(e, ".")) {
        const krs_str name = krs_ebnf_read_name(e);
        krs_str as = name;
        krs_ebnf_skip_blanks(e);
        if (krs_ebnf_skip(e, "->")) {
            krs_ebnf_skip_blanks(e);
            as = krs_ebnf_read_name(e);
        }
        import_common(e, name, as);
    } else if (krs_ebnf_skip(e, "(")) {
        do {
            krs_ebnf_skip_blanks(e);
            const krs_str name = krs_ebnf_read_name(e);
            import_common(e, name, name);
            krs_ebnf_skip_blanks(e);
        } while (krs_ebnf_skip(e, ","));
        if (!krs_ebnf_skip(e, ")")) {
            krs_ebnf_refuse(e, "want ) here");
        }
    } else {
        krs_ebnf_refuse(e, "%%import wants common.NAME");
    }
}

static void read_directive(krs_ebnf *e, krs_expr *ignored)
{
    e->current = NULL;
    e->is_gbnf = false;
    e->is_terminal = true;
    if (krs_ebnf_skip(e, "%ignore")) {
        const krs_expr two[] = {*ignored, krs_ebnf_read_alternatives(e)};
        *ignored = krs_expr_alt(e->b, two, 2);
    } else if (krs_ebnf_skip(e, "%import")) {
        read_import(e);
    } else {
        krs_ebnf_refuse(e, "this directive is not supported");
    }
}

/* Make the rules that begin at the beginning of a line, so that their names tell where they are defined and not where
 * they are first used. */
static void name_rules(krs_ebnf *e)
{
    const krs_str all = e->left;
    while (e->left.len > 0 && e->status == KRS_OK) {
        while (krs_ebnf_skip(e, " ") || krs_ebnf_skip(e, "\t")) {
        }
        if (krs_ebnf_at_rule(e)) {
            while (krs_ebnf_skip(e, "?") || krs_ebnf_skip(e, "!")) {
            }
            (void)krs_ebnf_rule_of(e, krs_ebnf_read_name(e));
        }
        const size_t end = krs_str_find(e->left, KRS_STR("\n"), 0);
        const size_t n = end == SIZE_MAX ? e->left.len : end + 1;
        e->left = (krs_str){e->left.ptr + n, e->left.len - n};
        e->line++;
    }
    e->left = all;
    e->line = 1;
}

static void read_all(krs_ebnf *e)
{
    name_rules(e);
    e->has_ignore = krs_str_find(e->left, KRS_STR("%ignore"), 0) != SIZE_MAX;
    const krs_rule rule = krs_expr_declare(e->b, KRS_STR("%ignore"));
    e->ignored = krs_expr_rule(e->b, rule);
    krs_expr ignored = krs_expr_none(e->b);
    for (krs_ebnf_skip_blanks(e); e->left.len > 0 && e->status == KRS_OK; krs_ebnf_skip_blanks(e)) {
        if (krs_ebnf_peek(e) == '%') {
            read_directive(e, &ignored);
        } else if (krs_ebnf_at_rule(e)) {
            read_rule(e);
        } else {
            krs_ebnf_refuse(e, "want a rule (name : .. or name ::= ..) here");
        }
    }
    krs_expr_define(e->b, rule, krs_expr_repeat(e->b, ignored, 0, KRS_REGEX_INF));
}

static krs_ebnf_rule *start_of(krs_ebnf *e)
{
    static const char *const names[] = {"root", "start"};
    for (size_t i = 0; i < 2; i++) {
        for (krs_ebnf_rule *rule = e->first; rule; rule = rule->next) {
            if (rule->is_defined && krs_str_equal(rule->name, krs_str_of(names[i]))) {
                return rule;
            }
        }
    }
    krs_ebnf_rule *rule = e->first;
    while (rule && (!rule->is_defined || rule->is_imported)) {
        rule = rule->next;
    }
    if (!rule) {
        krs_ebnf_refuse(e, "there is no rule");
    }
    return rule;
}

/* Mark what is used, from the start and from what is ignored on. Each pass marks at least one rule more. */
static void mark_used(krs_ebnf *e, krs_ebnf_rule *start)
{
    krs_ebnf_rule **queue;
    size_t n = 0;
    size_t count = 0;
    for (krs_ebnf_rule *rule = e->first; rule; rule = rule->next) {
        count++;
    }
    queue = krs_ebnf_take(e, count, sizeof(void *));
    start->is_used = true;
    for (krs_ebnf_rule *rule = e->first; queue && rule; rule = rule->next) {
        if (rule->is_used) {
            queue[n++] = rule;
        }
    }
    for (size_t i = 0; queue && i < n; i++) {
        for (krs_ebnf_use *use = queue[i]->uses; use; use = use->next) {
            if (!use->rule->is_used) {
                use->rule->is_used = true;
                queue[n++] = use->rule;
            }
        }
    }
}

static void check_rules(krs_ebnf *e, krs_ebnf_rule *start)
{
    mark_used(e, start);
    for (krs_ebnf_rule *rule = e->first; rule && e->status == KRS_OK; rule = rule->next) {
        e->line = rule->line;
        if (!rule->is_defined) {
            krs_ebnf_refuse(e, "%.*s is not defined", KRS_STR_ARGS(rule->name));
        } else if (!rule->is_used && !rule->is_imported) {
            krs_ebnf_refuse(e, "%.*s is never used", KRS_STR_ARGS(rule->name));
        }
    }
}

static krs_status check_text(krs_str text, krs_error *err)
{
    if (text.len > KRS_GRAMMAR_EBNF_MAX_BYTES) {
        return krs_fail(err, KRS_EINVAL, "grammar: %zu bytes, limit %u", text.len,
                        KRS_GRAMMAR_EBNF_MAX_BYTES);
    }
    for (size_t i = 0; i < text.len;) {
        const size_t n = krs_utf8_length(text.ptr + i, text.len - i);
        if (n == 0 || text.ptr[i] == 0) {
            return krs_fail(err, KRS_EINVAL, "grammar: byte %zu is not text", i);
        }
        i += n;
    }
    return KRS_OK;
}

krs_status krs_grammar_ebnf(krs_grammar_builder *b, krs_str text, krs_expr *out, krs_error *err)
{
    *out = krs_expr_none(b);
    krs_status status = check_text(text, err);
    krs_ebnf *e = status == KRS_OK ? krs_alloc_zero(b->alloc, sizeof(*e)) : NULL;
    if (!e) {
        return status != KRS_OK ? status : krs_fail(err, KRS_ENOMEM, "grammar: out of memory");
    }
    e->b = b;
    e->left = text;
    e->line = 1;
    e->end = &e->first;
    e->err = err;
    krs_arena_init(&e->arena, b->alloc, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    read_all(e);
    krs_ebnf_rule *start = e->status == KRS_OK ? start_of(e) : NULL;
    if (start) {
        check_rules(e, start);
        const krs_expr whole[] = {e->ignored, krs_expr_rule(b, start->rule)};
        *out = e->has_ignore ? krs_expr_seq(b, whole, 2) : whole[1];
    }
    status = e->status;
    if (status == KRS_OK) {
        status = krs_grammar_builder_status(b, err);
        status = status == KRS_ETOOLARGE ? krs_error_wrap(err, KRS_EINVAL, "grammar") : status;
    }
    krs_arena_deinit(&e->arena);
    krs_alloc_free(b->alloc, e);
    if (status != KRS_OK) {
        *out = krs_expr_none(b);
    }
    return status;
}
