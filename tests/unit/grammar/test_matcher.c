/* Automata and masks: random grammars against a slow recogniser, masks against every token by itself, undo,
 * forced bytes, and memory that is dropped. */
#include "grammar/matcher.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

static krs_grammar_builder *new_builder(void)
{
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    return b;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* ---- random grammars: rules 0..N_RULES-1, whose first letter is always a letter, so none is left-recursive */

#define N_RULES   3
#define N_NODES   40
#define MAX_PARTS 3

typedef struct node {
    char
        kind; /* letter, '0' empty, '.' seq, '|' alt, '{' repeat, 'R' rule, 'O' object in order, 'U' in any */
    uint32_t parts[MAX_PARTS];
    uint32_t n;
    uint32_t min, max;
    uint32_t required; /* bits */
} node;

typedef struct toy {
    node nodes[N_NODES];
    uint32_t n;
    uint32_t rules[N_RULES];
} toy;

static uint32_t new_node(toy *t, uint64_t *seed, int depth, bool may_recurse);

static void fill_object(toy *t, node *at, uint64_t *seed, int depth)
{
    at->kind = next_random(seed) % 2 ? 'O' : 'U';
    at->n = next_random(seed) % (MAX_PARTS + 1);
    for (uint32_t i = 0; i < at->n; i++) {
        at->parts[i] = new_node(t, seed, depth - 1, true);
    }
    at->required = next_random(seed) & next_random(seed) & 7;
    at->min = next_random(seed) % 3;
    at->max = at->min + next_random(seed) % 3;
}

/* Recursion only after a first part, which begins with a letter. */
static void fill_seq(toy *t, node *at, uint64_t *seed, int depth, bool may_recurse)
{
    at->kind = '.';
    at->n = 2 + next_random(seed) % 2;
    at->parts[0] = may_recurse ? new_node(t, seed, depth - 1, true) : next_random(seed) % 3;
    for (uint32_t i = 1; i < at->n; i++) {
        at->parts[i] = new_node(t, seed, depth - 1, true);
    }
}

static void fill_choice(toy *t, node *at, uint64_t *seed, int depth, bool may_recurse)
{
    at->kind = next_random(seed) % 3 ? '|' : '{';
    at->n = at->kind == '|' ? 2 : 1;
    for (uint32_t i = 0; i < at->n; i++) {
        at->parts[i] = new_node(t, seed, depth - 1, may_recurse);
    }
    at->min = next_random(seed) % 3;
    at->max = next_random(seed) % 2 ? KRS_REGEX_INF : at->min + next_random(seed) % 3;
}

static uint32_t new_node(toy *t, uint64_t *seed, int depth, bool may_recurse)
{
    if (t->n + 1 >= N_NODES) {
        return 0; /* the letter a */
    }
    const uint32_t id = t->n++;
    node at = {.kind = "abc0abcR"[next_random(seed) % (may_recurse ? 8 : 7)]};
    const uint32_t kind = depth > 0 ? next_random(seed) % 9 : 8;
    if (kind < 3) {
        fill_seq(t, &at, seed, depth, may_recurse);
    } else if (kind < 6) {
        fill_choice(t, &at, seed, depth, may_recurse);
    } else if (kind == 6) {
        fill_object(t, &at, seed, depth);
    } else if (at.kind == 'R') {
        at.parts[0] = next_random(seed) % N_RULES;
    }
    t->nodes[id] = at;
    return id;
}

static void new_toy(toy *t, uint64_t *seed)
{
    *t = (toy){.n = 3, .nodes = {{.kind = 'a'}, {.kind = 'b'}, {.kind = 'c'}}};
    for (uint32_t i = 0; i < N_RULES; i++) {
        t->rules[i] = new_node(t, seed, 3, false);
    }
}

/* ---- the twin: which ends can a node reach from each begin? Least fixed point of bit sets. */

#define MAX_TEXT 8

/* ends[node][begin]: bit e, the node matches text[begin .. e). */
typedef struct chart {
    const toy *t;
    krs_str text;
    uint16_t ends[N_NODES][MAX_TEXT + 1];
} chart;

static uint16_t through(const chart *c, uint32_t id, uint16_t begins)
{
    uint16_t ends = 0;
    for (uint32_t i = 0; i <= c->text.len; i++) {
        ends |= begins >> i & 1 ? c->ends[id][i] : 0;
    }
    return ends;
}

static uint16_t byte_after(const chart *c, uint16_t begins, char byte)
{
    uint16_t ends = 0;
    for (uint32_t i = 0; i < c->text.len; i++) {
        const bool is_next = (begins >> i & 1) != 0 && c->text.ptr[i] == byte;
        ends = (uint16_t)(ends | (is_next ? 1u << (i + 1) : 0));
    }
    return ends;
}

/* Where an object stands. */
typedef struct members {
    const node *at;
    uint32_t come;  /* bits of properties */
    uint32_t first; /* in order: those before have been passed */
    uint32_t n;
} members;

static uint16_t object_ends(const chart *c, members m, uint16_t begins);

/* Property i now. */
static uint16_t property_ends(const chart *c, members m, uint32_t i, uint16_t begins)
{
    const uint16_t values = byte_after(c, begins, (char)('x' + i));
    const uint32_t first = m.at->kind == 'O' ? i + 1 : 0;
    const members after = {m.at, m.come | 1u << i, first, m.n + 1};
    return object_ends(c, after, through(c, m.at->parts[i], values));
}

/* Keys x, y, z of the properties, further keys are 'w' with an 'a'. */
static uint16_t member_ends(const chart *c, members m, uint16_t begins)
{
    uint16_t ends = 0;
    bool is_stopped = false; /* in order, at the first that is required */
    for (uint32_t i = m.first; i < m.at->n && !is_stopped; i++) {
        if (!(m.come >> i & 1)) {
            ends |= property_ends(c, m, i, begins);
            is_stopped = m.at->kind == 'O' && (m.at->required >> i & 1) != 0;
        }
    }
    if (!is_stopped) {
        const members after = {m.at, m.come, m.at->kind == 'O' ? m.at->n : 0, m.n + 1};
        ends |= object_ends(c, after, byte_after(c, byte_after(c, begins, 'w'), 'a'));
    }
    return ends;
}

static uint16_t object_ends(const chart *c, members m, uint16_t begins)
{
    uint16_t ends = 0;
    if (begins == 0) {
        return 0;
    }
    const bool is_complete = (m.at->required & ((1u << m.at->n) - 1) & ~m.come) == 0;
    if (is_complete && m.n >= m.at->min) {
        ends |= byte_after(c, begins, ')');
    }
    if (m.n < m.at->max) {
        ends |= member_ends(c, m, m.n > 0 ? byte_after(c, begins, ',') : begins);
    }
    return ends;
}

static uint16_t repeat_ends(const chart *c, const node *at, uint16_t begin)
{
    uint16_t reached = begin;
    uint16_t ends = at->min == 0 ? begin : 0;
    for (uint32_t i = 1; i <= at->max && i <= 2 * MAX_TEXT + at->min; i++) {
        reached = through(c, at->parts[0], reached);
        ends |= i >= at->min ? reached : 0;
    }
    return ends;
}

static uint16_t node_ends(const chart *c, const node *at, uint32_t begin)
{
    uint16_t ends = (uint16_t)(1u << begin);
    switch (at->kind) {
    case '0':
        return ends;
    case '.':
        for (uint32_t i = 0; i < at->n; i++) {
            ends = through(c, at->parts[i], ends);
        }
        return ends;
    case '|':
        return c->ends[at->parts[0]][begin] | c->ends[at->parts[1]][begin];
    case '{':
        return repeat_ends(c, at, ends);
    case 'R':
        return c->ends[c->t->rules[at->parts[0]]][begin];
    case 'O':
    case 'U':
        return object_ends(c, (members){.at = at}, byte_after(c, ends, '('));
    default:
        return byte_after(c, ends, at->kind);
    }
}

static bool twin_matches(const toy *t, krs_str text)
{
    static chart c;
    c = (chart){.t = t, .text = text};
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (uint32_t i = 0; i < t->n; i++) {
            for (uint32_t begin = 0; begin <= text.len; begin++) {
                const uint16_t ends = node_ends(&c, &t->nodes[i], begin) | c.ends[i][begin];
                has_changed = has_changed || ends != c.ends[i][begin];
                c.ends[i][begin] = ends;
            }
        }
    }
    return (c.ends[t->rules[0]][0] >> text.len & 1) != 0;
}

