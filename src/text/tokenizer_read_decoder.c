/* text/tokenizer_read_decoder.c - "decoder" of a tokenizer.json. */
#include "text/tokenizer_priv.h"

#define MAX_STRIP 1024 /* characters a Strip decoder may take from one side; real files say 1 */

static krs_status decode_bytelevel(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return krs_decoder_add(&t->decoder, &(krs_decoder_step){.kind = KRS_DECODER_BYTELEVEL}, err);
}

static krs_status decode_byte_fallback(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return krs_decoder_add(&t->decoder, &(krs_decoder_step){.kind = KRS_DECODER_BYTE_FALLBACK},
                           err);
}

static krs_status decode_fuse(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return krs_decoder_add(&t->decoder, &(krs_decoder_step){.kind = KRS_DECODER_FUSE}, err);
}

static krs_status decode_metaspace(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_decoder_step step = {.kind = KRS_DECODER_METASPACE};
    krs_metaspace_scheme scheme;
    const krs_status status = krs_component_metaspace(spec, &step.character, &scheme, err);
    if (status != KRS_OK) {
        return status;
    }
    step.has_first_space = scheme == KRS_METASPACE_NEVER;
    return krs_decoder_add(&t->decoder, &step, err);
}

static krs_status decode_strip(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_decoder_step step = {.kind = KRS_DECODER_STRIP};
    int64_t start = 0;
    int64_t stop = 0;
    krs_status status = krs_component_char(spec, "content", &step.character, err);
    if (status == KRS_OK) {
        status = krs_json_get_int(spec, "start", 0, MAX_STRIP, &start, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(spec, "stop", 0, MAX_STRIP, &stop, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    step.n_start = (uint32_t)start;
    step.n_stop = (uint32_t)stop;
    return krs_decoder_add(&t->decoder, &step, err);
}

/* The step's needle and content are copies of these. */
static krs_status add_with_texts(krs_tokenizer *t, krs_decoder_step *step, krs_str needle,
                                 krs_str content, krs_error *err)
{
    step->needle = krs_alloc_text(t->alloc, needle.ptr ? needle.ptr : "", needle.len);
    step->n_needle = needle.len;
    step->content = krs_alloc_text(t->alloc, content.ptr ? content.ptr : "", content.len);
    step->n_content = content.len;
    if (!step->needle || !step->content) {
        krs_alloc_free(t->alloc, step->needle);
        krs_alloc_free(t->alloc, step->content);
        krs_pattern_free(step->pattern);
        return krs_fail(err, KRS_ENOMEM, "out of memory");
    }
    return krs_decoder_add(&t->decoder, step, err);
}

static krs_status decode_replace(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_decoder_step step = {.kind = KRS_DECODER_REPLACE};
    krs_str content;
    krs_str literal;
    krs_status status = krs_component_text(spec, "content", &content, err);
    if (status == KRS_OK) {
        status = krs_component_pattern(t, spec, &step.pattern, &literal, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    return add_with_texts(t, &step, literal, content, err);
}

static krs_status decode_wordpiece(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_decoder_step step = {.kind = KRS_DECODER_WORDPIECE, .has_cleanup = true};
    krs_str prefix;
    krs_status status = krs_component_text(spec, "prefix", &prefix, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "cleanup", &step.has_cleanup, err);
    }
    return status == KRS_OK ? add_with_texts(t, &step, prefix, KRS_STR(""), err) : status;
}

static krs_status decode_bpe(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_decoder_step step = {.kind = KRS_DECODER_BPE};
    krs_str suffix;
    const krs_status status = krs_component_text(spec, "suffix", &suffix, err);
    return status == KRS_OK ? add_with_texts(t, &step, suffix, KRS_STR(""), err) : status;
}

static krs_status decode_ctc(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_decoder_step step = {.kind = KRS_DECODER_CTC, .has_cleanup = true};
    krs_str pad;
    krs_str delimiter;
    krs_status status = krs_component_text(spec, "pad_token", &pad, err);
    if (status == KRS_OK) {
        status = krs_component_text(spec, "word_delimiter_token", &delimiter, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "cleanup", &step.has_cleanup, err);
    }
    if (status == KRS_OK && delimiter.len == 0) {
        return krs_fail(err, KRS_EUNSUPPORTED, "word_delimiter_token: empty");
    }
    return status == KRS_OK ? add_with_texts(t, &step, pad, delimiter, err) : status;
}

static krs_status decode_sequence(krs_tokenizer *t, const json_t *spec, krs_error *err);

static const krs_component decoders[] = {
    {"Sequence", decode_sequence},
    {"ByteLevel", decode_bytelevel},
    {"ByteFallback", decode_byte_fallback},
    {"Fuse", decode_fuse},
    {"Metaspace", decode_metaspace},
    {"Strip", decode_strip},
    {"Replace", decode_replace},
    {"WordPiece", decode_wordpiece},
    {"BPEDecoder", decode_bpe},
    {"CTC", decode_ctc},
    {NULL, NULL},
};

static krs_status decode_sequence(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return krs_component_sequence(t, "decoder", "decoders", decoders, spec, err);
}

krs_status krs_read_decoder(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    if (!spec || json_is_null(spec)) {
        return krs_decoder_add(&t->decoder, &(krs_decoder_step){.kind = KRS_DECODER_JOIN}, err);
    }
    return krs_component_dispatch(t, "decoder", decoders, spec, err);
}
