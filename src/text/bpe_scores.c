/* text/bpe_scores.c - see bpe_scores.h. */
#include "text/bpe_scores.h"

#include "text/unicode.h"

#include <math.h>
#include <stdlib.h>

typedef struct cut {
    krs_str left;
    krs_str right;
} cut;

/* The next place to cut text into two tokens, from *at on; false when there is no more. */
static bool next_cut(const krs_vocab *vocab, krs_str text, size_t *at, cut *out)
{
    while (*at < text.len) {
        size_t n = 0;
        (void)krs_utf8_decode((krs_str){text.ptr + *at, text.len - *at}, &n);
        *at += n > 0 ? n : 1;
        *out = (cut){{text.ptr, *at}, {text.ptr + *at, text.len - *at}};
        if (*at < text.len && krs_vocab_find(vocab, out->left) >= 0 &&
            krs_vocab_find(vocab, out->right) >= 0) {
            return true;
        }
    }
    return false;
}

/* A text that stands under another id is found there, and made there. */
static bool is_made(const krs_vocab *vocab, const double *scores, uint32_t id, krs_str *text)
{
    *text = krs_vocab_text(vocab, id);
    return text->ptr && !isnan(scores[id]) && krs_vocab_find(vocab, *text) == (int64_t)id;
}

static size_t count_cuts(const krs_vocab *vocab, const double *scores)
{
    size_t n = 0;
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        krs_str text;
        cut c;
        size_t at = 0;
        while (is_made(vocab, scores, id, &text) && next_cut(vocab, text, &at, &c)) {
            n++;
        }
    }
    return n;
}

/* Best first. */
static int by_score(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x < y) - (x > y);
}

/* sorted: the scores there are, best first; the place of one of them. */
static uint32_t rank_of(const double *sorted, size_t n, double score)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] > score) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

static krs_status add_cuts(krs_bpe *bpe, const krs_vocab *vocab, const double *scores,
                           const double *sorted, size_t n, krs_error *err)
{
    krs_status status = KRS_OK;
    for (uint32_t id = 0; status == KRS_OK && id < vocab->n_ids; id++) {
        krs_str text;
        cut c;
        size_t at = 0;
        while (status == KRS_OK && is_made(vocab, scores, id, &text) &&
               next_cut(vocab, text, &at, &c)) {
            status = krs_bpe_add_ranked(bpe, c.left, c.right, rank_of(sorted, n, scores[id]), err);
        }
    }
    return status;
}

krs_status krs_bpe_new_scored(const krs_vocab *vocab, const krs_bpe_options *options,
                              const double *scores, const krs_alloc *alloc, krs_bpe **out,
                              krs_error *err)
{
    *out = NULL;
    double *sorted = krs_alloc_array(alloc, vocab->n_ids, sizeof(sorted[0]));
    if (!sorted) {
        return krs_fail(err, KRS_ENOMEM, "scores of %u tokens", vocab->n_ids);
    }
    size_t n = 0;
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        if (!isnan(scores[id])) {
            sorted[n++] = scores[id];
        }
    }
    if (n > 0) {
        qsort(sorted, n, sizeof(sorted[0]), by_score);
    }
    krs_bpe *bpe;
    krs_status status = krs_bpe_new(vocab, options, count_cuts(vocab, scores), alloc, &bpe, err);
    if (status == KRS_OK) {
        status = add_cuts(bpe, vocab, scores, sorted, n, err);
    }
    krs_alloc_free(alloc, sorted);
    if (status != KRS_OK) {
        krs_bpe_free(bpe);
        return status;
    }
    *out = bpe;
    return KRS_OK;
}
