/* engine/guide_compile.c - see guide_compile.h. */
#include "engine/guide_compile.h"

#include "grammar/ebnf.h"
#include "grammar/pattern.h"
#include "grammar/schema.h"
#include "wire/json.h"

#define MAX_BLANKS                                                                                 \
    4u /* between a model's reasoning and its answer; templates write two line ends */

static krs_status compile(const krs_guide_compiler *c, const krs_guide *guide, krs_expr *out,
                          krs_error *err);

/* ---- leaves ---- */

/* The text, with 0xFF before each special token that is written in it. */
static krs_expr token_of(const krs_guide_compiler *c, krs_str text)
{
    char bytes[2 * KRS_GUIDANCE_MAX_TEXT_BYTES];
    size_t n = 0;
    size_t end = 0; /* of the newest special token */
    for (size_t i = 0; i < text.len; i++) {
        const krs_str rest = {text.ptr + i, text.len - i};
        const uint32_t special = i < end ? UINT32_MAX : krs_guide_vocab_special_at(c->vocab, rest);
        if (special != UINT32_MAX) {
            bytes[n++] = KRS_GUIDE_SPECIAL;
            end = i + krs_tokenizer_token_bytes(c->vocab->tokenizer, special).len;
        }
        bytes[n++] = text.ptr[i];
    }
    return krs_expr_literal(c->builder, (krs_str){bytes, n});
}

/* Any text in which a word does not come. */
static krs_expr free_until(const krs_guide_compiler *c, krs_str word)
{
    krs_grammar_builder *b = c->builder;
    const krs_regex text = krs_regex_text(b);
    if (word.len == 0) {
        return krs_expr_lexeme(b, text);
    }
    const krs_regex parts[] = {krs_regex_any(b), krs_regex_literal(b, word), krs_regex_any(b)};
    return krs_expr_lexeme(b,
                           krs_regex_and2(b, text, krs_regex_not(b, krs_regex_cat(b, parts, 3))));
}

static krs_status compile_schema(const krs_guide_compiler *c, krs_str text, krs_expr *out,
                                 krs_error *err)
{
    const krs_json_limits limits = {.max_bytes = KRS_GUIDANCE_MAX_BYTES};
    krs_schema_options options = KRS_SCHEMA_OPTIONS_INIT;
    static const krs_json_space spaces[] = {
        [KRS_GUIDANCE_SPACE_ANY] = KRS_JSON_SPACE_FLEXIBLE,
        [KRS_GUIDANCE_SPACE_SINGLE] = KRS_JSON_SPACE_SINGLE,
        [KRS_GUIDANCE_SPACE_COMPACT] = KRS_JSON_SPACE_NONE,
    };
    options.space = spaces[c->guidance->space];
    options.is_any_order = c->guidance->is_any_order;
    json_t *schema = NULL;
    krs_status status = krs_json_parse(text, &limits, &schema, err);
    if (status == KRS_OK) {
        status = krs_grammar_schema(c->builder, schema, &options, out, err);
    }
    json_decref(schema);
    return status;
}

static krs_status compile_regex(const krs_guide_compiler *c, krs_str text, krs_expr *out,
                                krs_error *err)
{
    const krs_pattern_options options = {.spelling = KRS_SPELLING_PLAIN, .is_search = false};
    krs_regex regex;
    const krs_status status = krs_grammar_pattern(c->builder, text, &options, &regex, err);
    if (status == KRS_OK) {
        *out = krs_expr_lexeme(c->builder, regex);
    }
    return status;
}

static krs_status compile_leaf(const krs_guide_compiler *c, const krs_guide *guide, krs_expr *out,
                               krs_error *err)
{
    switch (guide->kind) {
    case KRS_GUIDE_TOKEN:
        *out = token_of(c, guide->text);
        return KRS_OK;
    case KRS_GUIDE_FREE:
        *out = free_until(c, guide->text);
        return KRS_OK;
    case KRS_GUIDE_OBJECT:
        return compile_schema(c, KRS_STR("{\"type\":\"object\"}"), out, err);
    case KRS_GUIDE_SCHEMA:
        return compile_schema(c, guide->text, out, err);
    case KRS_GUIDE_REGEX:
        return compile_regex(c, guide->text, out, err);
    case KRS_GUIDE_GRAMMAR:
        return krs_grammar_ebnf(c->builder, guide->text, out, err);
    default:
        *out = krs_expr_literal(c->builder, guide->text);
        return KRS_OK;
    }
}

