/* format/gguf_tokenizer.c - the vocabulary of a GGUF file as the tokenizer.json it was made from.
 *
 * Four kinds, by tokenizer.ggml.model:
 *
 *   gpt2   byte-level BPE: tokens, merges, and the name of a pre-tokeniser (gguf_pre.h)
 *   llama  SentencePiece BPE: tokens and scores; a pair merges by the score of what it makes
 *   bert   WordPiece; converters write "##ing" as "ing" and "word" as U+2581 "word"
 *   t5     Unigram: tokens, scores, and the normaliser's map
 *
 * Types of tokens say which are found in running text before anything else: control tokens (special)
 * and user-defined ones. A token that stands twice keeps its first id, since a text has one id.
 *
 * Thread: any; pure.  Memory: jansson's heap.
 * Source: huggingface/tokenizers file format; llama.cpp convert_hf_to_gguf.py for what it keeps. */
#include "format/gguf_tokenizer_priv.h"

#include "format/gguf_pre.h"

#define PRE  "tokenizer.ggml.pre"
#define KIND "tokenizer.ggml.model"

#define MAX_KIND_BYTES 64 /* of the names of a model and a pre-tokeniser */

krs_status krs_gguf_put(const gguf_tokenizer *t, json_t *object, const char *field, json_t *value)
{
    return value && json_object_set_new(object, field, value) == 0
               ? KRS_OK
               : krs_fail(t->err, KRS_ENOMEM, "tokenizer: %s: out of memory", field);
}

/* An object of parsed JSON: the constant parts of a document. */
krs_status krs_gguf_put_text(const gguf_tokenizer *t, json_t *object, const char *field,
                             const char *json)
{
    const krs_json_limits limits = {4096, false};
    json_t *value;
    const krs_status status = krs_json_parse(krs_str_of(json), &limits, &value, t->err);
    return status == KRS_OK ? krs_gguf_put(t, object, field, value) : status;
}

int64_t krs_gguf_token_type(const gguf_tokenizer *t, uint64_t id)
{
    return t->types && id < t->types->n_items ? krs_gguf_integer(t->types, id) : GGUF_TOKEN_NORMAL;
}

/* tokens as {"text": id}; spell: how the document writes one, NULL: as it is. */
krs_status krs_gguf_put_vocab(const gguf_tokenizer *t, json_t *model, krs_gguf_spell *spell)
{
    json_t *vocab = json_object();
    krs_status status = krs_gguf_put(t, model, "vocab", vocab);
    size_t at = 0;
    for (uint64_t id = 0; status == KRS_OK && id < t->tokens->n_items; id++) {
        char buffer[GGUF_TOKEN_BYTES];
        krs_str text = krs_gguf_next_str(t->tokens, &at);
        if (text.len >= sizeof(buffer) - GGUF_SPELL_BYTES) {
            return krs_fail(t->err, KRS_ETOOLARGE, "token %llu: %zu bytes, limit %zu",
                            (unsigned long long)id, text.len, sizeof(buffer) - GGUF_SPELL_BYTES);
        }
        text = spell ? spell(t, id, text, buffer) : text;
        text.ptr = text.len ? text.ptr : "";
        if (json_object_getn(vocab, text.ptr, text.len)) {
            continue;
        }
        if (json_object_setn_new(vocab, text.ptr, text.len, json_integer((json_int_t)id)) != 0) {
            return krs_fail(t->err, KRS_EFORMAT, "token %llu: not UTF-8, or out of memory",
                            (unsigned long long)id);
        }
    }
    return status;
}

static json_t *added_token(krs_str text, uint64_t id, bool is_special)
{
    return json_pack("{s:s%, s:I, s:b, s:b, s:b, s:b, s:b}", "content", text.ptr, text.len, "id",
                     (json_int_t)id, "special", (int)is_special, "normalized", 0, "lstrip", 0,
                     "rstrip", 0, "single_word", 0);
}

