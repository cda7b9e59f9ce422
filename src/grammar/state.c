/* grammar/state.c - states and where bytes lead from them.
 *
 * One look at a state's configurations finds not only where a byte leads, but all the bytes that lead to the
 * same place: those that no regex there tells apart. They get their entries of the row together, so that a
 * string's state is filled by a dozen looks, not by 256. */
#include "grammar/automaton_priv.h"
#include "grammar/sort_priv.h"

#include <string.h>

#define CONFIGS_A_STEP 2 /* sorted in the time of a derivative */

static uint64_t *work_at(const krs_automaton *a, uint32_t at)
{
    return (uint64_t *)a->work.items + at;
}

static uint32_t find_state(const krs_automaton *a, uint64_t hash, const uint64_t *configs,
                           uint32_t n)
{
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&a->state_table, hash, &probe)) != KRS_NO_ID) {
        const krs_state *state = krs_state_at(a, id);
        if (state->n == n &&
            memcmp(krs_configs_at(a, state->first), configs, n * sizeof(*configs)) == 0) {
            break;
        }
    }
    return id;
}

/* A new state: all or nothing. */
static krs_status add_state(krs_automaton *a, uint64_t hash, const uint64_t *configs, uint32_t n,
                            uint32_t *id)
{
    krs_state state = {.n = n,
                       .mask = KRS_NO_ID,
                       .forced = KRS_FORCED_UNKNOWN,
                       .plain = {.n_chars = KRS_PLAIN_UNKNOWN},
                       .is_accepting = configs[0] == (uint64_t)KRS_REGEX_EMPTY << 32};
    krs_status status = krs_intern_reserve(&a->state_table);
    if (status == KRS_OK) {
        status = krs_pool_reserve(&a->states, 1);
    }
    if (status == KRS_OK) {
        status = krs_rows_reserve(&a->rows);
    }
    if (status == KRS_OK) {
        status = krs_pool_push(&a->configs, configs, n, &state.first);
    }
    if (status != KRS_OK) {
        return status;
    }
    *id = a->states.n++;
    *krs_state_at(a, *id) = state;
    a->rows.n++;
    memset(krs_row_at(a, *id), 0xFF, KRS_ROW_BYTES * sizeof(uint32_t));
    krs_intern_add(&a->state_table, hash, *id);
    a->made_states++;
    return KRS_OK;
}

uint32_t krs_state_of(krs_automaton *a, uint32_t base)
{
    const bool is_paid = krs_regex_steps(a->regexes, (a->work.n - base) / CONFIGS_A_STEP);
    const uint32_t n_work = is_paid ? a->work.n - base : 0;
    const uint32_t n = (uint32_t)krs_sort_unique(work_at(a, base), n_work);
    a->work.n = base;
    if (n == 0 || krs_automaton_status(a) != KRS_OK) {
        return KRS_STATE_DEAD;
    }
    const uint64_t *configs = work_at(a, base); /* nothing is pushed there meanwhile */
    const uint64_t hash = krs_configs_hash(configs, n);
    uint32_t id = find_state(a, hash, configs, n);
    if (id != KRS_NO_ID) {
        return id;
    }
    krs_status status = n <= KRS_AUTOMATON_MAX_CONFIGS ? KRS_OK : KRS_EDEADLINE;
    if (status == KRS_OK) {
        status = add_state(a, hash, configs, n, &id);
    }
    if (status != KRS_OK) {
        krs_automaton_failed(a, status);
        return KRS_STATE_DEAD;
    }
    return id;
}

/* (regex, cont) as the configurations it stands for, onto the work stack: itself, and where the lexeme may
 * end here, what comes after it. */
static void settle(krs_automaton *a, uint32_t regex, uint32_t cont)
{
    const uint64_t config = (uint64_t)regex << 32 | cont;
    uint32_t at;
    krs_status status = KRS_OK;
    if (regex != KRS_REGEX_EMPTY) {
        status = krs_pool_push(&a->work, &config, 1, &at);
    }
    if (status == KRS_OK && krs_regex_has(a->regexes, regex, KRS_REGEX_NULLABLE)) {
        krs_closure_find(a, cont);
        const krs_cont after = *krs_cont_at(a, cont);
        status = krs_automaton_status(a);
        if (status == KRS_OK) {
            status = krs_pool_push(&a->work, krs_configs_at(a, after.first), after.n, &at);
        }
    }
    if (status != KRS_OK) {
        krs_automaton_failed(a, status);
    }
}

