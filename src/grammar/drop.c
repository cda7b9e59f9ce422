/* grammar/drop.c - when an automaton has outgrown its bytes: keep the states of living matchers.
 *
 * All that was made while texts were followed is dropped, but what those states are made of; it gets new
 * ids, in the old order, so what was sorted stays sorted. Rows and closures are forgotten and made again when
 * they are needed. Parts have smaller ids than what is made of them: marking goes down once, moving goes up
 * once.
 *
 * Memory: a number for each thing there is, taken before anything is changed; so a drop fails whole. */
#include "grammar/automaton_priv.h"

#include <string.h>

/* New ids by old ones; while marking, 1 for what stays. What was built has its own ids and is not here. */
typedef struct drop {
    krs_automaton *a;
    uint32_t *regexes;
    uint32_t *exprs;
    uint32_t *conts;
    uint32_t *states;
    uint32_t *lists; /* what has come of objects, as it was */
    uint32_t *all;   /* the allocation */
} drop;

static krs_status take_room(drop *d)
{
    const krs_automaton *a = d->a;
    const size_t n_lists = a->exprs->lists.n - a->n_own_expr_lists;
    const size_t n = (size_t)a->regexes->nodes.n + a->exprs->nodes.n + a->conts.n + a->states.n;
    d->all = krs_alloc_array(a->alloc, n + n_lists, sizeof(*d->all));
    if (!d->all) {
        return KRS_ENOMEM;
    }
    d->regexes = d->all;
    d->exprs = d->regexes + a->regexes->nodes.n;
    d->conts = d->exprs + a->exprs->nodes.n;
    d->states = d->conts + a->conts.n;
    d->lists = d->states + a->states.n;
    if (n_lists > 0) {
        memcpy(d->lists, krs_expr_list_at(a->exprs, a->n_own_expr_lists),
               n_lists * sizeof(*d->lists));
    }
    return KRS_OK;
}

static void mark_states(drop *d)
{
    const krs_automaton *a = d->a;
    d->states[KRS_STATE_DEAD] = d->states[KRS_STATE_ENDED] = d->states[a->start] = 1;
    for (const krs_matcher *m = a->matchers; m; m = m->next) {
        d->states[m->state] = d->states[m->probe] = 1;
        for (uint32_t i = 0; i < m->n_back; i++) {
            d->states[m->back[krs_matcher_back_at(m, i)]] = 1;
        }
    }
    for (uint32_t i = 0; i < a->states.n; i++) {
        const krs_state *state = krs_state_at(a, i);
        for (uint32_t m = 0; m < state->n && d->states[i]; m++) {
            const uint64_t config = krs_configs_at(a, state->first)[m];
            d->regexes[config >> 32] = 1;
            d->conts[(uint32_t)config] = 1;
        }
    }
}

static void mark_regex(drop *d, const krs_regex_node *node)
{
    const bool is_list = node->kind == KRS_REGEX_KIND_OR || node->kind == KRS_REGEX_KIND_AND;
    if (node->kind < KRS_REGEX_KIND_CAT) {
        return;
    }
    for (uint32_t m = 0; m < (is_list ? node->b : 0); m++) {
        d->regexes[krs_regex_list_at(d->a->regexes, node->a)[m]] = 1;
    }
    if (!is_list) {
        d->regexes[node->a] = 1;
    }
    if (node->kind == KRS_REGEX_KIND_CAT) {
        d->regexes[node->b] = 1;
    }
}

static void mark_parts(drop *d)
{
    const krs_automaton *a = d->a;
    d->conts[KRS_CONT_END] = 1;
    for (uint32_t i = a->conts.n; i-- > 1;) {
        if (d->conts[i]) {
            d->exprs[krs_cont_at(a, i)->expr] = 1;
            d->conts[krs_cont_at(a, i)->next] = 1;
        }
    }
    for (uint32_t i = a->regexes->nodes.n; i-- > a->n_own_regexes;) {
        if (d->regexes[i]) {
            mark_regex(d, krs_regex_at(a->regexes, i));
        }
    }
}