/* What is found in text before anything else. */
static krs_status put_added(const gguf_tokenizer *t, json_t *doc)
{
    json_t *list = json_array();
    krs_status status = krs_gguf_put(t, doc, "added_tokens", list);
    size_t at = 0;
    for (uint64_t id = 0; status == KRS_OK && id < t->tokens->n_items; id++) {
        const krs_str text = krs_gguf_next_str(t->tokens, &at);
        const int64_t type = krs_gguf_token_type(t, id);
        const bool is_special = type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN;
        if (text.len == 0 || (!is_special && type != GGUF_TOKEN_USER)) {
            continue;
        }
        if (json_array_append_new(list, added_token(text, id, is_special)) != 0) {
            return krs_fail(t->err, KRS_EFORMAT, "token %llu: not UTF-8, or out of memory",
                            (unsigned long long)id);
        }
    }
    return status;
}

/* The text of a token by its id; ptr NULL for -1. */
static krs_str text_of(const gguf_tokenizer *t, int64_t id)
{
    krs_str text = {NULL, 0};
    size_t at = 0;
    for (int64_t i = 0; i <= id; i++) {
        text = krs_gguf_next_str(t->tokens, &at);
    }
    return text;
}

krs_status krs_gguf_token_id(const gguf_tokenizer *t, const char *key, int64_t *out)
{
    *out = -1;
    return krs_gguf_get_int(t->gguf, key, 0, (int64_t)t->tokens->n_items - 1, out, t->err);
}

static json_t *special_item(krs_str text, int type)
{
    return json_pack("{s:{s:s%, s:i}}", "SpecialToken", "id", text.ptr, text.len, "type_id", type);
}

static json_t *special_entry(krs_str text, int64_t id)
{
    return json_pack("{s:s%, s:[I], s:[s%]}", "id", text.ptr, text.len, "ids", (json_int_t)id,
                     "tokens", text.ptr, text.len);
}

/* Add one token beside the text, in the lists of one and of two texts. */
static bool add_affix(json_t *spec, krs_str text, int64_t id)
{
    json_t *special = json_object_get(spec, "special_tokens");
    return json_array_append_new(json_object_get(spec, "single"), special_item(text, 0)) == 0 &&
           json_object_setn_new(special, text.ptr, text.len, special_entry(text, id)) == 0;
}

/* $A between the tokens before and after it; an id of -1: none. */
krs_status krs_gguf_put_affixes(const gguf_tokenizer *t, json_t *doc, int64_t before, int64_t after)
{
    if (before < 0 && after < 0) {
        return KRS_OK;
    }
    json_t *spec =
        json_pack("{s:s, s:[], s:{}}", "type", "TemplateProcessing", "single", "special_tokens");
    const krs_status status = krs_gguf_put(t, doc, "post_processor", spec);
    if (status != KRS_OK) {
        return status;
    }
    json_t *text = json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0);
    bool is_done = before < 0 || add_affix(spec, text_of(t, before), before);
    is_done = json_array_append_new(json_object_get(spec, "single"), text) == 0 && is_done;
    is_done = is_done && (after < 0 || add_affix(spec, text_of(t, after), after));
    return is_done ? KRS_OK
                   : krs_fail(t->err, KRS_EFORMAT, "tokens %lld and %lld around a text: not UTF-8",
                              (long long)before, (long long)after);
}

/* The tokens that the file says go around a text. */
krs_status krs_gguf_put_ends(const gguf_tokenizer *t, json_t *doc, bool adds_bos, bool adds_eos)
{
    int64_t bos = -1;
    int64_t eos = -1;
    krs_status status =
        krs_gguf_get_bool(t->gguf, "tokenizer.ggml.add_bos_token", &adds_bos, t->err);
    if (status == KRS_OK) {
        status = krs_gguf_get_bool(t->gguf, "tokenizer.ggml.add_eos_token", &adds_eos, t->err);
    }
    if (status == KRS_OK) {
        status = krs_gguf_token_id(t, "tokenizer.ggml.bos_token_id", &bos);
    }
    if (status == KRS_OK) {
        status = krs_gguf_token_id(t, "tokenizer.ggml.eos_token_id", &eos);
    }
    return status == KRS_OK ? krs_gguf_put_affixes(t, doc, adds_bos ? bos : -1, adds_eos ? eos : -1)
                            : status;
}

/* --- gpt2 --- */

static json_t *pre_step(const gguf_pre_step *step)
{
    switch (step->kind) {
    case GGUF_PRE_SPLIT:
        return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                         step->regex, "behavior", "Isolated", "invert", 0);
    case GGUF_PRE_GPT2:
    case GGUF_PRE_BYTES:
        return json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "use_regex",
                         (int)(step->kind == GGUF_PRE_GPT2));
    case GGUF_PRE_DIGITS:
    case GGUF_PRE_NUMBERS:
        return json_pack("{s:s, s:b}", "type", "Digits", "individual_digits",
                         (int)(step->kind == GGUF_PRE_DIGITS));
    default:
        return json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", "Contiguous");
    }
}

