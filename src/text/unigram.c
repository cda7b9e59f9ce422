/* text/unigram.c - see unigram.h. */
#include "text/unigram.h"

#include "text/bytetree.h"
#include "text/unicode.h"

#include "base/check.h"

#include <stdio.h>

#define UNK_PENALTY 10.0 /* below the worst token, as SentencePiece has it */
#define NO_START    UINT32_MAX
#define KEPT_PLACES (1u << 16) /* a larger table is given back after the piece that needed it */

struct krs_unigram {
    const krs_alloc *alloc;
    const krs_vocab *vocab;
    krs_unigram_options options;
    krs_bytetree tree;
    double *scores; /* [vocab->n_ids] */
    double unk_score;
    int64_t byte_ids[256]; /* of "<0x00>" .. "<0xFF>", -1: none */
};

/* The best way to arrive at a place of the piece. */
typedef struct place {
    double score;
    uint32_t start; /* where its last token begins; NO_START: nothing arrives here */
    uint32_t id;    /* of that token */
} place;

typedef struct scratch {
    const krs_alloc *alloc;
    place *places; /* [cap] */
    size_t cap;
    krs_idlist cuts; /* the best cut's ends, from the last to the first */
    uint64_t n_steps;
} scratch;

static void scratch_free(void *ptr)
{
    scratch *s = ptr;
    if (s) {
        krs_idlist_deinit(&s->cuts);
        krs_alloc_free(s->alloc, s->places);
        krs_alloc_free(s->alloc, s);
    }
}

static void *scratch_new(const void *self, const krs_alloc *alloc)
{
    (void)self;
    scratch *s = krs_alloc_zero(alloc, sizeof(*s));
    if (s) {
        s->alloc = alloc;
        krs_idlist_init(&s->cuts, alloc, KRS_UNIGRAM_MAX_PIECE_BYTES);
    }
    return s;
}

uint64_t krs_unigram_n_steps(const void *ptr)
{
    return ((const scratch *)ptr)->n_steps;
}

/* n places, nothing arriving at any of them. */
static krs_status clear_places(scratch *s, size_t n)
{
    if (n > s->cap) {
        place *places = krs_alloc_resize(s->alloc, s->places, n, sizeof(places[0]));
        if (!places) {
            return KRS_ENOMEM;
        }
        s->places = places;
        s->cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        s->places[i] = (place){0, NO_START, 0};
    }
    return KRS_OK;
}

static void release_large(scratch *s)
{
    if (s->cap > KEPT_PLACES) {
        krs_alloc_free(s->alloc, s->places);
        s->places = NULL;
        s->cap = 0;
    }
}

/* Equal scores keep what came first, as in the reference. */
static bool arrive(place *to, double score, size_t start, uint32_t id)
{
    const bool is_better = to->start == NO_START || score > to->score;
    if (is_better) {
        *to = (place){score, (uint32_t)start, id};
    }
    return is_better;
}

/* Follow every token that begins at `start`. *is_known: one of them is just the n_first bytes of the
 * character there. */
static void follow(const krs_unigram *u, scratch *s, krs_str piece, size_t start, size_t n_first,
                   bool *is_known)
{
    const double before = s->places[start].score;
    uint32_t node = 0;
    *is_known = false;
    for (size_t at = start; at < piece.len; at++) {
        s->n_steps++;
        node = krs_bytetree_step(&u->tree, node, (unsigned char)piece.ptr[at]);
        if (node == KRS_BYTETREE_NONE) {
            break;
        }
        const uint32_t id = u->tree.nodes[node].id;
        if (id != KRS_BYTETREE_NO_ID) {
            (void)arrive(&s->places[at + 1], before + u->scores[id], start, id);
            *is_known = *is_known || at + 1 - start == n_first;
        }
    }
}

static krs_status no_token(krs_str what, krs_error *err)
{
    return krs_fail(err, KRS_EINVAL,
                    "text: \"%.*s\" has no token, and the tokenizer no unknown token",
                    KRS_STR_ARGS(what));
}

static krs_status find_best(const krs_unigram *u, scratch *s, krs_str piece, krs_error *err)
{
    size_t n = 0;
    for (size_t start = 0; start < piece.len; start += n) {
        bool is_known;
        (void)krs_utf8_decode((krs_str){piece.ptr + start, piece.len - start}, &n);
        follow(u, s, piece, start, n, &is_known);
        if (!is_known &&
            arrive(&s->places[start + n], s->places[start].score + u->unk_score, start,
                   (uint32_t)u->options.unk_id) &&
            u->options.unk_id < 0) {
            return no_token((krs_str){piece.ptr + start, n}, err);
        }
    }
    return KRS_OK;
}

