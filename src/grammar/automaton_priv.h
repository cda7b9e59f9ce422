/* grammar/automaton_priv.h - states, and what they are made of.
 *
 *   configuration = (regex, continuation)   what remains of the lexeme that is being read, and then this
 *   continuation  = (expression, continuation) | end        a list, equal ones stored once
 *   closure(k)    = the configurations in which the next byte after k's beginning may be read
 *   state         = a set of configurations, equal ones stored once
 *
 * A configuration never has an EMPTY regex, but one: (EMPTY, end), which says that the text may end here.
 * From a state, byte c leads to the set of (D(r, c), k), with closure(k) wherever D(r, c) may be empty.
 *
 *   row of a state: for each byte, 256 times the state that it leads to, or UNKNOWN
 *
 * Invariants: 1. members of states and closures are sorted and single; 2. what they hold can be finished
 * (is productive): a call for which that is too hard to tell fails; 3. a node, continuation or state is only
 * kept when everything it came of succeeded.
 *
 * Thread: one owner, with its matchers. */
#pragma once

#include "grammar/grammar_priv.h"
#include "grammar/matcher.h"
#include "grammar/vocab_priv.h"

enum {
    KRS_STATE_DEAD = 0,  /* no text goes on like this */
    KRS_STATE_ENDED = 1, /* an end token was taken */
};

#define KRS_ROW_BYTES      256u
#define KRS_ROWS_IN_BLOCK  2048u /* 2 MiB: copying half of it takes 0.3 ms */
#define KRS_ROWS_A_CHUNK   128u
#define KRS_ROW_UNKNOWN    UINT32_MAX
#define KRS_CONT_END       0u /* the continuation of a whole text */
#define KRS_FORCED_UNKNOWN (-2)
#define KRS_FORCED_NONE    (-1)
#define KRS_PLAIN_UNKNOWN  (-1)

/* Visits of regex nodes and continuations that one call may cost: 10 to 30 ms. What needs more is a grammar gone
 * wrong, and holds up every other request. The costliest mask of 1,783 public schemas takes 2^16. */
#define KRS_AUTOMATON_MAX_STEPS (1u << 20)

typedef struct krs_cont {
    uint32_t expr;
    uint32_t next;
    uint32_t mark;  /* the closure that met it last */
    uint32_t first; /* of its closure in configs, or KRS_NO_ID */
    uint32_t n;
} krs_cont;

/* How many plain characters may come next, whichever they are, as far as it is seen cheaply (never too many):
 * KRS_SLICE_ENOUGH_CHARS stands for more, KRS_SLICE_MAX_CHARS for any number. */
typedef struct krs_plain {
    int16_t n_chars; /* or KRS_PLAIN_UNKNOWN */
    bool is_all;     /* and certainly no more than these, of any */
} krs_plain;

typedef struct krs_state {
    uint32_t first; /* in configs */
    uint32_t n;
    uint32_t mask;  /* slot, or KRS_NO_ID */
    int16_t forced; /* the only byte that may come, KRS_FORCED_NONE or KRS_FORCED_UNKNOWN */
    bool is_accepting;
    krs_plain plain;
} krs_state;

/* Rows of KRS_ROW_BYTES each. The block moves when it grows; once there are chunks, nothing moves. */
typedef struct krs_rows {
    uint32_t *block; /* the first KRS_ROWS_IN_BLOCK */
    krs_pool chunks; /* uint32_t *, to KRS_ROWS_A_CHUNK more each */
    uint32_t n;
    uint32_t cap;
} krs_rows;

typedef struct krs_mask_slot {
    uint64_t *words;
    uint32_t state;  /* whose mask, or KRS_NO_ID */
    uint32_t n_refs; /* matchers that show it to somebody */
    bool is_recent;
} krs_mask_slot;

struct krs_automaton {
    const krs_alloc *alloc;
    krs_grammar *grammar; /* owned */
    const krs_grammar_vocab *vocab;
    krs_regex_store *regexes; /* of the grammar */
    krs_expr_store *exprs;
    krs_ledger *ledger;
    krs_status status; /* sticky, of the call that is under way */

    krs_pool conts; /* krs_cont */
    krs_intern cont_table;
    krs_pool configs; /* uint64_t, regex << 32 | cont: members of closures and states */
    krs_pool states;  /* krs_state */
    krs_intern state_table;
    krs_rows rows;
    krs_pool todo; /* uint32_t, a stack of continuations */
    krs_pool work; /* uint64_t, a stack of configurations */
    uint32_t mark;
    uint32_t start; /* state */

    /* What was there when the grammar came: all above it can be dropped. */
    uint32_t n_own_regexes, n_own_regex_lists, n_own_exprs, n_own_expr_lists;

    size_t own_bytes; /* of the grammar */
    size_t max_bytes; /* as the options have it */
    krs_ledger mask_ledger;
    size_t max_mask_bytes;
    krs_pool slots; /* krs_mask_slot */
    uint32_t hand;  /* of the clock that chooses a slot to reuse */
    uint64_t *scratch_mask;
    krs_matcher *matchers; /* list */
    uint64_t made_states, made_masks, drops;
    uint32_t most_steps;
};

struct krs_matcher {
    krs_automaton *a;
    krs_matcher *next, *prev;
    uint32_t state;
    uint32_t probe;                      /* how far the bytes under way have come */
    uint32_t slot;                       /* shown mask, or KRS_NO_ID */
    uint32_t n_back;                     /* in back */
    uint32_t back_at;                    /* where the next goes */
    uint32_t back[KRS_MATCHER_MAX_UNDO]; /* states before the last accepts, a ring */
};

