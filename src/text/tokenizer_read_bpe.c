/* text/tokenizer_read_bpe.c - a "BPE" model of a tokenizer.json. */
#include "text/tokenizer_priv.h"

#include "text/bpe_scores.h"

#include <math.h>

#define MAX_TOKEN_BYTES (1u << 20) /* one token's text; real ones stay under 1 KiB */

/* One merge: ["a", "b"], or "a b" with exactly one space. */
static krs_status add_merge(krs_bpe *bpe, const json_t *merge, size_t i, krs_error *err)
{
    krs_str left = {NULL, 0};
    krs_str right = {NULL, 0};
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        const json_t *a = json_array_get(merge, 0);
        const json_t *b = json_array_get(merge, 1);
        left = (krs_str){json_string_value(a), json_string_length(a)};
        right = (krs_str){json_string_value(b), json_string_length(b)};
    } else if (json_is_string(merge)) {
        const krs_str text = {json_string_value(merge), json_string_length(merge)};
        if (krs_str_starts_with(text, KRS_STR("#version"))) {
            return KRS_OK; /* the first line of a merges.txt, kept by some converters */
        }
        const size_t space = krs_str_find(text, KRS_STR(" "), 0);
        if (space != SIZE_MAX && krs_str_find(text, KRS_STR(" "), space + 1) == SIZE_MAX) {
            left = (krs_str){text.ptr, space};
            right = (krs_str){text.ptr + space + 1, text.len - space - 1};
        }
    }
    if (!left.ptr || !right.ptr) {
        return krs_fail(err, KRS_EFORMAT, "model.merges[%zu]: want \"a b\" or [\"a\", \"b\"]", i);
    }
    return krs_bpe_add_merge(bpe, left, right, err);
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
    krs_bpe *bpe;
    krs_status status =
        krs_bpe_new(&t->vocab, options, json_array_size(merges), t->alloc, &bpe, err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(merges); i++) {
        status = add_merge(bpe, json_array_get(merges, i), i, err);
    }
    if (status != KRS_OK) {
        krs_bpe_free(bpe);
        return status;
    }
    *out = bpe;
    return KRS_OK;
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
    krs_bpe *bpe;
    status = json_is_array(merges) ? make_merged(t, merges, &options, &bpe, err)
                                   : make_scored(t, scores, &options, &bpe, err);
    if (status == KRS_OK) {
        t->model = krs_bpe_seal(bpe);
    }
    return status;
}
