/* grammar/closure.c - continuations, and what the next byte after one may begin.
 *
 * This is where expressions are expanded, one step at a time and only as far as the next lexeme. A
 * continuation that was met in the same closure is not looked at again, which ends the circles of repeats
 * whose body may be empty; a rule that begins with itself was refused before.
 *
 * Closures are kept: a lexeme ends in many places, and what comes after it is the same. */
#include "grammar/automaton_priv.h"
#include "grammar/sort_priv.h"

#define MAX_EAGER 16 /* parts of a sequence that are laid out at once; most have fewer */

void krs_closure_push(krs_automaton *a, uint32_t cont)
{
    uint32_t at;
    const krs_status status = krs_pool_push(&a->todo, &cont, 1, &at);
    if (status != KRS_OK) {
        krs_automaton_failed(a, status);
    }
}

uint32_t krs_cont_of(krs_automaton *a, uint32_t e, uint32_t next)
{
    if (e == KRS_EXPR_EMPTY) {
        return next;
    }
    const uint64_t hash = krs_cont_hash(e, next);
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&a->cont_table, hash, &probe)) != KRS_NO_ID) {
        const krs_cont *at = krs_cont_at(a, id);
        if (at->expr == e && at->next == next) {
            return id;
        }
    }
    krs_status status = krs_automaton_status(a);
    const krs_cont cont = {.expr = e, .next = next, .first = KRS_NO_ID};
    if (status == KRS_OK) {
        status = krs_intern_reserve(&a->cont_table);
    }
    if (status == KRS_OK) {
        status = krs_pool_push(&a->conts, &cont, 1, &id);
    }
    if (status != KRS_OK) {
        krs_automaton_failed(a, status);
        return KRS_CONT_END;
    }
    krs_intern_add(&a->cont_table, hash, id);
    return id;
}

/* A configuration, onto the work stack. */
static void emit(krs_automaton *a, uint32_t regex, uint32_t cont)
{
    const uint64_t config = (uint64_t)regex << 32 | cont;
    uint32_t at;
    const krs_status status = krs_pool_push(&a->work, &config, 1, &at);
    if (status != KRS_OK) {
        krs_automaton_failed(a, status);
    }
}

static bool is_productive(const krs_automaton *a, uint32_t e)
{
    return (krs_expr_at(a->exprs, e)->flags & KRS_EXPR_PRODUCTIVE) != 0;
}

/* e and then next, unless e can never be finished. */
static void push(krs_automaton *a, uint32_t e, uint32_t next)
{
    if (is_productive(a, e)) {
        krs_closure_push(a, krs_cont_of(a, e, next));
    }
}

static void expand_repeat(krs_automaton *a, const krs_expr_node *node, uint32_t next)
{
    if (node->b == 0) {
        krs_closure_push(a, next);
    }
    if (!is_productive(a, node->a)) {
        return;
    }
    const uint32_t max = node->c == KRS_REGEX_INF ? KRS_REGEX_INF : node->c - 1;
    const uint32_t again =
        krs_expr_repeat_of(a->exprs, node->a, node->b > 0 ? node->b - 1 : 0, max);
    push(a, node->a, krs_cont_of(a, again, next));
}

/* A short sequence goes onto the continuation part by part, so that what is left of several, (x, (y z)) and
 * ((x y), z), is one continuation; a long one only as far as it is read. */
static void expand_seq(krs_automaton *a, const krs_expr_node *node, uint32_t next)
{
    if (node->b > MAX_EAGER) {
        const uint32_t tail =
            krs_expr_list_of(a->exprs, KRS_EXPR_KIND_SEQ, node->a + 1, node->b - 1);
        next = krs_cont_of(a, tail, next);
    }
    for (uint32_t i = node->b > MAX_EAGER ? 0 : node->b - 1; i > 0; i--) {
        next = krs_cont_of(a, krs_expr_list_at(a->exprs, node->a)[i], next);
    }
    push(a, krs_expr_list_at(a->exprs, node->a)[0], next);
}

