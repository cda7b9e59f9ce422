/* sample/ngram.c - see ngram.h. One table of open addressing holds the runs of all lengths: a slot says where
 * the run ends and how long it is, its tokens are read from the sequence itself.
 *
 * Invariant: slots hold the runs that lie within [begin, n_tokens), each at its most recent place.
 *
 * Thread: one owner at a time.  Memory: the struct and its slots in one block. */
#include "sample/ngram.h"

#include "base/check.h"

#include <string.h>

#define MAX_TOKENS      (1u << 30) /* a place and a length share a slot */
#define LENGTHS         (KRS_NGRAM_MAX - KRS_NGRAM_MIN + 1)
#define SLOTS_PER_TOKEN 4u /* LENGTHS of them are used: the table is never more than 3/4 full */
#define MIN_WINDOW      64u

struct krs_ngram {
    const krs_alloc *alloc;
    uint32_t window;    /* a power of two */
    uint32_t begin;     /* of the tokens whose runs are held */
    uint32_t n_tokens;  /* seen so far */
    uint32_t source;    /* where the token that is proposed next lies */
    uint32_t n_matched; /* tokens before source that are equal to the last ones; 0: no source */
    uint32_t slots[];   /* [SLOTS_PER_TOKEN * window], 0: empty; else end << 2 | length - MIN */
};

static uint32_t window_of(uint32_t max_tokens)
{
    uint32_t window = MIN_WINDOW;
    while (window < max_tokens && window < KRS_NGRAM_WINDOW) {
        window *= 2;
    }
    return window;
}

static size_t slot_bytes(uint32_t window)
{
    return (size_t)window * SLOTS_PER_TOKEN * sizeof(uint32_t);
}

uint64_t krs_ngram_bytes(uint32_t max_tokens)
{
    return sizeof(krs_ngram) + slot_bytes(window_of(max_tokens));
}

krs_status krs_ngram_new(uint32_t max_tokens, const krs_alloc *alloc, krs_ngram **out)
{
    KRS_CHECK(max_tokens > 0 && max_tokens <= MAX_TOKENS);
    *out = krs_alloc_zero(alloc, (size_t)krs_ngram_bytes(max_tokens));
    if (!*out) {
        return KRS_ENOMEM;
    }
    (*out)->alloc = alloc;
    (*out)->window = window_of(max_tokens);
    return KRS_OK;
}

void krs_ngram_free(krs_ngram *ngram)
{
    if (ngram) {
        krs_alloc_free(ngram->alloc, ngram);
    }
}

/* Multiply and fold, token by token: the constant is 2^64 over the golden ratio. */
static uint32_t hash_of(const uint32_t *run, uint32_t n)
{
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = (h ^ run[i]) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

/* The slot of the run of n tokens that ends at `end`, or the empty one where it belongs. */
static uint32_t *slot_of(krs_ngram *ngram, const uint32_t *tokens, uint32_t end, uint32_t n)
{
    const uint32_t mask = ngram->window * SLOTS_PER_TOKEN - 1;
    const uint32_t *run = tokens + end - n;
    uint32_t i = hash_of(run, n) & mask;
    while (ngram->slots[i] != 0) {
        const uint32_t at = ngram->slots[i] >> 2;
        if ((ngram->slots[i] & 3u) == n - KRS_NGRAM_MIN &&
            memcmp(tokens + at - n, run, n * sizeof(*run)) == 0) {
            break;
        }
        i = (i + 1) & mask;
    }
    return &ngram->slots[i];
}

/* The runs that end at `end`; the first `end` tokens are there. */
static void insert(krs_ngram *ngram, const uint32_t *tokens, uint32_t end)
{
    for (uint32_t n = KRS_NGRAM_MIN; n <= KRS_NGRAM_MAX && ngram->begin + n <= end; n++) {
        *slot_of(ngram, tokens, end, n) = end << 2 | (n - KRS_NGRAM_MIN);
    }
}

static void look_up(krs_ngram *ngram, const uint32_t *tokens, uint32_t end)
{
    ngram->n_matched = 0;
    const uint32_t n_held = end - ngram->begin;
    uint32_t n = n_held < KRS_NGRAM_MAX ? n_held : KRS_NGRAM_MAX;
    for (; n >= KRS_NGRAM_MIN && ngram->n_matched == 0; n--) {
        const uint32_t slot = *slot_of(ngram, tokens, end, n);
        if (slot != 0) {
            ngram->source = slot >> 2;
            ngram->n_matched = n;
        }
    }
}

static void make_room(krs_ngram *ngram, const uint32_t *tokens)
{
    if (ngram->n_tokens - ngram->begin < ngram->window) {
        return;
    }
    memset(ngram->slots, 0, slot_bytes(ngram->window));
    ngram->begin = ngram->n_tokens - ngram->window / 2;
    for (uint32_t end = ngram->begin + 1; end <= ngram->n_tokens; end++) {
        insert(ngram, tokens, end);
    }
}

void krs_ngram_extend(krs_ngram *ngram, const uint32_t *tokens, uint32_t n_tokens)
{
    KRS_CHECK(n_tokens >= ngram->n_tokens && n_tokens <= MAX_TOKENS);
    while (ngram->n_tokens < n_tokens) {
        make_room(ngram, tokens);
        const uint32_t token = tokens[ngram->n_tokens++];
        if (ngram->n_matched >= KRS_NGRAM_MAX && tokens[ngram->source] == token) {
            ngram->source++;
            ngram->n_matched++;
        } else {
            look_up(ngram, tokens, ngram->n_tokens);
        }
        insert(ngram, tokens, ngram->n_tokens);
    }
}

uint32_t krs_ngram_n_matched(const krs_ngram *ngram)
{
    return ngram->n_matched;
}

void krs_ngram_propose(const krs_ngram *ngram, const uint32_t *tokens, uint32_t n, uint32_t *out)
{
    KRS_CHECK(ngram->n_matched > 0);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = ngram->source + i;
        out[i] = at < ngram->n_tokens ? tokens[at] : out[at - ngram->n_tokens];
    }
}
