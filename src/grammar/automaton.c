/* grammar/automaton.c - an automaton's life; see matcher.h and automaton_priv.h. */
#include "grammar/automaton_priv.h"

#include <string.h>

krs_status krs_automaton_status(const krs_automaton *a)
{
    if (a->status != KRS_OK) {
        return a->status;
    }
    return a->regexes->status != KRS_OK ? a->regexes->status : a->exprs->status;
}

void krs_automaton_failed(krs_automaton *a, krs_status status)
{
    if (a->status == KRS_OK) {
        a->status = status;
    }
}

void krs_automaton_begin(krs_automaton *a)
{
    a->status = a->regexes->status = a->exprs->status = KRS_OK;
    a->regexes->steps_left = KRS_AUTOMATON_MAX_STEPS;
    a->regexes->scratch.n = 0;
    a->todo.n = 0;
    a->work.n = 0;
}

krs_status krs_automaton_end(krs_automaton *a, bool is_first, krs_error *err)
{
    krs_status status = krs_automaton_status(a);
    const uint32_t n_steps = KRS_AUTOMATON_MAX_STEPS - a->regexes->steps_left;
    a->most_steps = n_steps > a->most_steps ? n_steps : a->most_steps;
    if (status == KRS_ETOOLARGE && is_first) {
        status = krs_automaton_drop(a);
        if (status == KRS_OK) {
            return KRS_EAGAIN;
        }
    }
    switch (status) {
    case KRS_OK:
        return KRS_OK;
    case KRS_EDEADLINE:
        return krs_fail(err, KRS_ETOOLARGE,
                        "grammar: too costly to follow, more than %d ways at once or %u steps",
                        KRS_AUTOMATON_MAX_CONFIGS, KRS_AUTOMATON_MAX_STEPS);
    case KRS_EUNSUPPORTED:
        return krs_fail(err, KRS_ETOOLARGE, "grammar: a regex nested deeper than %d",
                        KRS_REGEX_MAX_DEPTH);
    case KRS_ETOOLARGE:
        return krs_fail(err, KRS_ETOOLARGE, "grammar: one step needs more than %zu bytes",
                        a->ledger->max_bytes);
    default:
        return krs_fail(err, status, "grammar: no memory");
    }
}

/* The states that have no configurations: from them, nothing leads anywhere. */
static krs_status add_dead_ends(krs_automaton *a)
{
    const krs_state dead[] = {
        [KRS_STATE_DEAD] = {.mask = KRS_NO_ID, .forced = KRS_FORCED_NONE},
        [KRS_STATE_ENDED] = {.mask = KRS_NO_ID, .forced = KRS_FORCED_NONE, .is_accepting = true},
    };
    uint32_t at;
    krs_status status = krs_pool_push(&a->states, dead, 2, &at);
    if (status == KRS_OK) {
        status = krs_rows_reserve(&a->rows); /* which is room for a chunk of them */
    }
    if (status == KRS_OK) {
        a->rows.n = 2;
        memset(krs_row_at(a, KRS_STATE_DEAD), 0, 2 * KRS_ROW_BYTES * sizeof(uint32_t));
    }
    return status;
}

/* The end, and the root before it; then the state in which texts begin. */
static krs_status add_start(krs_automaton *a)
{
    const krs_cont end = {.first = KRS_NO_ID};
    uint32_t at;
    const krs_status status = krs_pool_push(&a->conts, &end, 1, &at);
    if (status != KRS_OK) {
        return status;
    }
    const uint32_t root = krs_cont_of(a, a->grammar->root, KRS_CONT_END);
    krs_closure_find(a, root);
    if (krs_automaton_status(a) == KRS_OK) {
        const krs_cont cont = *krs_cont_at(a, root);
        krs_automaton_failed(a,
                             krs_pool_push(&a->work, krs_configs_at(a, cont.first), cont.n, &at));
        a->start = krs_state_of(a, 0);
    }
    return krs_automaton_status(a);
}