/* ---- branches ---- */

static bool is_all_literals(const krs_guide *guide)
{
    for (uint32_t i = 0; i < guide->n_parts; i++) {
        if (guide->parts[i].kind != KRS_GUIDE_LITERAL) {
            return false;
        }
    }
    return true;
}

/* Words become one tree of bytes. */
static krs_status compile_words(const krs_guide_compiler *c, const krs_guide *guide, krs_expr *out)
{
    krs_regex *words = krs_alloc_array(c->alloc, guide->n_parts, sizeof(*words));
    if (!words) {
        return KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < guide->n_parts; i++) {
        words[i] = krs_regex_literal(c->builder, guide->parts[i].text);
    }
    *out = krs_expr_lexeme(c->builder, krs_regex_or(c->builder, words, guide->n_parts));
    krs_alloc_free(c->alloc, words);
    return KRS_OK;
}

static krs_expr join(const krs_guide_compiler *c, const krs_guide *guide, const krs_expr *parts)
{
    if (guide->kind == KRS_GUIDE_ALT) {
        return krs_expr_alt(c->builder, parts, guide->n_parts);
    }
    const krs_expr seq = krs_expr_seq(c->builder, parts, guide->n_parts);
    return guide->kind == KRS_GUIDE_SEQ ? seq
                                        : krs_expr_repeat(c->builder, seq, guide->min, guide->max);
}

static krs_status compile_branch(const krs_guide_compiler *c, const krs_guide *guide, krs_expr *out,
                                 krs_error *err)
{
    krs_expr *parts = krs_alloc_array(c->alloc, guide->n_parts, sizeof(*parts));
    krs_status status = parts ? KRS_OK : KRS_ENOMEM;
    for (uint32_t i = 0; status == KRS_OK && i < guide->n_parts; i++) {
        status = compile(c, &guide->parts[i], &parts[i], err);
    }
    if (status == KRS_OK) {
        *out = join(c, guide, parts);
    }
    krs_alloc_free(c->alloc, parts);
    return status;
}

static krs_status compile_part(const krs_guide_compiler *c, const krs_guide *guide, krs_expr *out,
                               krs_error *err)
{
    switch (guide->kind) {
    case KRS_GUIDE_ALT:
        return is_all_literals(guide) ? compile_words(c, guide, out)
                                      : compile_branch(c, guide, out, err);
    case KRS_GUIDE_SEQ:
    case KRS_GUIDE_REPEAT:
        return compile_branch(c, guide, out, err);
    default:
        return compile_leaf(c, guide, out, err);
    }
}

/* The depth of the tree was checked, so recursion is bounded. */
static krs_status compile(const krs_guide_compiler *c, const krs_guide *guide, krs_expr *out,
                          krs_error *err)
{
    const char *outer = *c->field;
    *c->field = guide->field ? guide->field : outer;
    const krs_status status = compile_part(c, guide, out, err);
    if (status == KRS_OK) {
        *c->field = outer;
    }
    return status;
}

/* ---- reasoning ---- */

static krs_expr blanks(const krs_guide_compiler *c)
{
    static const krs_char_range ranges[] = {{' ', ' '}, {'\n', '\n'}};
    const krs_regex one = krs_regex_chars(c->builder, ranges, 2, false);
    return krs_expr_lexeme(c->builder, krs_regex_repeat(c->builder, one, 0, MAX_BLANKS));
}

/* The answer behind the reasoning that the prompt has opened, or that the model may. */
static krs_expr behind_reasoning(const krs_guide_compiler *c, krs_expr root)
{
    const krs_guidance *g = c->guidance;
    krs_grammar_builder *b = c->builder;
    const krs_expr thought[] = {free_until(c, g->reasoning_close), token_of(c, g->reasoning_close),
                                blanks(c), root};
    const krs_expr rest = krs_expr_seq(b, thought, 4);
    if (c->is_reasoning) {
        return rest;
    }
    const krs_expr opened[] = {blanks(c), token_of(c, g->reasoning_open), rest};
    const krs_expr either[] = {root, krs_expr_seq(b, opened, 3)};
    return krs_expr_alt(b, either, 2);
}

krs_status krs_guide_compile(const krs_guide_compiler *c, krs_expr *out, krs_error *err)
{
    const krs_guidance *g = c->guidance;
    const krs_status status = compile(c, &g->root, out, err);
    if (status == KRS_OK && g->reasoning_open.len > 0) {
        *out = behind_reasoning(c, *out);
    }
    return status;
}