/* ---- the same with the builder */

typedef struct making {
    krs_grammar_builder *b;
    const toy *t;
    krs_rule rules[N_RULES];
} making;

static krs_expr make(making *m, uint32_t id);

static krs_expr make_object(making *m, const node *at)
{
    krs_expr_property properties[MAX_PARTS];
    for (uint32_t i = 0; i < at->n; i++) {
        const char key = (char)('x' + i);
        properties[i] = (krs_expr_property){.key = krs_regex_literal(m->b, (krs_str){&key, 1}),
                                            .value = make(m, at->parts[i]),
                                            .is_required = (at->required >> i & 1) != 0};
    }
    const krs_expr_further further = {.key = krs_regex_literal(m->b, KRS_STR("w")),
                                      .value = krs_expr_literal(m->b, KRS_STR("a"))};
    const krs_expr_object spec = {.properties = properties,
                                  .n_properties = at->n,
                                  .further = &further,
                                  .n_further = 1,
                                  .min_count = at->min,
                                  .max_count = at->max,
                                  .open = krs_expr_literal(m->b, KRS_STR("(")),
                                  .close = krs_expr_literal(m->b, KRS_STR(")")),
                                  .separator = krs_expr_literal(m->b, KRS_STR(",")),
                                  .colon = krs_expr_empty(m->b),
                                  .is_any_order = at->kind == 'U'};
    return krs_expr_object_of(m->b, &spec);
}