/* The place in back of the i-th accept that can be taken back, 0 the last. */
static inline uint32_t krs_matcher_back_at(const krs_matcher *m, uint32_t i)
{
    return (m->back_at + 2 * KRS_MATCHER_MAX_UNDO - 1 - i) % KRS_MATCHER_MAX_UNDO;
}

static inline krs_state *krs_state_at(const krs_automaton *a, uint32_t state)
{
    return (krs_state *)a->states.items + state;
}

static inline krs_cont *krs_cont_at(const krs_automaton *a, uint32_t cont)
{
    return (krs_cont *)a->conts.items + cont;
}

static inline uint32_t *krs_row_at(const krs_automaton *a, uint32_t state)
{
    if (state < KRS_ROWS_IN_BLOCK) {
        return a->rows.block + (size_t)state * KRS_ROW_BYTES;
    }
    const uint32_t at = state - KRS_ROWS_IN_BLOCK;
    return ((uint32_t *const *)a->rows.chunks.items)[at / KRS_ROWS_A_CHUNK] +
           (size_t)(at % KRS_ROWS_A_CHUNK) * KRS_ROW_BYTES;
}

/* NULL while there are none. */
static inline const uint64_t *krs_configs_at(const krs_automaton *a, uint32_t first)
{
    return first > 0 ? (const uint64_t *)a->configs.items + first : a->configs.items;
}

static inline uint64_t krs_cont_hash(uint32_t e, uint32_t next)
{
    return krs_mix(e, next);
}

static inline uint64_t krs_configs_hash(const uint64_t *configs, uint32_t n)
{
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++) {
        hash = krs_mix(hash, configs[i]);
    }
    return hash;
}

/* The first failure of the call under way, of whichever store. */
krs_status krs_automaton_status(const krs_automaton *a);
void krs_automaton_failed(krs_automaton *a, krs_status status);
/* Begin a call: no failure, all steps. */
void krs_automaton_begin(krs_automaton *a);
/* End an attempt at a call: KRS_OK; KRS_EAGAIN: memory was dropped, try once more (only when is_first);
 * KRS_ETOOLARGE, KRS_ENOMEM, with the story in err. */
KRS_MUST_USE krs_status krs_automaton_end(krs_automaton *a, bool is_first, krs_error *err);

void krs_rows_init(krs_rows *r, krs_ledger *ledger);
/* Room for one more. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_rows_reserve(krs_rows *r);
/* Give back what is beyond the n rows there are. */
void krs_rows_shrink(krs_rows *r);
void krs_rows_deinit(krs_rows *r);

/* The continuation of e and then next, made if it is new. */
uint32_t krs_cont_of(krs_automaton *a, uint32_t e, uint32_t next);
/* Find the closure of a continuation: afterwards `first` is known, or there is a failure. */
void krs_closure_find(krs_automaton *a, uint32_t cont);
/* Push what MEMBERS, MEMBER or VALUE stands for, before next, onto the stack of continuations. */
void krs_closure_push_object(krs_automaton *a, const krs_expr_node *node, uint32_t next);
/* The offset of a list of what has come of an object in any order; list[0] is its length. */
uint32_t krs_object_intern_come(krs_expr_store *s, const uint32_t *list);
/* What has come of an object before its first member: operand b of its MEMBERS. */
uint32_t krs_object_nothing_come(krs_expr_store *s, const krs_object_node *object);
/* Push a continuation onto that stack. */
void krs_closure_push(krs_automaton *a, uint32_t cont);

/* The state of the configurations on the work stack from base on, which are taken off. */
uint32_t krs_state_of(krs_automaton *a, uint32_t base);
/* Where byte c leads from a state: fills the row for all bytes that lead there. DEAD after a failure. */
uint32_t krs_state_next(krs_automaton *a, uint32_t state, uint8_t c);
/* From a state along bytes; DEAD when they cannot come. */
uint32_t krs_state_follow(krs_automaton *a, uint32_t state, krs_str bytes);
/* The only byte that may come, or KRS_FORCED_NONE. */
int krs_state_forced(krs_automaton *a, uint32_t state);
/* May a text end in this state, and nothing come? */
bool krs_state_is_final(krs_automaton *a, uint32_t state);
krs_plain krs_state_plain(krs_automaton *a, uint32_t state);

/* A state that nobody can tell from this one within n_bytes bytes, with repeats of fewer different counts: the
 * state itself, where it has no long counts. */
uint32_t krs_state_near(krs_automaton *a, uint32_t state, uint32_t n_bytes);

/* Drop all but the states of living matchers. Errors: KRS_ENOMEM (nothing has changed). */
KRS_MUST_USE krs_status krs_automaton_drop(krs_automaton *a);

/* The slot with a state's mask, made if it is not there. KRS_NO_ID after a failure. */
uint32_t krs_mask_of(krs_automaton *a, uint32_t state);
void krs_masks_free(krs_automaton *a);

static inline uint32_t krs_state_step(krs_automaton *a, uint32_t state, uint8_t c)
{
    const uint32_t row = krs_row_at(a, state)[c];
    return row != KRS_ROW_UNKNOWN ? row / KRS_ROW_BYTES : krs_state_next(a, state, c);
}
