/* grammar/regex_priv.h - the store of regex nodes, and what is asked of them.
 *
 *   kind     a                b            c        matches
 *   SET      set id                                 one byte of the set
 *   LITERAL  offset in bytes  length                these bytes
 *   WORDS    first word       past the last  depth  what follows the first `depth` bytes in these words
 *   CAT      first            rest                  one after the other
 *   OR AND   offset in lists  count                 members sorted by id, two or more
 *   NOT      regex
 *   REPEAT   regex            min          max
 *
 * Invariants: 1. equal (kind, operands) are one node, so equal ids mean equal regexes; 2. children have
 * smaller ids; 3. NONE occurs in no other node, so what has no AND and NOT matches something; 4. members
 * of OR and AND are flat, sorted, single, and hold at most one SET: Brzozowski's condition for finitely
 * many derivatives.
 *
 * A function that cannot go on sets `status` in the store and returns NONE; the caller looks once, at its
 * end. Nothing that came of a failure is remembered.
 *
 * Thread: one owner. */
#pragma once

#include "grammar/pool_priv.h"
#include "grammar/regex.h"

enum { /* ids of the nodes that are always there */
       KRS_REGEX_NONE = 0,
       KRS_REGEX_EMPTY = 1,
       KRS_REGEX_ANY = 2,
};

typedef enum krs_regex_kind {
    KRS_REGEX_KIND_NONE,
    KRS_REGEX_KIND_EMPTY,
    KRS_REGEX_KIND_ANY,
    KRS_REGEX_KIND_SET,
    KRS_REGEX_KIND_LITERAL,
    KRS_REGEX_KIND_WORDS,
    KRS_REGEX_KIND_CAT,
    KRS_REGEX_KIND_OR,
    KRS_REGEX_KIND_AND,
    KRS_REGEX_KIND_NOT,
    KRS_REGEX_KIND_REPEAT,
} krs_regex_kind;

enum {
    KRS_REGEX_NULLABLE = 1,    /* matches the empty text */
    KRS_REGEX_HARD = 2,        /* AND or NOT in it: may match nothing, unseen */
    KRS_REGEX_SOME = 4,        /* known to match something */
    KRS_REGEX_NEVER = 8,       /* known to match nothing */
    KRS_REGEX_SEEN = 16,       /* of the search that is under way */
    KRS_REGEX_PLAIN = 32,      /* known to match every plain character (plain.c) */
    KRS_REGEX_NOT_PLAIN = 64,  /* known not to */
    KRS_REGEX_PLAIN_ONE = 128, /* and then to be at its end */
};

typedef struct krs_regex_node {
    uint8_t kind;
    uint8_t flags;
    uint16_t depth; /* of recursion, KRS_REGEX_MAX_DEPTH at most */
    uint32_t a, b, c;
} krs_regex_node;

typedef struct krs_byte_set {
    uint64_t bits[4];
} krs_byte_set;

typedef struct krs_word {
    uint32_t offset; /* in bytes */
    uint32_t len;
} krs_word;

#define KRS_REGEX_MEMO                                                                             \
    (1u << 12) /* derivatives remembered: 48 KiB, as the second cache level likes */

typedef struct krs_regex_memo {
    uint32_t regex;
    uint32_t byte;
    uint32_t result;
} krs_regex_memo;

#define KRS_REGEX_CLASSES (1u << 11) /* classes of bytes remembered: 80 KiB */

/* The bytes after which the same remains of a regex as after `byte`. */
typedef struct krs_regex_class {
    uint32_t regex;
    uint32_t byte;
    krs_byte_set same;
} krs_regex_class;

#define KRS_WITNESSES     8
#define KRS_WITNESS_BYTES 31

/* A text that some regex with AND or NOT was found to match, or the beginning of one. */
typedef struct krs_witness {
    uint8_t len;
    uint8_t bytes[KRS_WITNESS_BYTES];
} krs_witness;

