/* text/tokenizer_read_vocab.c - "vocab" of a tokenizer.json's model: an object of ids by text, or, in a
 * Unigram model, an array of [text, score] in order of the ids. */
#include "text/tokenizer_priv.h"

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

/* The same from a list that was cut out. What is wrong with it is said when the file is read as a whole. */
static krs_status read_cut_vocab(krs_tokenizer *t, krs_list_cursor *sizes, krs_list_cursor *entries)
{
    krs_str text;
    uint32_t id;
    uint32_t n_ids = 0;
    size_t n_bytes = 0;
    while (krs_list_next_token(sizes, &text, &id)) {
        n_ids = id >= n_ids ? id + 1 : n_ids;
        n_bytes += text.len;
    }
    if (sizes->is_bad || n_ids > KRS_VOCAB_MAX_IDS) {
        return KRS_EFORMAT;
    }
    krs_status status = krs_vocab_init(&t->vocab, t->alloc, n_ids, sizes->n, n_bytes);
    while (status == KRS_OK && krs_list_next_token(entries, &text, &id)) {
        status = krs_vocab_add(&t->vocab, id, text) ? KRS_OK : KRS_EFORMAT;
    }
    return status == KRS_OK && entries->is_bad ? KRS_ENOMEM : status;
}

krs_status krs_read_vocab_object(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab)) {
        return krs_fail(err, KRS_EFORMAT, "model.vocab: want an object");
    }
    if (t->lists && t->lists->vocab.ptr) {
        krs_list_cursor cursors[2];
        krs_list_cursor_init(&cursors[0], t->lists->vocab, t->alloc);
        krs_list_cursor_init(&cursors[1], t->lists->vocab, t->alloc);
        const krs_status status = read_cut_vocab(t, &cursors[0], &cursors[1]);
        krs_list_cursor_deinit(&cursors[0]);
        krs_list_cursor_deinit(&cursors[1]);
        return status;
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

/* The text of item i: [text, score]. */
static krs_status read_item(const json_t *list, size_t i, krs_str *text, krs_error *err)
{
    const json_t *item = json_array_get(list, i);
    const json_t *value = json_array_get(item, 0);
    if (json_array_size(item) != 2 || !json_is_string(value) ||
        !json_is_number(json_array_get(item, 1))) {
        return krs_fail(err, KRS_EFORMAT, "model.vocab[%zu]: want [text, score]", i);
    }
    *text = (krs_str){json_string_value(value), json_string_length(value)};
    return KRS_OK;
}

krs_status krs_read_vocab_list(krs_tokenizer *t, const json_t *model, krs_error *err)
{
    const json_t *list = json_object_get(model, "vocab");
    if (!json_is_array(list)) {
        return krs_fail(err, KRS_EFORMAT, "model.vocab: want an array");
    }
    const size_t n = json_array_size(list);
    size_t n_bytes = 0;
    krs_str text = {NULL, 0};
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = read_item(list, i, &text, err);
        n_bytes += text.len; /* bounded by the file */
    }
    if (status != KRS_OK) {
        return status;
    }
    status = krs_vocab_init(&t->vocab, t->alloc, n, n, n_bytes);
    if (status != KRS_OK) {
        return krs_fail(err, status, "model.vocab: %zu tokens", n);
    }
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = read_item(list, i, &text, err);
        if (status == KRS_OK) {
            krs_vocab_add_again(&t->vocab, (uint32_t)i, text);
        }
    }
    return status;
}