/* New ids, in the old order, for what stays of [first, n); below first all stays. */
static uint32_t number(uint32_t *ids, uint32_t first, uint32_t n)
{
    uint32_t next = first;
    for (uint32_t i = 0; i < n; i++) {
        if (i < first) {
            ids[i] = i;
        } else {
            ids[i] = ids[i] ? next++ : KRS_NO_ID;
        }
    }
    return next;
}

static void move_list(drop *d, krs_regex_node *node)
{
    krs_pool *lists = &d->a->regexes->lists;
    uint32_t *items = lists->items;
    for (uint32_t m = 0; m < node->b; m++) {
        items[lists->n + m] = d->regexes[items[node->a + m]];
    }
    node->a = lists->n;
    lists->n += node->b;
}

static void move_regexes(drop *d)
{
    krs_automaton *a = d->a;
    krs_regex_store *s = a->regexes;
    krs_regex_node *nodes = s->nodes.items;
    const uint32_t n = s->nodes.n;
    s->lists.n = a->n_own_regex_lists;
    s->nodes.n = number(d->regexes, a->n_own_regexes, n);
    for (uint32_t i = a->n_own_regexes; i < n; i++) {
        krs_regex_node node = nodes[i];
        if (d->regexes[i] == KRS_NO_ID) {
            continue;
        }
        if (node.kind == KRS_REGEX_KIND_OR || node.kind == KRS_REGEX_KIND_AND) {
            move_list(d, &node);
        } else if (node.kind >= KRS_REGEX_KIND_CAT) {
            node.a = d->regexes[node.a];
        }
        if (node.kind == KRS_REGEX_KIND_CAT) {
            node.b = d->regexes[node.b];
        }
        nodes[d->regexes[i]] = node;
    }
    krs_intern_clear(&s->node_table);
    for (uint32_t i = 0; i < s->nodes.n; i++) {
        krs_intern_add(&s->node_table, krs_regex_hash(s, &nodes[i]), i);
    }
    krs_regex_store_forget(s);
}

static bool has_come_list(const krs_automaton *a, const krs_expr_node *node)
{
    return node->kind >= KRS_EXPR_KIND_MEMBERS && krs_object_at(a->exprs, node->a)->is_any_order;
}

static void move_exprs(drop *d)
{
    krs_automaton *a = d->a;
    krs_expr_store *s = a->exprs;
    krs_expr_node *nodes = s->nodes.items;
    const uint32_t n = s->nodes.n;
    s->lists.n = a->n_own_expr_lists;
    krs_intern_clear(&s->come_table);
    s->nodes.n = number(d->exprs, a->n_own_exprs, n);
    for (uint32_t i = a->n_own_exprs; i < n; i++) {
        krs_expr_node node = nodes[i];
        if (d->exprs[i] == KRS_NO_ID) {
            continue;
        }
        if (has_come_list(a, &node)) {
            node.b = krs_object_intern_come(s, d->lists + (node.b - a->n_own_expr_lists));
        }
        nodes[d->exprs[i]] = node;
    }
    krs_intern_clear(&s->table);
    for (uint32_t i = 0; i < s->nodes.n; i++) {
        krs_intern_add(&s->table, krs_expr_hash(&nodes[i]), i);
    }
}

static void move_conts(drop *d)
{
    krs_automaton *a = d->a;
    krs_cont *conts = a->conts.items;
    const uint32_t n = a->conts.n;
    a->conts.n = number(d->conts, 1, n);
    krs_intern_clear(&a->cont_table);
    conts[KRS_CONT_END].first = KRS_NO_ID;
    for (uint32_t i = 1; i < n; i++) {
        if (d->conts[i] != KRS_NO_ID) {
            const krs_cont cont = {.expr = d->exprs[conts[i].expr],
                                   .next = d->conts[conts[i].next],
                                   .first = KRS_NO_ID};
            conts[d->conts[i]] = cont;
            krs_intern_add(&a->cont_table, krs_cont_hash(cont.expr, cont.next), d->conts[i]);
        }
    }
}

