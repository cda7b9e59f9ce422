/* text/tokenizer_read_bpe.c - a "BPE" model of a tokenizer.json. */
#include "text/tokenizer_priv.h"

#include "text/bpe_scores.h"

#include <math.h>

#define MAX_TOKEN_BYTES (1u << 20) /* one token's text; real ones stay under 1 KiB */

/* One merge as two texts, or as one: "a b" with exactly one space (second.ptr NULL). */
static krs_status add_merge(krs_bpe *bpe, krs_str first, krs_str second, size_t i, krs_error *err)
{
    if (first.ptr && !second.ptr) {
        if (krs_str_starts_with(first, KRS_STR("#version"))) {
            return KRS_OK; /* the first line of a merges.txt, kept by some converters */
        }
        const size_t space = krs_str_find(first, KRS_STR(" "), 0);
        if (space != SIZE_MAX && krs_str_find(first, KRS_STR(" "), space + 1) == SIZE_MAX) {
            second = (krs_str){first.ptr + space + 1, first.len - space - 1};
            first.len = space;
        }
    }
    if (!first.ptr || !second.ptr) {
        return krs_fail(err, KRS_EFORMAT, "model.merges[%zu]: want \"a b\" or [\"a\", \"b\"]", i);
    }
    return krs_bpe_add_merge(bpe, first, second, err);
}

static krs_str text_of(const json_t *value)
{
    return (krs_str){json_string_value(value), json_string_length(value)};
}

static krs_status add_merges(krs_bpe *bpe, const json_t *merges, krs_error *err)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(merges); i++) {
        const json_t *merge = json_array_get(merges, i);
        const bool is_pair = json_is_array(merge) && json_array_size(merge) == 2;
        const krs_str first = text_of(is_pair ? json_array_get(merge, 0) : merge);
        const krs_str second = is_pair ? text_of(json_array_get(merge, 1)) : (krs_str){NULL, 0};
        status = is_pair && !second.ptr ? add_merge(bpe, second, second, i, err)
                                        : add_merge(bpe, first, second, i, err);
    }
    return status;
}

/* The same from a list that was cut out (text/tokenizer_lists.h). */
static krs_status add_cut_merges(krs_bpe *bpe, krs_str list, const krs_alloc *alloc, krs_error *err)
{
    krs_list_cursor cursor;
    krs_list_cursor_init(&cursor, list, alloc);
    krs_str first;
    krs_str second;
    krs_status status = KRS_OK;
    while (status == KRS_OK && krs_list_next_merge(&cursor, &first, &second)) {
        status = add_merge(bpe, first, second, cursor.n - 1, err);
    }
    status = status == KRS_OK && cursor.is_bad ? KRS_ENOMEM : status;
    krs_list_cursor_deinit(&cursor);
    return status;
}

static krs_status read_options(const krs_tokenizer *t, const json_t *model,
                               krs_bpe_options *options, krs_error *err)
{
    krs_str unk = {NULL, 0};
    double dropout = 0;
    krs_status status = krs_json_get_str(model, "continuing_subword_prefix", MAX_TOKEN_BYTES,
                                         &options->continuing_prefix, err);
    if (status == KRS_OK) {
        status = krs_json_get_str(model, "end_of_word_suffix", MAX_TOKEN_BYTES,
                                  &options->word_suffix, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(model, "dropout", 0, 1, &dropout, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_str(model, "unk_token", MAX_TOKEN_BYTES, &unk, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(model, "byte_fallback", &options->has_byte_fallback, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(model, "fuse_unk", &options->has_fused_unk, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(model, "ignore_merges", &options->is_whole_word_ok, err);
    }
    if (status == KRS_OK && dropout > 0) {
        return krs_fail(err, KRS_EUNSUPPORTED, "model.dropout %g is not supported", dropout);
    }
    options->unk_id = unk.ptr ? krs_vocab_find(&t->vocab, unk) : -1;
    return status;
}

/* "scores": a number for each id, null where no merge makes it. */
static krs_status read_scores(const krs_tokenizer *t, const json_t *list, double *out,
                              krs_error *err)
{
    for (uint32_t id = 0; id < t->vocab.n_ids; id++) {
        const json_t *score = json_array_get(list, id);
        if (!json_is_number(score) && !json_is_null(score)) {
            return krs_fail(err, KRS_EFORMAT, "scores[%u]: want a number or null", id);
        }
        out[id] = json_is_null(score) ? (double)NAN : json_number_value(score);
    }
    return KRS_OK;
}

static krs_status make_scored(const krs_tokenizer *t, const json_t *list,
                              const krs_bpe_options *options, krs_bpe **out, krs_error *err)
{
    double *scores = krs_alloc_array(t->alloc, t->vocab.n_ids, sizeof(scores[0]));
    if (!scores) {
        return krs_fail(err, KRS_ENOMEM, "scores of %u tokens", t->vocab.n_ids);
    }
    krs_status status = read_scores(t, list, scores, err);
    if (status == KRS_OK) {
        status = krs_bpe_new_scored(&t->vocab, options, scores, t->alloc, out, err);
    }
    krs_alloc_free(t->alloc, scores);
    return status;
}

static krs_status make_merged(const krs_tokenizer *t, const json_t *merges,
                              const krs_bpe_options *options, krs_bpe **out, krs_error *err)
{
    const bool is_cut = t->lists && t->lists->merges.ptr;
    const size_t n_merges = is_cut ? t->lists->n_merges : json_array_size(merges);
    krs_status status = krs_bpe_new(&t->vocab, options, n_merges, t->alloc, out, err);
    if (status == KRS_OK) {
        status = is_cut ? add_cut_merges(*out, t->lists->merges, t->alloc, err)
                        : add_merges(*out, merges, err);
    }
    if (status != KRS_OK) {
        krs_bpe_free(*out);
        *out = NULL;
    }
    return status;
}

krs_status krs_read_bpe(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    const json_t *merges = json_object_get(model, "merges");
    const json_t *scores = json_object_get(model, "scores");
    if (!json_is_array(merges) && !json_is_array(scores)) {
        return krs_fail(err, KRS_EFORMAT, "merges: want an array");
    }
    krs_bpe_options options = KRS_BPE_OPTIONS_INIT;
    krs_status status = read_options(t, model, &options, err);
    if (status != KRS_OK) {
        return status;
    }
    /* A last BYTES step becomes the model's own table (pretokenize.h). Bytes to fall back to would
     * be those of the spelled text, and marks go with characters of it, so such files keep the step. */
    krs_pretokenizer *pre = &t->pretokenizer;
    if (pre->n_steps > 0 && pre->steps[pre->n_steps - 1].kind == KRS_PRETOKENIZER_BYTES &&
        !options.has_byte_fallback &&
        options.continuing_prefix.len + options.word_suffix.len == 0) {
        pre->n_steps--;
        options.is_byte_level = true;
    }
    krs_bpe *bpe = NULL;
    status = json_is_array(merges) ? make_merged(t, merges, &options, &bpe, err)
                                   : make_scored(t, scores, &options, &bpe, err);
    if (status == KRS_OK) {
        t->model = krs_bpe_seal(bpe);
    }
    return status;
}
