/* format/gguf_tokenizer_spm.c - vocabularies that come from SentencePiece and from BERT. See
 * gguf_tokenizer.c.
 *
 * Source: google/sentencepiece (BPE by scores, Unigram); huggingface transformers
 * convert_slow_tokenizer.py for the tokenizer.json that corresponds to each. */
#include "format/gguf_tokenizer_priv.h"

#include <stdio.h>

#define MARK "\xE2\x96\x81" /* U+2581, which stands for a space */

#define SCORES        "tokenizer.ggml.scores"
#define MAX_MAP_BYTES (4u << 20) /* a normaliser's map; the largest public one has 300 KB */

/* Scores by id, as many as tokens. */
static krs_status find_scores(const gguf_tokenizer *t, const krs_gguf_value **out)
{
    const krs_status status = krs_gguf_get_numbers(t->gguf, SCORES, out, t->err);
    if (status != KRS_OK) {
        return status;
    }
    if (!*out || (*out)->n_items != t->tokens->n_items) {
        return krs_fail(t->err, KRS_EFORMAT, SCORES ": %llu, want one for each of %llu tokens",
                        (unsigned long long)(*out ? (*out)->n_items : 0),
                        (unsigned long long)t->tokens->n_items);
    }
    return KRS_OK;
}

static json_t *score_of(const krs_gguf_value *scores, uint64_t id)
{
    return json_real(krs_gguf_number(scores, id)); /* NULL when it is not finite */
}

static krs_status fail_score(const gguf_tokenizer *t, uint64_t id)
{
    return krs_fail(t->err, KRS_EFORMAT, SCORES ": %llu: not a finite number",
                    (unsigned long long)id);
}

static krs_status put_unknown(const gguf_tokenizer *t, json_t *model)
{
    size_t at = 0;
    for (uint64_t id = 0; id < t->tokens->n_items; id++) {
        const krs_str text = krs_gguf_next_str(t->tokens, &at);
        if (krs_gguf_token_type(t, id) == GGUF_TOKEN_UNKNOWN && text.len > 0) {
            return krs_gguf_put(t, model, "unk_token", json_stringn(text.ptr, text.len));
        }
    }
    return KRS_OK;
}

static bool has_bytes(const gguf_tokenizer *t)
{
    for (uint64_t id = 0; t->types && id < t->types->n_items; id++) {
        if (krs_gguf_token_type(t, id) == GGUF_TOKEN_BYTE) {
            return true;
        }
    }
    return false;
}

/* Scores of the tokens that merges may make; null for the others: they are found whole or not at all. */
static krs_status put_scores(const gguf_tokenizer *t, json_t *model)
{
    const krs_gguf_value *scores = NULL;
    krs_status status = find_scores(t, &scores);
    json_t *list = json_array();
    if (status != KRS_OK) {
        json_decref(list);
        return status;
    }
    status = krs_gguf_put(t, model, "scores", list);
    for (uint64_t id = 0; status == KRS_OK && id < scores->n_items; id++) {
        const int64_t type = krs_gguf_token_type(t, id);
        const bool is_made = type == GGUF_TOKEN_NORMAL || type == GGUF_TOKEN_USER;
        if (json_array_append_new(list, is_made ? score_of(scores, id) : json_null()) != 0) {
            return fail_score(t, id);
        }
    }
    return status;
}

static krs_status put_spaces(const gguf_tokenizer *t, json_t *doc)
{
    bool adds_space = true;
    krs_status status =
        krs_gguf_get_bool(t->gguf, "tokenizer.ggml.add_space_prefix", &adds_space, t->err);
    if (status == KRS_OK) {
        status = krs_gguf_put_text(t, doc, "normalizer",
                                   adds_space
                                       ? "{\"type\": \"Sequence\", \"normalizers\": ["
                                         "{\"type\": \"Prepend\", \"prepend\": \"" MARK "\"},"
                                         "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"},"
                                         " \"content\": \"" MARK "\"}]}"
                                       : "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"},"
                                         " \"content\": \"" MARK "\"}");
    }
#define UNDO                                                                                       \
    "{\"type\": \"Sequence\", \"decoders\": ["                                                     \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" MARK "\"}, \"content\": \" \"},"        \
    "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}"
    return status == KRS_OK
               ? krs_gguf_put_text(t, doc, "decoder",
                                   adds_space ? UNDO ", {\"type\": \"Strip\", \"content\": \" \","
                                                     " \"start\": 1, \"stop\": 0}]}"
                                              : UNDO "]}")
               : status;