static krs_status put_pre(const gguf_tokenizer *t, json_t *doc, const gguf_pre *pre)
{
    json_t *list = json_array();
    json_t *spec = json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
    krs_status status = krs_gguf_put(t, doc, "pre_tokenizer", spec);
    for (size_t i = 0; status == KRS_OK && pre->steps[i].kind != GGUF_PRE_END; i++) {
        if (json_array_append_new(list, pre_step(&pre->steps[i])) != 0) {
            return krs_fail(t->err, KRS_ENOMEM, "tokenizer: pre_tokenizer: out of memory");
        }
    }
    return status == KRS_OK && pre->has_nfc
               ? krs_gguf_put_text(t, doc, "normalizer", "{\"type\": \"NFC\"}")
               : status;
}

static krs_status find_pre(const gguf_tokenizer *t, const gguf_pre **out)
{
    krs_str name = KRS_STR("gpt-2"); /* files from before there were names */
    const krs_status status = krs_gguf_get_str(t->gguf, PRE, MAX_KIND_BYTES, &name, t->err);
    *out = status == KRS_OK ? krs_gguf_pre_find(name) : NULL;
    if (status == KRS_OK && !*out) {
        return krs_fail(t->err, KRS_EUNSUPPORTED, PRE " \"%.*s\" is not known here",
                        KRS_STR_ARGS(krs_str_is_plain(name) ? name : KRS_STR("?")));
    }
    return status;
}

static krs_status put_merges(const gguf_tokenizer *t, json_t *model)
{
    const krs_gguf_value *merges;
    krs_status status = krs_gguf_get_strings(t->gguf, "tokenizer.ggml.merges", &merges, t->err);
    if (status == KRS_OK && !merges) {
        return krs_fail(t->err, KRS_EFORMAT, "tokenizer.ggml.merges: missing");
    }
    json_t *list = json_array();
    status = status == KRS_OK ? krs_gguf_put(t, model, "merges", list) : status;
    size_t at = 0;
    for (uint64_t i = 0; status == KRS_OK && i < merges->n_items; i++) {
        const krs_str merge = krs_gguf_next_str(merges, &at);
        if (json_array_append_new(list, json_stringn(merge.len ? merge.ptr : "", merge.len)) != 0) {
            return krs_fail(t->err, KRS_EFORMAT,
                            "tokenizer.ggml.merges: %llu: not UTF-8, or out of memory",
                            (unsigned long long)i);
        }
    }
    return status;
}

static krs_status make_gpt2(const gguf_tokenizer *t, json_t *doc, json_t *model)
{
    const gguf_pre *pre = NULL;
    krs_status status = find_pre(t, &pre);
    if (status == KRS_OK) {
        status = krs_gguf_put(t, model, "type", json_string("BPE"));
    }
    if (status == KRS_OK) {
        status = krs_gguf_put(t, model, "ignore_merges", json_boolean(pre->is_whole_word_ok));
    }
    if (status == KRS_OK) {
        status = krs_gguf_put_vocab(t, model, NULL);
    }
    if (status == KRS_OK) {
        status = put_merges(t, model);
    }
    if (status == KRS_OK) {
        status = put_pre(t, doc, pre);
    }
    if (status == KRS_OK) {
        status = krs_gguf_put_text(t, doc, "decoder", "{\"type\": \"ByteLevel\"}");
    }
    return status == KRS_OK ? krs_gguf_put_ends(t, doc, pre->adds_bos, false) : status;
}

