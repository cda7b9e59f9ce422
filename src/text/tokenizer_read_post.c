/* text/tokenizer_read_post.c - "post_processor" and "decoder" of a tokenizer.json.
 *
 * A template of one text comes down to ids before and after it, one of two texts to ids before, between
 * and after them. ByteLevel as a post-processor only moves offsets, which we do not keep. */
#include "text/tokenizer_priv.h"

#define MAX_STRIP 1024 /* characters a Strip decoder may take from one side; real files say 1 */

/* Append the ids of special_tokens[name]. */
static krs_status append_special(const json_t *spec, krs_str name, krs_idlist *out, krs_error *err)
{
    const json_t *special = json_object_getn(json_object_get(spec, "special_tokens"),
                                             name.ptr ? name.ptr : "", name.len);
    const json_t *ids = json_object_get(special, "ids");
    if (!json_is_array(ids)) {
        return krs_fail(err, KRS_EFORMAT, "special_tokens[\"%.*s\"].ids: want an array",
                        KRS_STR_ARGS(name));
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= KRS_VOCAB_MAX_IDS) {
            return krs_fail(err, KRS_EFORMAT, "special_tokens[\"%.*s\"].ids[%zu]: want an id",
                            KRS_STR_ARGS(name), i);
        }
        const krs_status status = krs_idlist_push(out, (uint32_t)json_integer_value(id));
        if (status != KRS_OK) {
            return krs_fail(err, status, "more than %d ids", KRS_TOKENIZER_MAX_AFFIX);
        }
    }
    return KRS_OK;
}

/* Read the ids left and right of $A. */
static krs_status read_single(const json_t *spec, krs_idlist *before, krs_idlist *after,
                              krs_error *err)
{
    const json_t *single = json_object_get(spec, "single");
    if (!json_is_array(single)) {
        return krs_fail(err, KRS_EFORMAT, "single: want an array");
    }
    size_t n_texts = 0;
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *token = json_object_get(item, "SpecialToken");
        if (token) {
            krs_str name;
            status = krs_component_text(token, "id", &name, err);
            if (status == KRS_OK) {
                status = append_special(spec, name, n_texts > 0 ? after : before, err);
            }
        } else if (json_object_get(item, "Sequence")) {
            n_texts++;
        } else {
            return krs_fail(err, KRS_EFORMAT, "single[%zu]: want SpecialToken or Sequence", i);
        }
    }
    if (status == KRS_OK && n_texts != 1) {
        return krs_fail(err, KRS_EUNSUPPORTED, "single with the text %zu times", n_texts);
    }
    return status;
}

/* One item of "pair"; *n_texts: how many texts came before. What we cannot follow leaves pairs unknown. */
static krs_status read_pair_item(krs_tokenizer *t, const json_t *spec, const json_t *item,
                                 size_t *n_texts, krs_error *err)
{
    static const char *const order[] = {"A", "B"};
    const json_t *token = json_object_get(item, "SpecialToken");
    if (token) {
        krs_str name;
        const krs_status status = krs_component_text(token, "id", &name, err);
        return status == KRS_OK ? append_special(spec, name, &t->pair[*n_texts], err) : status;
    }
    const char *text = json_string_value(json_object_get(json_object_get(item, "Sequence"), "id"));
    if (text && *n_texts < 2 && strcmp(text, order[*n_texts]) == 0) {
        ++*n_texts;
    } else {
        t->is_pair_known = false;
    }
    return KRS_OK;
}

/* "pair": $A and then $B, with ids around them. Anything else, or a second template with a pair of its own,
 * leaves pairs unknown: few tokenizers mean them, and one text still works. */
static krs_status read_pair(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    const json_t *pair = json_object_get(spec, "pair");
    const bool has_ids = t->pair[0].n + t->pair[1].n + t->pair[2].n > 0;
    size_t n_texts = 0;
    krs_status status = KRS_OK;
    t->is_pair_known = t->is_pair_known && !has_ids;
    for (size_t i = 0; status == KRS_OK && t->is_pair_known && i < json_array_size(pair); i++) {
        status = read_pair_item(t, spec, json_array_get(pair, i), &n_texts, err);
    }
    t->is_pair_known = t->is_pair_known && (n_texts == 2 || !pair);
    return status;
}

/* A later template of a sequence goes around the earlier ones: new prefix first, new suffix last. */
static krs_status read_template(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_idlist before;
    krs_idlist after;
    krs_idlist_init(&before, t->alloc, KRS_TOKENIZER_MAX_AFFIX);
    krs_idlist_init(&after, t->alloc, KRS_TOKENIZER_MAX_AFFIX);
    krs_status status = read_single(spec, &before, &after, err);
    if (status == KRS_OK) {
        status = read_pair(t, spec, err);
    }
    if (status == KRS_OK) {
        status = krs_idlist_append(&before, t->prefix.ids, t->prefix.n);
        status = status == KRS_OK ? krs_idlist_append(&t->suffix, after.ids, after.n) : status;
        if (status != KRS_OK) {
            (void)krs_fail(err, status, "more than %d ids", KRS_TOKENIZER_MAX_AFFIX);
        }
    }
    if (status == KRS_OK) {
        const krs_idlist was = t->prefix;
        t->prefix = before;
        before = was;
    }
    krs_idlist_deinit(&before);
    krs_idlist_deinit(&after);
    return status;
}

static krs_status read_nothing(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)t;
    (void)spec;
    (void)err;
    return KRS_OK;
}

static krs_status read_processors(krs_tokenizer *t, const json_t *spec, krs_error *err);

static const krs_component processors[] = {
    {"Sequence", read_processors},
    {"TemplateProcessing", read_template},
    {"ByteLevel", read_nothing},
    {NULL, NULL},
};

static krs_status read_processors(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return krs_component_sequence(t, "post_processor", "processors", processors, spec, err);
}

krs_status krs_read_postprocessor(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return !spec || json_is_null(spec)
               ? KRS_OK
               : krs_component_dispatch(t, "post_processor", processors, spec, err);
}

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
    step.content = krs_alloc_text(t->alloc, content.ptr, content.len);
    step.n_content = content.len;
    step.needle = krs_alloc_text(t->alloc, literal.ptr, literal.len);
    step.n_needle = literal.len;
    if (!step.content || !step.needle) {
        krs_alloc_free(t->alloc, step.content);
        krs_alloc_free(t->alloc, step.needle);
        krs_pattern_free(step.pattern);
        return krs_fail(err, KRS_ENOMEM, "out of memory");
    }
    return krs_decoder_add(&t->decoder, &step, err);
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