static void expand_lexeme(krs_automaton *a, uint32_t regex, uint32_t next)
{
    emit(a, regex, next);
    if (krs_regex_has(a->regexes, regex, KRS_REGEX_NULLABLE)) {
        krs_closure_push(a, next);
    }
}

static void expand_object(krs_automaton *a, const krs_expr_node *node, uint32_t next)
{
    const krs_object_node *object = krs_object_at(a->exprs, node->a);
    const uint32_t come = krs_object_nothing_come(a->exprs, object);
    const uint32_t members = krs_expr_node_of(a->exprs, KRS_EXPR_KIND_MEMBERS, node->a, come, 0);
    push(a, object->open, krs_cont_of(a, members, next));
}

/* What the expression of a continuation may begin with, before what is next. */
static void expand(krs_automaton *a, const krs_expr_node *node, uint32_t next)
{
    switch ((krs_expr_kind)node->kind) {
    case KRS_EXPR_KIND_NONE:
        break;
    case KRS_EXPR_KIND_EMPTY:
        krs_closure_push(a, next);
        break;
    case KRS_EXPR_KIND_LEXEME:
        expand_lexeme(a, node->a, next);
        break;
    case KRS_EXPR_KIND_SEQ:
        expand_seq(a, node, next);
        break;
    case KRS_EXPR_KIND_ALT:
        for (uint32_t i = 0; i < node->b; i++) {
            push(a, krs_expr_list_at(a->exprs, node->a)[i], next);
        }
        break;
    case KRS_EXPR_KIND_REPEAT:
        expand_repeat(a, node, next);
        break;
    case KRS_EXPR_KIND_RULE:
        push(a, krs_rule_at(a->exprs, node->a)->expr, next);
        break;
    case KRS_EXPR_KIND_OBJECT:
        expand_object(a, node, next);
        break;
    default:
        krs_closure_push_object(a, node, next);
        break;
    }
}

/* Expand until only lexemes are left; they are on the work stack from base on. */
static void find_lexemes(krs_automaton *a, uint32_t cont, uint32_t base)
{
    const uint32_t bottom = a->todo.n;
    a->mark++;
    krs_closure_push(a, cont);
    while (a->todo.n > bottom && krs_automaton_status(a) == KRS_OK &&
           krs_regex_steps(a->regexes, 1)) {
        const uint32_t top = ((const uint32_t *)a->todo.items)[--a->todo.n];
        krs_cont *at = krs_cont_at(a, top);
        if (at->mark == a->mark) {
            continue;
        }
        at->mark = a->mark;
        if (top == KRS_CONT_END) {
            emit(a, KRS_REGEX_EMPTY, KRS_CONT_END);
        } else {
            const krs_expr_node node = *krs_expr_at(a->exprs, at->expr);
            expand(a, &node, at->next);
        }
        if (a->work.n - base > KRS_AUTOMATON_MAX_CONFIGS) {
            krs_automaton_failed(a, KRS_EDEADLINE);
        }
    }
    a->todo.n = bottom;
}

void krs_closure_find(krs_automaton *a, uint32_t cont)
{
    if (krs_cont_at(a, cont)->first != KRS_NO_ID) {
        return;
    }
    const uint32_t base = a->work.n;
    find_lexemes(a, cont, base);
    if (krs_automaton_status(a) == KRS_OK) {
        uint64_t *found = (uint64_t *)a->work.items + base;
        const uint32_t n = (uint32_t)krs_sort_unique(found, a->work.n - base);
        uint32_t first;
        const krs_status status = krs_pool_push(&a->configs, found, n, &first);
        if (status == KRS_OK) {
            krs_cont_at(a, cont)->n = n;
            krs_cont_at(a, cont)->first = first;
        } else {
            krs_automaton_failed(a, status);
        }
    }
    a->work.n = base;
}