#undef UNDO
}

krs_status krs_gguf_make_llama(const gguf_tokenizer *t, json_t *doc, json_t *model)
{
    krs_status status = krs_gguf_put(t, model, "type", json_string("BPE"));
    if (status == KRS_OK) {
        status = krs_gguf_put(t, model, "byte_fallback", json_boolean(has_bytes(t)));
    }
    if (status == KRS_OK) {
        status = krs_gguf_put(t, model, "fuse_unk", json_true());
    }
    if (status == KRS_OK) {
        status = put_unknown(t, model);
    }
    if (status == KRS_OK) {
        status = krs_gguf_put_vocab(t, model, NULL);
    }
    if (status == KRS_OK) {
        status = put_scores(t, model);
    }
    if (status == KRS_OK) {
        status = put_spaces(t, doc);
    }
    return status == KRS_OK ? krs_gguf_put_ends(t, doc, true, false) : status;
}

/* "word" is U+2581 "word" in the file, and "##ing" is "ing"; what is in brackets stays. */
static krs_str spell_piece(const gguf_tokenizer *t, uint64_t id, krs_str text,
                           char buffer[GGUF_TOKEN_BYTES])
{
    const krs_str mark = KRS_STR(MARK);
    (void)t;
    (void)id;
    if (krs_str_starts_with(text, mark)) {
        return (krs_str){text.ptr + mark.len, text.len - mark.len};
    }
    if (krs_str_starts_with(text, KRS_STR("[")) && krs_str_ends_with(text, KRS_STR("]"))) {
        return text;
    }
    buffer[0] = buffer[1] = '#';
    memcpy(buffer + 2, text.ptr, text.len);
    return (krs_str){buffer, text.len + 2};
}

/* What a BERT tokenizer is beside its vocabulary. */
static krs_status put_bert_parts(const gguf_tokenizer *t, json_t *doc, json_t *model)
{
    static const struct {
        const char *field;
        const char *json;
        bool is_of_model;
    } parts[] = {
        {"type", "\"WordPiece\"", true},
        {"unk_token", "\"[UNK]\"", true},
        {"continuing_subword_prefix", "\"##\"", true},
        {"max_input_chars_per_word", "100", true},
        {"normalizer",
         "{\"type\": \"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true,"
         " \"strip_accents\": null, \"lowercase\": true}",
         false},
        {"pre_tokenizer", "{\"type\": \"BertPreTokenizer\"}", false},
        {"decoder", "{\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}", false},
    };
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        status =
            krs_gguf_put_text(t, parts[i].is_of_model ? model : doc, parts[i].field, parts[i].json);
    }
    return status;
}

krs_status krs_gguf_make_bert(const gguf_tokenizer *t, json_t *doc, json_t *model)
{
    int64_t before = -1;
    int64_t after = -1;
    krs_status status = put_bert_parts(t, doc, model);
    if (status == KRS_OK) {
        status = krs_gguf_put_vocab(t, model, spell_piece);
    }
    if (status == KRS_OK) {
        status = krs_gguf_token_id(t, "tokenizer.ggml.cls_token_id", &before);
    }
    if (status == KRS_OK) {
        /* The format's own spelling. */
        status = krs_gguf_token_id(t, "tokenizer.ggml.seperator_token_id", &after);
    }
    return status == KRS_OK ? krs_gguf_put_affixes(t, doc, before, after) : status;
}

/* [["text", score], ...] */
static krs_status put_pairs(const gguf_tokenizer *t, json_t *model)
{
    const krs_gguf_value *scores = NULL;
    krs_status status = find_scores(t, &scores);
    json_t *list = json_array();
    if (status != KRS_OK) {
        json_decref(list);
        return status;
    }
    status = krs_gguf_put(t, model, "vocab", list);
    size_t at = 0;
    for (uint64_t id = 0; status == KRS_OK && id < t->tokens->n_items; id++) {
        const krs_str text = krs_gguf_next_str(t->tokens, &at);
        json_t *score = score_of(scores, id);
        if (!score) {
            return fail_score(t, id);
        }
        json_t *pair = json_pack("[s%, o]", text.len ? text.ptr : "", text.len, score);
        if (json_array_append_new(list, pair) != 0) { /* NULL, too: a failed pack has freed score */
            return krs_fail(t->err, KRS_EFORMAT, "token %llu: not UTF-8, or out of memory",
                            (unsigned long long)id);
        }
    }
    return status;
}

