/* grammar/pattern.c - see pattern.h: a tree becomes a regex, from its end.
 *
 * compile(node, rest) is the regex of "node, then rest, and then the text is over". An anchor or a lookahead is a
 * statement about rest; a node without any (a pure one) is a regex by itself and stands before it. */
#include "grammar/builder_priv.h"
#include "grammar/pattern_priv.h"

#define ARENA_CHUNK_BYTES  (8u << 10)  /* most patterns fit in one */
#define ARENA_MAX_BYTES    (16u << 20) /* of a tree; a \p{..} in it takes 10 KiB */
#define MAX_UNROLLED       16          /* times that a term with a lookahead may be repeated */
#define MAX_COMPILE_VISITS (1u << 20)  /* of nodes; nested optional lookaheads double them */

/* Is nothing before this place? */
typedef enum place { AT_START, NOT_AT_START, MAYBE_AT_START } place;

typedef struct compiler {
    krs_grammar_builder *b;
    krs_spelling spelling;
    krs_pattern_reader *reader; /* for failures */
    uint32_t n_visits;
    krs_regex anything; /* every text */
} compiler;

static krs_regex pure(compiler *c, const krs_pattern_node *node);

/* All children of a pure node, at most a few thousand: through the arena. */
static krs_regex pure_children(compiler *c, const krs_pattern_node *node)
{
    size_t n = 0;
    for (const krs_pattern_node *child = node->child; child; child = child->next) {
        n++;
    }
    krs_regex *parts = krs_arena_array(c->reader->arena, n ? n : 1, sizeof(*parts));
    if (!parts) {
        krs_grammar_builder_fail(c->b, KRS_ENOMEM, "pattern: out of memory");
        return krs_regex_none(c->b);
    }
    n = 0;
    for (const krs_pattern_node *child = node->child; child; child = child->next) {
        parts[n++] = pure(c, child);
    }
    return node->kind == KRS_PATTERN_CAT ? krs_regex_cat(c->b, parts, n)
                                         : krs_regex_or(c->b, parts, n);
}

static krs_regex pure(compiler *c, const krs_pattern_node *node)
{
    switch (node->kind) {
    case KRS_PATTERN_SET:
        return krs_chars_regex(c->b, &node->set, c->spelling);
    case KRS_PATTERN_REPEAT:
        return krs_regex_repeat(c->b, pure(c, node->child), node->min, node->max);
    case KRS_PATTERN_CAT:
    case KRS_PATTERN_ALT:
        return pure_children(c, node);
    default:
        return krs_regex_empty(c->b);
    }
}

static void refuse(compiler *c, const krs_pattern_node *node, const char *what)
{
    c->reader->at = node->at;
    krs_pattern_refuse(c->reader, what);
}

static bool is_zero_width(const krs_pattern_node *node)
{
    switch (node->kind) {
    case KRS_PATTERN_SET:
        return false;
    case KRS_PATTERN_REPEAT:
        return node->max == 0 || is_zero_width(node->child);
    case KRS_PATTERN_CAT:
    case KRS_PATTERN_ALT:
        for (const krs_pattern_node *child = node->child; child; child = child->next) {
            if (!is_zero_width(child)) {
                return false;
            }
        }
        return true;
    default:
        return true;
    }
}

/* May it match without taking a character? Lookaheads are taken to. */
static bool may_be_empty(const krs_pattern_node *node)
{
    const krs_pattern_node *child = node->child;
    switch (node->kind) {
    case KRS_PATTERN_SET:
        return false;
    case KRS_PATTERN_REPEAT:
        return node->min == 0 || may_be_empty(child);
    case KRS_PATTERN_CAT:
        while (child && may_be_empty(child)) {
            child = child->next;
        }
        return !child;
    case KRS_PATTERN_ALT:
        while (child && !may_be_empty(child)) {
            child = child->next;
        }
        return child != NULL;
    default:
        return true;
    }
}

static place place_after(place before, const krs_pattern_node *node)
{
    if (before == NOT_AT_START || is_zero_width(node)) {
        return before;
    }
    return may_be_empty(node) ? MAYBE_AT_START : NOT_AT_START;
}

static krs_regex compile(compiler *c, const krs_pattern_node *node, krs_regex rest, place at);

/* Its children one after the other, from the last: a loop, because there may be thousands. */
static krs_regex compile_cat(compiler *c, const krs_pattern_node *node, krs_regex rest, place at)
{
    size_t n = 0;
    for (const krs_pattern_node *child = node->child; child; child = child->next) {
        n++;
    }
    const krs_pattern_node **children =
        krs_arena_array(c->reader->arena, n ? n : 1, sizeof(void *));
    place *places = krs_arena_array(c->reader->arena, n ? n : 1, sizeof(*places));
    if (!children || !places) {
        krs_grammar_builder_fail(c->b, KRS_ENOMEM, "pattern: out of memory");
        return krs_regex_none(c->b);
    }
    n = 0;
    for (const krs_pattern_node *child = node->child; child; child = child->next) {
        children[n] = child;
        places[n++] = at;
        at = place_after(at, child);
    }
    while (n-- > 0) {
        rest = compile(c, children[n], rest, places[n]);
    }
    return rest;
}