static krs_expr make(making *m, uint32_t id)
{
    const node *at = &m->t->nodes[id];
    krs_expr parts[MAX_PARTS];
    if (at->kind == 'O' || at->kind == 'U') {
        return make_object(m, at);
    }
    for (uint32_t i = 0; i < at->n; i++) {
        parts[i] = make(m, at->parts[i]);
    }
    switch (at->kind) {
    case '0':
        return krs_expr_empty(m->b);
    case '.':
        return krs_expr_seq(m->b, parts, at->n);
    case '|':
        return krs_expr_alt(m->b, parts, at->n);
    case '{':
        return krs_expr_repeat(m->b, parts[0], at->min, at->max);
    case 'R':
        return krs_expr_rule(m->b, m->rules[at->parts[0]]);
    default:
        return krs_expr_literal(m->b, (krs_str){&at->kind, 1});
    }
}

/* The root, with the rules defined. */
static krs_expr make_toy(krs_grammar_builder *b, const toy *t)
{
    making m = {.b = b, .t = t};
    for (uint32_t i = 0; i < N_RULES; i++) {
        m.rules[i] = krs_expr_declare(b, KRS_STR("rule"));
    }
    for (uint32_t i = 0; i < N_RULES; i++) {
        krs_expr_define(b, m.rules[i], make(&m, t->rules[i]));
    }
    return krs_expr_rule(b, m.rules[0]);
}

/* A walk at random through what the automaton allows, so that long matches are tried; sometimes a step aside. */
static krs_str random_text(krs_automaton *a, uint64_t *seed, char room[MAX_TEXT])
{
    static const char letters[] = "abc(),xyzw";
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    const size_t len = next_random(seed) % (MAX_TEXT + 1);
    for (size_t i = 0; i < len; i++) {
        for (int tries = 0; tries < 12; tries++) {
            room[i] = letters[next_random(seed) % (sizeof(letters) - 1)];
            if (krs_matcher_accept_bytes(m, (krs_str){room + i, 1}) == KRS_OK) {
                break;
            }
        }
    }
    krs_matcher_free(m);
    return (krs_str){room, len};
}

#define FIRST_SEED 4711

static void random_grammars_match_as_their_twins(void **state)
{
    (void)state;
    printf("seed %d\n", FIRST_SEED);
    uint32_t n_matches = 0;
    uint32_t n_grammars = 0;
    for (uint64_t round = 0; round < 500; round++) {
        uint64_t seed = FIRST_SEED + round * 7919;
        toy t;
        new_toy(&t, &seed);
        krs_error err = KRS_ERROR_INIT;
        krs_grammar_builder *b = new_builder();
        const krs_expr root = make_toy(b, &t);
        krs_grammar *grammar;
        const krs_status status = krs_grammar_build(b, root, &grammar, &err);
        if (status != KRS_OK) {
            assert_int_equal(status,
                             KRS_EINVAL); /* nothing matches, or an object's left recursion */
            continue;
        }
        krs_automaton *a;
        assert_int_equal(krs_automaton_new(&grammar, NULL, NULL, NULL, &a, &err), KRS_OK);
        n_grammars++;
        for (uint32_t i = 0; i < 60; i++) {
            char room[MAX_TEXT];
            const krs_str text = random_text(a, &seed, room);
            const bool expected = twin_matches(&t, text);
            n_matches += expected ? 1 : 0;
            if ((krs_automaton_match(a, text, NULL) == KRS_OK) != expected) {
                fail_msg("round %llu: \"%.*s\" is %d", (unsigned long long)round,
                         KRS_STR_ARGS(text), expected);
            }
        }
        krs_automaton_free(a);
    }
    printf("%u grammars, %u matches\n", n_grammars, n_matches);
    assert_true(n_grammars > 200 && n_matches > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_grammars_match_as_their_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