static void init_pools(krs_automaton *a)
{
    krs_pool_init(&a->conts, a->ledger, sizeof(krs_cont));
    krs_intern_init(&a->cont_table, a->ledger);
    krs_pool_init(&a->configs, a->ledger, sizeof(uint64_t));
    krs_pool_init(&a->states, a->ledger, sizeof(krs_state));
    krs_intern_init(&a->state_table, a->ledger);
    krs_rows_init(&a->rows, a->ledger);
    krs_pool_init(&a->todo, a->ledger, sizeof(uint32_t));
    krs_pool_init(&a->work, a->ledger, sizeof(uint64_t));
    krs_pool_init(&a->slots, &a->mask_ledger, sizeof(krs_mask_slot));
}

static krs_status start(krs_automaton *a, krs_error *err)
{
    krs_status status = KRS_OK;
    if (a->vocab) {
        const size_t n_words = krs_grammar_vocab_n_words(a->vocab) + KRS_SPARE_WORDS;
        a->scratch_mask = krs_alloc_array(a->alloc, n_words, sizeof(uint64_t));
        status = a->scratch_mask ? KRS_OK : KRS_ENOMEM;
    }
    krs_automaton_begin(a);
    if (status == KRS_OK) {
        status = add_dead_ends(a);
    }
    if (status == KRS_OK) {
        status = add_start(a);
    }
    krs_automaton_failed(a, status);
    return krs_automaton_end(a, false, err);
}

krs_status krs_automaton_new(krs_grammar **grammar, const krs_grammar_vocab *vocab,
                             const krs_automaton_options *options, const krs_alloc *alloc,
                             krs_automaton **out, krs_error *err)
{
    *out = NULL;
    const krs_automaton_options defaults = KRS_AUTOMATON_OPTIONS_INIT;
    const krs_automaton_options *given = options ? options : &defaults;
    krs_automaton *a = krs_alloc_zero(alloc, sizeof(*a));
    if (!a) {
        return krs_fail(err, KRS_ENOMEM, "grammar: no memory");
    }
    krs_grammar_builder *b = (*grammar)->b;
    a->alloc = alloc;
    a->grammar = *grammar;
    a->vocab = vocab;
    a->regexes = &b->regexes;
    a->exprs = &b->exprs;
    a->ledger = &b->ledger;
    a->own_bytes = a->ledger->n_bytes;
    a->max_bytes = given->max_bytes;
    a->ledger->max_bytes = a->own_bytes + a->max_bytes;
    a->regexes->max_nodes = a->exprs->max_nodes = KRS_NO_ID - 1; /* now the bytes are the bound */
    a->mask_ledger = (krs_ledger){.alloc = alloc, .max_bytes = SIZE_MAX};
    a->max_mask_bytes = given->max_mask_bytes;
    a->n_own_regexes = a->regexes->nodes.n;
    a->n_own_regex_lists = a->regexes->lists.n;
    a->n_own_exprs = a->exprs->nodes.n;
    a->n_own_expr_lists = a->exprs->lists.n;
    init_pools(a);
    const krs_status status = start(a, err);
    if (status != KRS_OK) {
        a->grammar = NULL; /* stays the caller's, who can only free it */
        krs_automaton_free(a);
        return status;
    }
    *grammar = NULL;
    *out = a;
    return KRS_OK;
}

void krs_automaton_free(krs_automaton *a)
{
    if (!a) {
        return;
    }
    krs_masks_free(a);
    krs_pool_deinit(&a->conts);
    krs_intern_deinit(&a->cont_table);
    krs_pool_deinit(&a->configs);
    krs_pool_deinit(&a->states);
    krs_intern_deinit(&a->state_table);
    krs_rows_deinit(&a->rows);
    krs_pool_deinit(&a->todo);
    krs_pool_deinit(&a->work);
    krs_alloc_free(a->alloc, a->scratch_mask);
    krs_grammar_free(a->grammar);
    krs_alloc_free(a->alloc, a);
}

void krs_automaton_stats_get(const krs_automaton *a, krs_automaton_stats *out)
{
    *out = (krs_automaton_stats){
        .n_states = a->states.n,
        .n_bytes = krs_grammar_n_bytes(a->grammar) + a->mask_ledger.n_bytes + sizeof(*a),
        .made_states = a->made_states,
        .made_masks = a->made_masks,
        .drops = a->drops,
        .most_steps = a->most_steps,
    };
    for (uint32_t i = 0; i < a->slots.n; i++) {
        const krs_mask_slot *slot = (const krs_mask_slot *)a->slots.items + i;
        out->n_masks += slot->state != KRS_NO_ID ? 1 : 0;
    }
}