/* The configurations of a state, behind those that were moved before. */
static void move_configs(drop *d, krs_state *state)
{
    uint64_t *configs = d->a->configs.items;
    for (uint32_t m = 0; m < state->n; m++) {
        const uint64_t config = configs[state->first + m];
        configs[d->a->configs.n + m] =
            (uint64_t)d->regexes[config >> 32] << 32 | d->conts[(uint32_t)config];
    }
    state->first = d->a->configs.n;
    d->a->configs.n += state->n;
}

static void move_states(drop *d)
{
    krs_automaton *a = d->a;
    krs_state *states = a->states.items;
    const uint32_t n = a->states.n;
    const uint32_t first = KRS_STATE_ENDED + 1;
    a->configs.n = 0;
    a->states.n = a->rows.n = number(d->states, first, n);
    krs_intern_clear(&a->state_table);
    for (uint32_t i = first; i < n; i++) {
        krs_state state = states[i];
        if (d->states[i] == KRS_NO_ID) {
            continue;
        }
        move_configs(d, &state);
        states[d->states[i]] = state;
        memset(krs_row_at(a, d->states[i]), 0xFF, KRS_ROW_BYTES * sizeof(uint32_t));
        krs_intern_add(&a->state_table, krs_configs_hash(krs_configs_at(a, state.first), state.n),
                       d->states[i]);
    }
}

/* Everybody who knows a state by its id. */
static void tell(drop *d)
{
    krs_automaton *a = d->a;
    a->start = d->states[a->start];
    for (krs_matcher *m = a->matchers; m; m = m->next) {
        m->state = d->states[m->state];
        m->probe = d->states[m->probe];
        for (uint32_t i = 0; i < m->n_back; i++) {
            const uint32_t at = krs_matcher_back_at(m, i);
            m->back[at] = d->states[m->back[at]];
        }
    }
    for (uint32_t i = 0; i < a->slots.n; i++) {
        krs_mask_slot *slot = (krs_mask_slot *)a->slots.items + i;
        slot->state = slot->state == KRS_NO_ID ? KRS_NO_ID : d->states[slot->state];
    }
}

static void shrink(krs_automaton *a)
{
    krs_pool_shrink(&a->regexes->nodes);
    krs_pool_shrink(&a->regexes->lists);
    krs_pool_shrink(&a->exprs->nodes);
    krs_pool_shrink(&a->exprs->lists);
    krs_pool_shrink(&a->conts);
    krs_pool_shrink(&a->configs);
    krs_pool_shrink(&a->states);
    krs_rows_shrink(&a->rows);
}

/* Room for the next calls, beside what is held. */
static void make_room(krs_automaton *a)
{
    const size_t n_held = a->ledger->n_bytes > a->own_bytes ? a->ledger->n_bytes - a->own_bytes : 0;
    const size_t max_held = KRS_AUTOMATON_MAX_HELD * a->max_bytes;
    a->ledger->max_bytes = a->own_bytes + a->max_bytes + (n_held < max_held ? n_held : max_held);
}

krs_status krs_automaton_drop(krs_automaton *a)
{
    drop d = {.a = a};
    const krs_status status = take_room(&d);
    if (status != KRS_OK) {
        return status;
    }
    krs_automaton_begin(a);
    mark_states(&d);
    mark_parts(&d);
    move_regexes(&d);
    move_exprs(&d);
    move_conts(&d);
    move_states(&d);
    tell(&d);
    krs_alloc_free(a->alloc, d.all);
    shrink(a);
    make_room(a);
    a->drops++;
    return KRS_OK;
}
