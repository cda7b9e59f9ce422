/* text/tokenizer_read_model.c - "model" and "added_tokens" of a tokenizer.json.
 *
 * An added token that the model's vocabulary has keeps the model's id, as in the Rust library; else it
 * has the id that the file declares. Old files leave out model.type: a model with merges is BPE. */
#include "text/tokenizer_priv.h"

#include "text/bpe.h"

#define MAX_TOKEN_BYTES (1u << 20) /* one token's text; real ones stay under 1 KiB */

static krs_status read_id(const json_t *value, krs_str text, uint32_t *out, krs_error *err)
{
    const json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= KRS_VOCAB_MAX_IDS) {
        return krs_fail(err, KRS_EFORMAT, "model.vocab[\"%.*s\"]: want an id in 0..%u",
                        KRS_STR_ARGS(text), KRS_VOCAB_MAX_IDS - 1);
    }
    *out = (uint32_t)id;
    return KRS_OK;
}

static krs_str key_of(void *iter)
{
    return (krs_str){json_object_iter_key(iter), json_object_iter_key_len(iter)};
}

static krs_status add_entry(krs_tokenizer *t, krs_str text, const json_t *value, krs_error *err)
{
    uint32_t id = 0;
    const krs_status status = read_id(value, text, &id, err);
    if (status == KRS_OK && !krs_vocab_add(&t->vocab, id, text)) {
        return krs_fail(err, KRS_EFORMAT, "model.vocab: id %u names two tokens, one is \"%.*s\"",
                        id, KRS_STR_ARGS(text));
    }
    return status;
}

krs_status krs_read_vocab(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab)) {
        return krs_fail(err, KRS_EFORMAT, "model.vocab: want an object");
    }
    size_t n_bytes = 0;
    uint32_t n_ids = 0;
    for (void *it = json_object_iter(vocab); it; it = json_object_iter_next(vocab, it)) {
        uint32_t id = 0;
        const krs_status status = read_id(json_object_iter_value(it), key_of(it), &id, err);
        if (status != KRS_OK) {
            return status;
        }
        n_ids = id >= n_ids ? id + 1 : n_ids;
        n_bytes += key_of(it).len; /* bounded by the file */
    }
    krs_status status =
        krs_vocab_init(&t->vocab, t->alloc, n_ids, json_object_size(vocab), n_bytes);
    if (status != KRS_OK) {
        return krs_fail(err, status, "model.vocab: %zu tokens", json_object_size(vocab));
    }
    for (void *it = json_object_iter(vocab); it && status == KRS_OK;
         it = json_object_iter_next(vocab, it)) {
        status = add_entry(t, key_of(it), json_object_iter_value(it), err);
    }
    return status;
}

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

static krs_status read_bpe(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    const json_t *merges = json_object_get(model, "merges");
    if (!json_is_array(merges)) {
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
    status = krs_bpe_new(&t->vocab, &options, json_array_size(merges), t->alloc, &bpe, err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(merges); i++) {
        status = add_merge(bpe, json_array_get(merges, i), i, err);
    }
    if (status != KRS_OK) {
        krs_bpe_free(bpe);
        return status;
    }
    t->model = krs_bpe_seal(bpe);
    return KRS_OK;
}

krs_status krs_read_model(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    static const krs_component kinds[] = {{"BPE", read_bpe}, {NULL, NULL}};
    if (!json_object_get(model, "type") && json_object_get(model, "merges")) {
        return read_bpe(t, model, err);
    }
    return krs_component_dispatch(t, "model", kinds, model, err);
}

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