static krs_status make(const gguf_tokenizer *t, json_t *doc)
{
    static const struct {
        const char *name;
        krs_gguf_make *make;
    } kinds[] = {
        {"gpt2", make_gpt2},
        {"llama", krs_gguf_make_llama},
        {"bert", krs_gguf_make_bert},
        {"t5", krs_gguf_make_t5},
    };
    krs_str name = {"", 0};
    krs_status status = krs_gguf_get_str(t->gguf, KIND, MAX_KIND_BYTES, &name, t->err);
    json_t *model = json_object();
    if (status == KRS_OK) {
        status = krs_gguf_put(t, doc, "model", model); /* freed with the document */
    } else {
        json_decref(model);
    }
    for (size_t i = 0; status == KRS_OK && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (krs_str_equal(name, krs_str_of(kinds[i].name))) {
            status = kinds[i].make(t, doc, model);
            return status == KRS_OK ? put_added(t, doc) : status;
        }
    }
    return status == KRS_OK
               ? krs_fail(t->err, KRS_EUNSUPPORTED, KIND " \"%.*s\", want gpt2, llama, bert or t5",
                          KRS_STR_ARGS(krs_str_is_plain(name) ? name : KRS_STR("?")))
               : status;
}

krs_status krs_gguf_tokenizer(const krs_gguf *gguf, json_t **out, krs_error *err)
{
    gguf_tokenizer t = {.gguf = gguf, .err = err};
    *out = NULL;
    krs_status status = krs_gguf_get_strings(gguf, "tokenizer.ggml.tokens", &t.tokens, err);
    if (status == KRS_OK && (!t.tokens || t.tokens->n_items == 0)) {
        return krs_fail(err, KRS_ENOENT, "tokenizer: the file has none (tokenizer.ggml.tokens)");
    }
    if (status == KRS_OK) {
        status = krs_gguf_get_numbers(gguf, "tokenizer.ggml.token_type", &t.types, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    json_t *doc = json_object();
    status = doc ? make(&t, doc) : krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory");
    if (status != KRS_OK) {
        json_decref(doc);
        return krs_error_wrap(err, status, "tokenizer");
    }
    *out = doc;
    return KRS_OK;
}

/* --- tokenizer_config.json --- */

static krs_status put_token(const gguf_tokenizer *t, json_t *doc, const char *key,
                            const char *field)
{
    int64_t id = -1;
    krs_status status = t->tokens ? krs_gguf_token_id(t, key, &id) : KRS_OK;
    if (status != KRS_OK || id < 0) {
        return status;
    }
    const krs_str text = text_of(t, id);
    return krs_gguf_put(t, doc, field, json_stringn(text.len ? text.ptr : "", text.len));
}

static krs_status put_template(const gguf_tokenizer *t, json_t *doc)
{
    krs_str plain = {NULL, 0};
    krs_str tools = {NULL, 0};
    krs_status status = krs_gguf_get_str(t->gguf, "tokenizer.chat_template",
                                         GGUF_MAX_TEMPLATE_BYTES, &plain, t->err);
    if (status == KRS_OK) {
        status = krs_gguf_get_str(t->gguf, "tokenizer.chat_template.tool_use",
                                  GGUF_MAX_TEMPLATE_BYTES, &tools, t->err);
    }
    if (status != KRS_OK || !plain.ptr) {
        return status;
    }
    json_t *value = json_stringn(plain.ptr, plain.len);
    if (value && tools.ptr) {
        value = json_pack("[{s:s, s:o}, {s:s, s:s%}]", "name", "default", "template", value, "name",
                          "tool_use", "template", tools.ptr, tools.len);
    }
    if (!value) {
        return krs_fail(t->err, KRS_EFORMAT, "tokenizer.chat_template: not UTF-8");
    }
    return krs_gguf_put(t, doc, "chat_template", value);
}

krs_status krs_gguf_tokenizer_config(const krs_gguf *gguf, json_t **out, krs_error *err)
{
    gguf_tokenizer t = {.gguf = gguf, .err = err};
    *out = NULL;
    krs_status status = krs_gguf_get_strings(gguf, "tokenizer.ggml.tokens", &t.tokens, err);
    json_t *doc = json_object();
    if (status == KRS_OK && !doc) {
        status = krs_fail(err, KRS_ENOMEM, "tokenizer settings: out of memory");
    }
    if (status == KRS_OK) {
        status = put_template(&t, doc);
    }
    if (status == KRS_OK) {
        status = put_token(&t, doc, "tokenizer.ggml.bos_token_id", "bos_token");
    }
    if (status == KRS_OK) {
        status = put_token(&t, doc, "tokenizer.ggml.eos_token_id", "eos_token");
    }
    if (status != KRS_OK) {
        json_decref(doc);
        return status;
    }
    *out = doc;
    return KRS_OK;
}
