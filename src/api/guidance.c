/* api/guidance.c - see guidance.h. */
#include "api/guidance.h"

#include <stddef.h>

/* What is left of the limits while the tree is walked. */
typedef struct check {
    const char *field;
    size_t n_bytes;
    uint32_t n_parts;
    krs_error *err;
} check;

const char *krs_guidance_name(krs_guidance_kind kind)
{
    static const char *const names[KRS_GUIDANCE_COUNT] = {
        "none", "json_object", "json_schema", "regex", "choice", "grammar", "calls"};
    const unsigned i = (unsigned)kind;
    return i < KRS_GUIDANCE_COUNT ? names[i] : "unknown";
}

static bool is_branch(krs_guide_kind kind)
{
    return kind == KRS_GUIDE_SEQ || kind == KRS_GUIDE_ALT || kind == KRS_GUIDE_REPEAT;
}

/* The text of a leaf, alone. */
static krs_status check_text(const check *c, const krs_guide *g)
{
    const bool is_word = g->kind == KRS_GUIDE_TOKEN || g->kind == KRS_GUIDE_FREE;
    if (is_word && g->text.len > KRS_GUIDANCE_MAX_TEXT_BYTES) {
        return krs_fail_field(c->err, KRS_ETOOLARGE, c->field,
                              "%s: a word of %zu bytes, want at most %u", c->field, g->text.len,
                              KRS_GUIDANCE_MAX_TEXT_BYTES);
    }
    const bool may_be_empty = g->kind == KRS_GUIDE_LITERAL || g->kind == KRS_GUIDE_FREE ||
                              g->kind == KRS_GUIDE_OBJECT || g->kind == KRS_GUIDE_REGEX;
    return g->text.len > 0 || may_be_empty ? KRS_OK
                                           : krs_fail_field(c->err, KRS_EINVAL, c->field,
                                                            "%s: empty, want some text", c->field);
}

static krs_status check_leaf(check *c, const krs_guide *g)
{
    if (g->text.len > KRS_GUIDANCE_MAX_BYTES - c->n_bytes) {
        return krs_fail_field(c->err, KRS_ETOOLARGE, c->field, "%s: more than %u bytes", c->field,
                              KRS_GUIDANCE_MAX_BYTES);
    }
    c->n_bytes += g->text.len;
    return check_text(c, g);
}

static krs_status check_branch(const check *c, const krs_guide *g, uint32_t depth)
{
    if (depth == KRS_GUIDANCE_MAX_DEPTH) {
        return krs_fail_field(c->err, KRS_ETOOLARGE, c->field, "%s: nested deeper than %u",
                              c->field, KRS_GUIDANCE_MAX_DEPTH);
    }
    if (g->n_parts == 0) {
        return krs_fail_field(c->err, KRS_EINVAL, c->field, "%s: empty, want at least one",
                              c->field);
    }
    if (g->kind == KRS_GUIDE_REPEAT && g->min > g->max) {
        return krs_fail_field(c->err, KRS_EINVAL, c->field, "%s: %u to %u times", c->field, g->min,
                              g->max);
    }
    return KRS_OK;
}

/* Depth is bounded, so recursion is. */
static krs_status check_tree(check *c, const krs_guide *g, uint32_t depth)
{
    if (c->n_parts++ == KRS_GUIDANCE_MAX_PARTS) {
        return krs_fail_field(c->err, KRS_ETOOLARGE, c->field, "%s: more than %u parts", c->field,
                              KRS_GUIDANCE_MAX_PARTS);
    }
    if ((unsigned)g->kind >= KRS_GUIDE_COUNT) {
        return krs_fail_field(c->err, KRS_EINVAL, c->field, "%s: part of kind %d is not known",
                              c->field, (int)g->kind);
    }
    if (!is_branch(g->kind)) {
        return check_leaf(c, g);
    }
    krs_status status = check_branch(c, g, depth);
    for (uint32_t i = 0; status == KRS_OK && i < g->n_parts; i++) {
        status = check_tree(c, &g->parts[i], depth + 1);
    }
    return status;
}

static krs_status check_reasoning(const krs_guidance *g, const char *field, krs_error *err)
{
    const size_t n_open = g->reasoning_open.len;
    const size_t n_close = g->reasoning_close.len;
    if ((n_open == 0) != (n_close == 0)) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: reasoning has one tag, want both",
                              field);
    }
    if (n_open > KRS_GUIDANCE_MAX_TEXT_BYTES || n_close > KRS_GUIDANCE_MAX_TEXT_BYTES) {
        return krs_fail_field(err, KRS_ETOOLARGE, field,
                              "%s: tags of reasoning of %zu and %zu bytes, want at most %u", field,
                              n_open, n_close, KRS_GUIDANCE_MAX_TEXT_BYTES);
    }
    return KRS_OK;
}

krs_status krs_guidance_check(const krs_guidance *guidance, krs_error *err)
{
    const char *field = guidance->field ? guidance->field : "guidance";
    if (guidance->kind == KRS_GUIDANCE_NONE) {
        return KRS_OK;
    }
    if ((unsigned)guidance->kind >= KRS_GUIDANCE_COUNT ||
        (unsigned)guidance->space >= KRS_GUIDANCE_SPACE_COUNT) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: kind %d, white space %d: not known",
                              field, (int)guidance->kind, (int)guidance->space);
    }
    check c = {.field = field, .err = err};
    const krs_status status = check_tree(&c, &guidance->root, 0);
    return status == KRS_OK ? check_reasoning(guidance, field, err) : status;
}