static bool is_never(krs_automaton *a, uint32_t regex)
{
    bool is_known;
    return regex == KRS_REGEX_NONE || (krs_regex_has(a->regexes, regex, KRS_REGEX_HARD) &&
                                       krs_regex_is_never(a->regexes, regex, UINT32_MAX,
                                                          &is_known)); /* or no steps are left */
}

static void fill_row(krs_automaton *a, uint32_t state, const krs_byte_set *bytes, uint32_t to)
{
    uint32_t *row = krs_row_at(a, state);
    for (unsigned w = 0; w < 4; w++) {
        for (uint64_t bits = bytes->bits[w]; bits != 0; bits &= bits - 1) {
            row[w * 64 + (unsigned)__builtin_ctzll(bits)] = to * KRS_ROW_BYTES;
        }
    }
}

uint32_t krs_state_next(krs_automaton *a, uint32_t state, uint8_t c)
{
    const krs_state from = *krs_state_at(a, state);
    const uint32_t base = a->work.n;
    krs_byte_set same = {{~0ull, ~0ull, ~0ull, ~0ull}};
    for (uint32_t i = 0; i < from.n && krs_automaton_status(a) == KRS_OK; i++) {
        const uint64_t config = krs_configs_at(a, from.first)[i];
        const uint32_t regex = (uint32_t)(config >> 32);
        krs_regex_narrow(a->regexes, regex, c, &same);
        const uint32_t rest = krs_regex_derive(a->regexes, regex, c);
        if (!is_never(a, rest)) {
            settle(a, rest, (uint32_t)config);
        }
    }
    const uint32_t to = krs_state_of(a, base);
    if (krs_automaton_status(a) != KRS_OK) {
        return KRS_STATE_DEAD;
    }
    fill_row(a, state, &same, to);
    return to;
}

uint32_t krs_state_follow(krs_automaton *a, uint32_t state, krs_str bytes)
{
    for (size_t i = 0; i < bytes.len && state != KRS_STATE_DEAD; i++) {
        state = krs_state_step(a, state, (uint8_t)bytes.ptr[i]);
    }
    return state;
}

int krs_state_forced(krs_automaton *a, uint32_t state)
{
    const krs_state *at = krs_state_at(a, state);
    if (at->forced != KRS_FORCED_UNKNOWN) {
        return at->forced;
    }
    int forced = KRS_FORCED_NONE;
    if (!at->is_accepting) {
        for (unsigned c = 0; c < KRS_ROW_BYTES; c++) {
            if (krs_state_step(a, state, (uint8_t)c) == KRS_STATE_DEAD) {
                continue;
            }
            if (forced != KRS_FORCED_NONE) {
                forced = KRS_FORCED_NONE;
                break;
            }
            forced = (int)c;
        }
    }
    if (krs_automaton_status(a) == KRS_OK) {
        krs_state_at(a, state)->forced = (int16_t)forced;
    }
    return forced;
}

bool krs_state_is_final(krs_automaton *a, uint32_t state)
{
    const krs_state at = *krs_state_at(a, state);
    if (!at.is_accepting) {
        return false;
    }
    for (uint32_t i = 1; i < at.n; i++) { /* the first says that the text may end */
        const uint32_t regex = (uint32_t)(krs_configs_at(a, at.first)[i] >> 32);
        if (!krs_regex_has(a->regexes, regex, KRS_REGEX_HARD)) {
            return false;
        }
    }
    for (unsigned c = 0; c < KRS_ROW_BYTES && at.n > 1; c++) {
        if (krs_state_step(a, state, (uint8_t)c) != KRS_STATE_DEAD) {
            return false;
        }
    }
    return true;
}