static krs_regex compile_alt(compiler *c, const krs_pattern_node *node, krs_regex rest, place at)
{
    krs_regex any = krs_regex_none(c->b);
    for (const krs_pattern_node *child = node->child; child; child = child->next) {
        any = krs_regex_or2(c->b, any, compile(c, child, rest, at));
    }
    return any;
}

static krs_regex compile_repeat(compiler *c, const krs_pattern_node *node, krs_regex rest, place at)
{
    const bool is_once = is_zero_width(node->child); /* again would say the same again */
    const uint32_t max = is_once && node->max > 0 ? 1 : node->max;
    const uint32_t min = node->min < max ? node->min : max;
    if (max > MAX_UNROLLED) {
        refuse(c, node, "an anchor or lookahead inside a repeat is not supported");
        return krs_regex_none(c->b);
    }
    krs_regex whole = rest;
    for (uint32_t i = max; i > 0; i--) {
        const place here = i == 1 ? at : place_after(at, node->child);
        const krs_regex more = compile(c, node->child, whole, here);
        whole = i > min ? krs_regex_or2(c->b, rest, more) : more;
    }
    return whole;
}

/* What comes after the lookahead's own text may be any bytes: rest sees to it that they are characters. So a (?!x) is
 * seen to have failed as soon as x has matched, and a (?=x) is done with there. */
static krs_regex compile_ahead(compiler *c, const krs_pattern_node *node, krs_regex rest, place at)
{
    krs_regex ahead = compile(c, node->child, krs_regex_any(c->b), at);
    if (node->is_negated) {
        ahead = krs_regex_not(c->b, ahead);
    }
    return krs_regex_and2(c->b, ahead, rest);
}

static krs_regex compile(compiler *c, const krs_pattern_node *node, krs_regex rest, place at)
{
    if (++c->n_visits > MAX_COMPILE_VISITS) {
        refuse(c, node, "too many lookaheads inside one another");
    }
    if (c->reader->status != KRS_OK) {
        return krs_regex_none(c->b);
    }
    if (node->is_pure) {
        return krs_regex_cat2(c->b, pure(c, node), rest);
    }
    switch (node->kind) {
    case KRS_PATTERN_START:
        if (at == MAYBE_AT_START) {
            refuse(c, node, "a ^ after what may be empty is not supported");
        }
        return at == AT_START ? rest : krs_regex_none(c->b);
    case KRS_PATTERN_END:
        return krs_regex_and2(c->b, rest, krs_regex_empty(c->b));
    case KRS_PATTERN_AHEAD:
        return compile_ahead(c, node, rest, at);
    case KRS_PATTERN_REPEAT:
        return compile_repeat(c, node, rest, at);
    case KRS_PATTERN_ALT:
        return compile_alt(c, node, rest, at);
    default:
        return compile_cat(c, node, rest, at);
    }
}

/* A match anywhere: at the start, or after at least one character. */
static krs_regex compile_search(compiler *c, krs_pattern_node *tree)
{
    krs_pattern_trim(tree, KRS_PATTERN_HEAD);
    krs_pattern_trim(tree, KRS_PATTERN_TAIL);
    if (tree->is_pure) {
        const krs_regex parts[] = {c->anything, pure(c, tree), c->anything};
        return krs_regex_cat(c->b, parts, 3);
    }
    const krs_regex now = compile(c, tree, c->anything, AT_START);
    const krs_regex later = krs_regex_cat2(
        c->b, krs_regex_repeat(c->b, krs_chars_any(c->b, c->spelling), 1, KRS_REGEX_INF),
        compile(c, tree, c->anything, NOT_AT_START));
    return krs_regex_or2(c->b, now, later);
}

krs_status krs_pattern_compile(krs_grammar_builder *b, krs_str pattern,
                               const krs_pattern_options *options, krs_pattern_flags flags,
                               krs_regex *out, krs_error *err)
{
    *out = krs_regex_none(b);
    if (pattern.len > KRS_GRAMMAR_PATTERN_MAX_BYTES) {
        return krs_fail(err, KRS_EINVAL, "pattern: %zu bytes, limit %u", pattern.len,
                        KRS_GRAMMAR_PATTERN_MAX_BYTES);
    }
    krs_arena arena;
    krs_arena_init(&arena, b->alloc, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    krs_pattern_reader reader = {
        .left = pattern,
        .is_case_folded = flags.is_case_folded,
        .is_dot_all = flags.is_dot_all,
        .arena = &arena,
        .err = err,
    };
    krs_pattern_node *tree = krs_pattern_parse(&reader);
    if (tree) {
        compiler c = {b, options->spelling, &reader, 0, krs_chars_all(b, options->spelling)};
        *out = options->is_search ? compile_search(&c, tree)
                                  : compile(&c, tree, krs_regex_empty(b), AT_START);
    }
    krs_arena_deinit(&arena);
    if (reader.status != KRS_OK) {
        *out = krs_regex_none(b);
    }
    return reader.status;
}

krs_status krs_grammar_pattern(krs_grammar_builder *b, krs_str pattern,
                               const krs_pattern_options *options, krs_regex *out, krs_error *err)
{
    return krs_pattern_compile(b, pattern, options, (krs_pattern_flags){false, false}, out, err);
}
