/* text/tokenizer_read_model.c - "model" of a tokenizer.json: which kind it is, and the kinds without
 * merges.
 *
 * Old files leave out model.type; then the kind is told by fields that no other one has. */
#include "text/tokenizer_priv.h"

#include "text/unigram.h"
#include "text/wordpiece.h"

#include "base/check.h"

#define MAX_TOKEN_BYTES (1u << 20) /* one token's text; real ones stay under 1 KiB */

typedef struct model_kind {
    const char *name;
    krs_component_read read_vocab;
    krs_component_read read;
} model_kind;

/* Every score is there: the vocabulary was read from the same list. */
static krs_status read_scores(const krs_tokenizer *t, const json_t *list, double **out,
                              krs_error *err)
{
    *out = krs_alloc_array(t->alloc, json_array_size(list), sizeof(**out));
    if (!*out) {
        return krs_fail(err, KRS_ENOMEM, "vocab: out of memory for %zu scores",
                        json_array_size(list));
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        (*out)[i] = json_number_value(json_array_get(json_array_get(list, i), 1));
    }
    return KRS_OK;
}

static krs_status read_unigram(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    krs_unigram_options options = KRS_UNIGRAM_OPTIONS_INIT;
    krs_status status =
        krs_json_get_int(model, "unk_id", 0, KRS_VOCAB_MAX_IDS - 1, &options.unk_id, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(model, "byte_fallback", &options.has_byte_fallback, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (options.unk_id >= (int64_t)t->vocab.n_ids) {
        return krs_fail(err, KRS_EFORMAT, "unk_id: %lld, vocabulary of %u",
                        (long long)options.unk_id, t->vocab.n_ids);
    }
    double *scores = NULL;
    krs_unigram *unigram = NULL;
    status = read_scores(t, json_object_get(model, "vocab"), &scores, err);
    if (status == KRS_OK) {
        status = krs_unigram_new(&t->vocab, scores, &options, t->alloc, &unigram, err);
    }
    krs_alloc_free(t->alloc, scores);
    if (status == KRS_OK) {
        t->model = krs_unigram_seal(unigram);
    }
    return status;
}

/* WordPiece or WordLevel, whose options hold what is particular to it. */
static krs_status read_words(krs_tokenizer *t, const json_t *model, krs_wordpiece_options *options,
                             krs_error *err)
{
    krs_str unk;
    krs_wordpiece *wordpiece = NULL;
    krs_status status = krs_component_text(model, "unk_token", &unk, err);
    if (status == KRS_OK) {
        options->unk_id = krs_vocab_find(&t->vocab, unk);
        status = krs_wordpiece_new(&t->vocab, options, t->alloc, &wordpiece, err);
    }
    if (status == KRS_OK) {
        t->model = krs_wordpiece_seal(wordpiece);
    }
    return status;
}

static krs_status read_wordpiece(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    krs_wordpiece_options options = KRS_WORDPIECE_OPTIONS_INIT;
    int64_t max_chars = -1;
    krs_status status =
        krs_component_text(model, "continuing_subword_prefix", &options.prefix, err);
    if (status == KRS_OK) {
        status =
            krs_json_get_int(model, "max_input_chars_per_word", 0, UINT32_MAX, &max_chars, err);
    }
    if (status == KRS_OK && max_chars < 0) {
        status = krs_fail(err, KRS_EFORMAT, "max_input_chars_per_word: missing");
    }
    options.max_chars = (uint32_t)max_chars;
    return status == KRS_OK ? read_words(t, model, &options, err) : status;
}

static krs_status read_wordlevel(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    krs_wordpiece_options options = KRS_WORDPIECE_OPTIONS_INIT;
    options.is_whole = true;
    return read_words(t, model, &options, err);
}

static const model_kind kinds[] = {
    {"BPE", krs_read_vocab_object, krs_read_bpe},
    {"Unigram", krs_read_vocab_list, read_unigram},
    {"WordPiece", krs_read_vocab_object, read_wordpiece},
    {"WordLevel", krs_read_vocab_object, read_wordlevel},
};

/* The kind's name; NULL: the type is no string, or nothing tells. */
static const char *name_of(const json_t *model)
{
    const json_t *type = json_object_get(model, "type");
    if (type) {
        return json_string_value(type);
    }
    if (json_object_get(model, "merges")) {
        return "BPE";
    }
    if (json_is_array(json_object_get(model, "vocab"))) {
        return "Unigram";
    }
    if (json_object_get(model, "max_input_chars_per_word")) {
        return "WordPiece";
    }
    return json_object_get(model, "unk_token") ? "WordLevel" : NULL;
}

static krs_status find_kind(const json_t *model, const model_kind **out, krs_error *err)
{
    if (!json_is_object(model)) {
        return krs_fail(err, KRS_EFORMAT, "model: want an object");
    }
    const char *name = name_of(model);
    if (!name) {
        return krs_fail(err, KRS_EFORMAT, "model: no type");
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            *out = &kinds[i];
            return KRS_OK;
        }
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "model \"%s\" is not supported", name);
}

krs_status krs_read_vocab(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    const model_kind *kind = NULL;
    const krs_status status = find_kind(model, &kind, err);
    if (status != KRS_OK) {
        return status;
    }
    KRS_DCHECK(kind);
    return kind->read_vocab(t, model, err);
}

krs_status krs_read_model(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    const model_kind *kind = NULL;
    krs_status status = find_kind(model, &kind, err);
    if (status != KRS_OK) {
        return status;
    }
    KRS_DCHECK(kind);
    status = kind->read(t, model, err);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", kind->name);
}
