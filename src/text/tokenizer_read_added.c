/* text/tokenizer_read_added.c - "added_tokens" of a tokenizer.json.
 *
 * An added token that the model's vocabulary has keeps the model's id, as in the Rust library; else it
 * has the id that the file declares. */
#include "text/tokenizer_priv.h"

static krs_status read_flags(const json_t *spec, krs_added_token *token, krs_error *err)
{
    const struct {
        const char *name;
        bool *out;
    } flags[] = {
        {"special", &token->is_special},         {"normalized", &token->is_normalized},
        {"lstrip", &token->has_lstrip},          {"rstrip", &token->has_rstrip},
        {"single_word", &token->is_single_word},
    };
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(flags) / sizeof(flags[0]); i++) {
        status = krs_json_get_bool(spec, flags[i].name, flags[i].out, err);
    }
    return status;
}

/* token->text is borrowed from spec here. */
static krs_status read_added_token(const krs_tokenizer *t, const json_t *spec,
                                   krs_added_token *token, krs_error *err)
{
    *token = (krs_added_token){0};
    krs_status status = krs_component_text(spec, "content", &token->text, err);
    int64_t id = -1;
    if (status == KRS_OK) {
        status = krs_json_get_int(spec, "id", 0, KRS_VOCAB_MAX_IDS - 1, &id, err);
    }
    if (status == KRS_OK) {
        status = read_flags(spec, token, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    const int64_t known = krs_vocab_find(&t->vocab, token->text);
    if (known < 0 && id < 0) {
        return krs_fail(err, KRS_EFORMAT, "id: missing");
    }
    token->id = (uint32_t)(known >= 0 ? known : id);
    if (known < 0 && krs_vocab_text(&t->vocab, token->id).ptr) {
        return krs_fail(err, KRS_EFORMAT, "id %u of \"%.*s\" is another token of the model",
                        token->id, KRS_STR_ARGS(token->text));
    }
    return KRS_OK;
}

static krs_status keep_added_token(krs_tokenizer *t, krs_added_token *token, krs_error *err)
{
    if (token->text.len == 0 || krs_vocab_find(&t->added_vocab, token->text) >= 0) {
        return KRS_OK; /* nothing to find, or listed before: the first counts */
    }
    if (!krs_vocab_add(&t->added_vocab, token->id, token->text)) {
        return krs_fail(err, KRS_EFORMAT, "id %u names two tokens", token->id);
    }
    token->text = krs_vocab_text(&t->added_vocab, token->id);
    t->added.tokens[t->added.n_tokens++] = *token;
    return KRS_OK;
}

/* Sizes first, so that nothing has to grow. */
static krs_status size_added(krs_tokenizer *t, const json_t *list, krs_error *err)
{
    const size_t n = json_array_size(list);
    size_t n_bytes = 0;
    uint32_t n_ids = 0;
    for (size_t i = 0; i < n; i++) {
        krs_added_token token;
        const krs_status status = read_added_token(t, json_array_get(list, i), &token, err);
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "added_tokens[%zu]", i);
        }
        n_bytes += token.text.len;
        n_ids = token.id >= n_ids ? token.id + 1 : n_ids;
    }
    krs_status status = krs_vocab_init(&t->added_vocab, t->alloc, n_ids, n, n_bytes);
    if (status == KRS_OK) {
        t->added.tokens = krs_alloc_array(t->alloc, n, sizeof(t->added.tokens[0]));
        status = t->added.tokens ? KRS_OK : KRS_ENOMEM;
    }
    return status == KRS_OK ? status : krs_fail(err, status, "added_tokens: %zu", n);
}

krs_status krs_read_added(krs_tokenizer *t, const json_t *list, krs_error *err)
{
    if (list && !json_is_null(list) && !json_is_array(list)) {
        return krs_fail(err, KRS_EFORMAT, "added_tokens: want an array");
    }
    krs_status status = size_added(t, list, err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        krs_added_token token;
        status = read_added_token(t, json_array_get(list, i), &token, err);
        if (status == KRS_OK) {
            status = keep_added_token(t, &token, err);
        }
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "added_tokens[%zu]", i);
        }
    }
    return status;
}