/* A run of unknown characters: a token after all, bytes, or unknown. */
static krs_status say_unknown(const krs_unigram *u, krs_str text, krs_idlist *out)
{
    const int64_t id = krs_vocab_find(u->vocab, text);
    bool has_bytes = id < 0 && u->options.has_byte_fallback;
    for (size_t i = 0; has_bytes && i < text.len; i++) {
        has_bytes = u->byte_ids[(unsigned char)text.ptr[i]] >= 0;
    }
    if (!has_bytes) {
        return krs_idlist_push(out, (uint32_t)(id >= 0 ? id : u->options.unk_id));
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < text.len; i++) {
        status = krs_idlist_push(out, (uint32_t)u->byte_ids[(unsigned char)text.ptr[i]]);
    }
    return status;
}

/* The ends of the best cut, the last one first. */
static krs_status list_cuts(scratch *s, size_t n_piece)
{
    krs_status status = KRS_OK;
    s->cuts.n = 0;
    for (size_t at = n_piece; status == KRS_OK && at > 0; at = s->places[at].start) {
        status = krs_idlist_push(&s->cuts, (uint32_t)at);
    }
    return status;
}

/* The next token of the cut, or the whole run of unknown characters there: off the list, and its ids
 * to out. */
static krs_status write_next(const krs_unigram *u, scratch *s, krs_str piece, krs_idlist *out)
{
    krs_idlist *cuts = &s->cuts;
    uint32_t end = cuts->ids[--cuts->n];
    const place first = s->places[end];
    if ((int64_t)first.id != u->options.unk_id) {
        return krs_idlist_push(out, first.id);
    }
    while (cuts->n > 0 && s->places[cuts->ids[cuts->n - 1]].id == first.id) {
        end = cuts->ids[--cuts->n];
    }
    return say_unknown(u, (krs_str){piece.ptr + first.start, end - first.start}, out);
}

static krs_status encode(const void *self, void *ptr, krs_str piece, krs_idlist *out,
                         krs_error *err)
{
    const krs_unigram *u = self;
    scratch *s = ptr;
    if (piece.len > KRS_UNIGRAM_MAX_PIECE_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "text: one piece of %zu bytes, limit %u", piece.len,
                        KRS_UNIGRAM_MAX_PIECE_BYTES);
    }
    krs_status status = clear_places(s, piece.len + 1);
    if (status == KRS_OK) {
        status = find_best(u, s, piece, err);
    }
    if (status == KRS_OK) {
        status = list_cuts(s, piece.len);
    }
    while (status == KRS_OK && s->cuts.n > 0) {
        status = write_next(u, s, piece, out);
    }
    release_large(s);
    return status;
}

static void read_bytes(krs_unigram *u)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        const int n = snprintf(text, sizeof(text), "<0x%02X>", byte);
        u->byte_ids[byte] = krs_vocab_find(u->vocab, (krs_str){text, (size_t)n});
    }
}

/* Over all tokens, also those whose text another one took. */
static double lowest(const double *scores, size_t n)
{
    double low = n > 0 ? scores[0] : 0;
    for (size_t i = 1; i < n; i++) {
        low = scores[i] < low ? scores[i] : low;
    }
    return low;
}

krs_status krs_unigram_new(const krs_vocab *vocab, const double *scores,
                           const krs_unigram_options *options, const krs_alloc *alloc,
                           krs_unigram **out, krs_error *err)
{
    *out = NULL;
    KRS_CHECK(options->unk_id < (int64_t)vocab->n_ids);
    krs_unigram *u = krs_alloc_zero(alloc, sizeof(*u));
    if (!u) {
        return krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory");
    }
    *u = (krs_unigram){.alloc = alloc,
                       .vocab = vocab,
                       .options = *options,
                       .unk_score = lowest(scores, vocab->n_ids) - UNK_PENALTY};
    u->scores = krs_alloc_array(alloc, vocab->n_ids, sizeof(scores[0]));
    krs_status status = u->scores ? krs_bytetree_init(&u->tree, vocab, alloc, err)
                                  : krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory");
    if (status != KRS_OK) {
        krs_unigram_free(u);
        return status;
    }
    KRS_DCHECK(u->scores);
    if (vocab->n_ids > 0) {
        memcpy(u->scores, scores, vocab->n_ids * sizeof(scores[0]));
    }
    read_bytes(u);
    *out = u;
    return KRS_OK;
}

void krs_unigram_free(krs_unigram *u)
{
    if (u) {
        krs_bytetree_deinit(&u->tree);
        krs_alloc_free(u->alloc, u->scores);
        krs_alloc_free(u->alloc, u);
    }
}

static void free_self(void *self)
{
    krs_unigram_free(self);
}

krs_text_model krs_unigram_seal(krs_unigram *unigram)
{
    static const krs_text_model_ops ops = {free_self, scratch_new, scratch_free, encode, NULL};
    return (krs_text_model){&ops, unigram};
}