typedef struct krs_regex_store {
    krs_status
        status;     /* sticky; KRS_ETOOLARGE memory, KRS_EDEADLINE steps, KRS_EUNSUPPORTED depth */
    krs_pool nodes; /* krs_regex_node */
    krs_pool sets;  /* krs_byte_set */
    krs_pool bytes; /* char, of literals and words */
    krs_pool words; /* krs_word */
    krs_pool lists; /* uint32_t, members of OR and AND */
    krs_pool scratch; /* uint32_t, a stack */
    krs_intern node_table;
    krs_intern set_table;
    krs_regex_memo *memo;     /* [KRS_REGEX_MEMO], by hash; the latest wins */
    krs_regex_class *classes; /* [KRS_REGEX_CLASSES], likewise */
    uint32_t max_nodes;
    uint32_t steps_left;
    krs_witness witnesses[KRS_WITNESSES]; /* the latest, a ring */
    uint32_t n_witnesses;                 /* ever */
} krs_regex_store;

KRS_MUST_USE krs_status krs_regex_store_init(krs_regex_store *s, krs_ledger *ledger,
                                             uint32_t max_nodes, uint32_t max_steps);
void krs_regex_store_deinit(krs_regex_store *s);
/* Forget the derivatives, for when ids change. */
void krs_regex_store_forget(krs_regex_store *s);

static inline const krs_regex_node *krs_regex_at(const krs_regex_store *s, uint32_t r)
{
    return (const krs_regex_node *)s->nodes.items + r;
}

static inline bool krs_regex_has(const krs_regex_store *s, uint32_t r, unsigned flag)
{
    return (krs_regex_at(s, r)->flags & flag) != 0;
}

static inline const krs_byte_set *krs_regex_set_at(const krs_regex_store *s, uint32_t set)
{
    return (const krs_byte_set *)s->sets.items + set;
}

static inline const char *krs_regex_bytes_at(const krs_regex_store *s, uint32_t offset)
{
    return (const char *)s->bytes.items + offset;
}

static inline const uint32_t *krs_regex_list_at(const krs_regex_store *s, uint32_t offset)
{
    return (const uint32_t *)s->lists.items + offset;
}

static inline bool krs_byte_set_has(const krs_byte_set *set, uint8_t c)
{
    return (set->bits[c / 64] >> (c % 64) & 1) != 0;
}

/* Count steps; false when fewer are left (status is set). */
static inline bool krs_regex_steps(krs_regex_store *s, uint32_t n)
{
    if (s->steps_left < n) {
        s->steps_left = 0;
        s->status = s->status == KRS_OK ? KRS_EDEADLINE : s->status;
        return false;
    }
    s->steps_left -= n;
    return true;
}

/* Keep the first failure. */
void krs_regex_failed(krs_regex_store *s, krs_status status);

/* Hash of a node, as the table has it. */
uint64_t krs_regex_hash(const krs_regex_store *s, const krs_regex_node *node);

/* The node of these operands, made if it is new. OR and AND go through _list. */
uint32_t krs_regex_node_of(krs_regex_store *s, krs_regex_node node);
uint32_t krs_regex_set_of(krs_regex_store *s, const krs_byte_set *set);
uint32_t krs_regex_literal_of(krs_regex_store *s, krs_str text);
/* The literal bytes[offset .. + len) of the store; len 0 is empty. */
uint32_t krs_regex_tail_of(krs_regex_store *s, uint32_t offset, uint32_t len);
/* Words [first, end) of the store, sorted and single, without their first depth bytes, which are the same. */
uint32_t krs_regex_words_of(krs_regex_store *s, uint32_t first, uint32_t end, uint32_t depth);
uint32_t krs_regex_cat_of(krs_regex_store *s, uint32_t first, uint32_t rest);
uint32_t krs_regex_not_of(krs_regex_store *s, uint32_t r);
uint32_t krs_regex_repeat_of(krs_regex_store *s, uint32_t r, uint32_t min, uint32_t max);
/* OR or AND of scratch[base ..], which is taken off the stack. */
uint32_t krs_regex_list_of(krs_regex_store *s, krs_regex_kind kind, uint32_t base);
/* Push onto the scratch stack. */
void krs_regex_push(krs_regex_store *s, uint32_t r);

/* What remains of r after byte c. Counts steps. */
uint32_t krs_regex_derive(krs_regex_store *s, uint32_t r, uint8_t c);

/* Take out of *bytes those after which something else than after c may remain of r. Counts steps. */
void krs_regex_narrow(krs_regex_store *s, uint32_t r, uint8_t c, krs_byte_set *bytes);

/* Does r match nothing? Searches at most max_visits derivatives; *is_known: was it found out? (else false) */
bool krs_regex_is_never(krs_regex_store *s, uint32_t r, uint32_t max_visits, bool *is_known);