/* Bytes as base64, as tokenizer.json has a normaliser's map. */
static json_t *base64_of(const krs_gguf_value *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t n = bytes->n_bytes;
    char *text = krs_alloc_bytes(NULL, (n + 2) / 3 * 4 + 1);
    size_t at = 0;
    for (size_t i = 0; text && i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t b0 = bytes->data[i];
        const uint32_t b1 = left > 1 ? bytes->data[i + 1] : 0;
        const uint32_t b2 = left > 2 ? bytes->data[i + 2] : 0;
        const uint32_t all = b0 << 16 | b1 << 8 | b2;
        text[at++] = digits[all >> 18];
        text[at++] = digits[all >> 12 & 63];
        text[at++] = left > 1 ? digits[all >> 6 & 63] : '=';
        text[at++] = left > 2 ? digits[all & 63] : '=';
    }
    json_t *value = text ? json_stringn(text, at) : NULL;
    krs_alloc_free(NULL, text);
    return value;
}

static krs_status put_map(const gguf_tokenizer *t, json_t *doc)
{
    const krs_gguf_value *map = NULL;
    const krs_status status =
        krs_gguf_get_numbers(t->gguf, "tokenizer.ggml.precompiled_charsmap", &map, t->err);
    if (status != KRS_OK || !map || map->n_items == 0) {
        return status;
    }
    if (krs_gguf_type_bytes(map->item_type) != 1 || map->n_bytes > MAX_MAP_BYTES) {
        return krs_fail(t->err, KRS_EFORMAT,
                        "tokenizer.ggml.precompiled_charsmap: want at most %u bytes",
                        MAX_MAP_BYTES);
    }
    json_t *text = base64_of(map);
    return text ? krs_gguf_put(
                      t, doc, "normalizer",
                      json_pack("{s:s, s:o}", "type", "Precompiled", "precompiled_charsmap", text))
                : krs_fail(t->err, KRS_ENOMEM, "tokenizer: normaliser's map: out of memory");
}

static krs_status put_words(const gguf_tokenizer *t, json_t *doc)
{
    bool adds_space = true;
    krs_status status =
        krs_gguf_get_bool(t->gguf, "tokenizer.ggml.add_space_prefix", &adds_space, t->err);
    if (status == KRS_OK) {
        status = krs_gguf_put_text(
            t, doc, "pre_tokenizer",
            adds_space ? "{\"type\": \"Sequence\", \"pretokenizers\": ["
                         "{\"type\": \"WhitespaceSplit\"}, {\"type\": \"Metaspace\","
                         " \"replacement\": \"" MARK "\", \"prepend_scheme\": \"always\"}]}"
                       : "{\"type\": \"Metaspace\", \"replacement\": \"" MARK "\","
                         " \"prepend_scheme\": \"never\"}");
    }
    return status == KRS_OK
               ? krs_gguf_put_text(t, doc, "decoder",
                                   "{\"type\": \"Metaspace\", \"replacement\": \"" MARK "\","
                                   " \"prepend_scheme\": \"always\"}")
               : status;
}

krs_status krs_gguf_make_t5(const gguf_tokenizer *t, json_t *doc, json_t *model)
{
    int64_t unknown = -1;
    krs_status status = krs_gguf_put(t, model, "type", json_string("Unigram"));
    if (status == KRS_OK) {
        status = krs_gguf_token_id(t, "tokenizer.ggml.unknown_token_id", &unknown);
    }
    if (status == KRS_OK && unknown >= 0) {
        status = krs_gguf_put(t, model, "unk_id", json_integer(unknown));
    }
    if (status == KRS_OK) {
        status = put_pairs(t, model);
    }
    if (status == KRS_OK) {
        status = put_map(t, doc);
    }
    if (status == KRS_OK) {
        status = put_words(t, doc);
    }
    return status == KRS_OK ? krs_gguf_put_ends(t, doc, false, true) : status;
}
