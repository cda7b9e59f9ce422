/* text/tokenizer.c - building a tokenizer from its file, and questions about it. */
#include "text/tokenizer_priv.h"

#include "os/file.h"
#include "wire/gzip.h"

#include "base/checked.h"

krs_str krs_tokenizer_text_of(const krs_tokenizer *t, uint32_t id)
{
    const krs_str added = krs_vocab_text(&t->added_vocab, id);
    return added.ptr ? added : krs_vocab_text(&t->vocab, id);
}

void krs_tokenizer_free(krs_tokenizer *t)
{
    if (!t) {
        return;
    }
    if (t->model.ops) {
        t->model.ops->free(t->model.self);
    }
    krs_decoder_deinit(&t->decoder);
    krs_pretokenizer_deinit(&t->pretokenizer);
    krs_normalizer_deinit(&t->normalizer);
    krs_added_deinit(&t->added);
    krs_vocab_deinit(&t->added_vocab);
    krs_vocab_deinit(&t->vocab);
    krs_idlist_deinit(&t->prefix);
    krs_idlist_deinit(&t->suffix);
    for (size_t i = 0; i < 3; i++) {
        krs_idlist_deinit(&t->pair[i]);
    }
    krs_buf_deinit(&t->bytes);
    krs_alloc_free(t->alloc, t->is_special);
    krs_alloc_free(t->alloc, t->byte_ends);
    krs_alloc_free(t->alloc, t);
}

static krs_tokenizer *new_empty(const krs_alloc *alloc)
{
    krs_tokenizer *t = krs_alloc_zero(alloc, sizeof(*t));
    if (t) {
        t->alloc = alloc;
        t->added.alloc = t->normalizer.alloc = t->decoder.alloc = alloc;
        t->vocab.alloc = t->added_vocab.alloc = alloc;
        krs_idlist_init(&t->prefix, alloc, KRS_TOKENIZER_MAX_AFFIX);
        krs_idlist_init(&t->suffix, alloc, KRS_TOKENIZER_MAX_AFFIX);
        for (size_t i = 0; i < 3; i++) {
            krs_idlist_init(&t->pair[i], alloc, KRS_TOKENIZER_MAX_AFFIX);
        }
        t->is_pair_known = true;
        krs_buf_init(&t->bytes, alloc, KRS_TOKENIZER_MAX_FILE_BYTES);
    }
    return t;
}

/* The vocabulary and the pre-tokeniser come before the model, which looks at both. */
static krs_status read_parts(krs_tokenizer *t, const json_t *root, krs_error *err)
{
    const json_t *model = json_object_get(root, "model");
    static const struct {
        const char *field;
        krs_component_read read;
    } parts[] = {
        {"normalizer", krs_read_normalizer},
        {"pre_tokenizer", krs_read_pretokenizer},
        {"model", krs_read_model},
        {"added_tokens", krs_read_added},
        {"post_processor", krs_read_postprocessor},
        {"decoder", krs_read_decoder},
    };
    krs_status status = krs_read_vocab(t, model, err);
    for (size_t i = 0; status == KRS_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        status = parts[i].read(t, json_object_get(root, parts[i].field), err);
        if (status != KRS_OK && strcmp(parts[i].field, "model") != 0) {
            return krs_error_wrap(err, status, "%s", parts[i].field);
        }
    }
    return status;
}

static krs_status check_affix(const krs_tokenizer *t, const krs_idlist *list, krs_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->ids[i] >= t->n_ids) {
            return krs_fail(err, KRS_EFORMAT, "post_processor: id %u, vocabulary of %u",
                            list->ids[i], t->n_ids);
        }
    }
    return KRS_OK;
}

/* Every token's bytes, end to end; byte_ends[id] is where they end. */
static krs_status spell_tokens(krs_tokenizer *t, krs_pattern_room *room)
{
    for (uint32_t id = 0; id < t->n_ids; id++) {
        const krs_str text = krs_tokenizer_text_of(t, id);
        const krs_status status =
            text.ptr ? krs_decoder_token_bytes(&t->decoder, room, text, &t->bytes) : KRS_OK;
        if (status != KRS_OK) {
            return status;
        }
        t->byte_ends[id] = (uint32_t)t->bytes.len;
    }
    return KRS_OK;
}

/* Sizes, flags by id, the search for added tokens, bytes of tokens. */
static krs_status fill_tables(krs_tokenizer *t, krs_pattern_room *room)
{
    t->is_special = krs_alloc_array(t->alloc, t->n_ids, sizeof(t->is_special[0]));
    t->byte_ends = krs_alloc_array(t->alloc, t->n_ids, sizeof(t->byte_ends[0]));
    if (!t->is_special || !t->byte_ends || !room) {
        return KRS_ENOMEM;
    }
    for (size_t i = 0; i < t->added.n_tokens; i++) {
        t->is_special[t->added.tokens[i].id] = t->added.tokens[i].is_special;
    }
    const krs_status status = krs_added_build(&t->added, &t->normalizer, room);
    return status == KRS_OK ? spell_tokens(t, room) : status;
}

/* What needs every part of the file. */
static krs_status finish(krs_tokenizer *t, krs_error *err)
{
    t->n_ids = t->vocab.n_ids > t->added_vocab.n_ids ? t->vocab.n_ids : t->added_vocab.n_ids;
    krs_status status = check_affix(t, &t->prefix, err);
    if (status == KRS_OK) {
        status = check_affix(t, &t->suffix, err);
    }
    for (size_t i = 0; status == KRS_OK && i < 3; i++) {
        status = check_affix(t, &t->pair[i], err);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_pattern_room *room = krs_pattern_room_new(t->alloc);
    status = fill_tables(t, room);
    krs_pattern_room_free(room);
    return status == KRS_OK ? status
                            : krs_fail(err, status, "vocabulary of %u: %s", t->n_ids,
                                       krs_status_sentence(status));
}

/* A wrong field of a file is a wrong file. */
static krs_status blame_file(krs_status status, krs_error *err)
{
    status = status == KRS_EINVAL ? KRS_EFORMAT : status;
    if (err) {
        err->status = status;
        err->field[0] = '\0';
    }
    return krs_error_wrap(err, status, "tokenizer");
}

/* lists: those that are not in the tree, or NULL. */
static krs_status read_tree(const json_t *root, const krs_tokenizer_lists *lists,
                            const krs_alloc *alloc, krs_tokenizer **out, krs_error *err)
{
    *out = NULL;
    krs_tokenizer *t = new_empty(alloc);
    if (!t) {
        return krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory");
    }
    t->lists = lists;
    krs_status status = read_parts(t, root, err);
    t->lists = NULL;
    if (status == KRS_OK) {
        status = finish(t, err);
    }
    if (status != KRS_OK) {
        krs_tokenizer_free(t);
        return blame_file(status, err);
    }
    *out = t;
    return KRS_OK;
}

krs_status krs_tokenizer_read(const json_t *root, const krs_alloc *alloc, krs_tokenizer **out,
                              krs_error *err)
{
    return read_tree(root, NULL, alloc, out, err);
}

static krs_status parse_whole(krs_str json, const krs_tokenizer_lists *lists,
                              const krs_alloc *alloc, krs_tokenizer **out, krs_error *err)
{
    const krs_json_limits limits = {KRS_TOKENIZER_MAX_FILE_BYTES, true};
    json_t *root;
    *out = NULL;
    krs_status status = krs_json_parse(json, &limits, &root, err);
    if (status != KRS_OK) {
        return blame_file(status, err);
    }
    status = read_tree(root, lists, alloc, out, err);
    json_decref(root);
    return status;
}

/* Without its long lists first, since that is several times as fast; if anything is wrong with the file, once
 * more as a whole, which explains it. */
krs_status krs_tokenizer_parse(krs_str json, const krs_alloc *alloc, krs_tokenizer **out,
                               krs_error *err)
{
    krs_tokenizer_lists lists;
    krs_buf rest;
    krs_buf_init(&rest, alloc, KRS_TOKENIZER_MAX_FILE_BYTES);
    *out = NULL;
    const bool is_cut =
        json.len <= KRS_TOKENIZER_MAX_FILE_BYTES && krs_tokenizer_lists_cut(json, &lists, &rest);
    krs_error why = KRS_ERROR_INIT;
    const krs_status status =
        is_cut ? parse_whole(krs_buf_view(&rest), &lists, alloc, out, &why) : KRS_EFORMAT;
    krs_buf_deinit(&rest);
    if (status == KRS_ENOMEM && err) {
        *err = why;
    }
    return status == KRS_OK || status == KRS_ENOMEM ? status
                                                    : parse_whole(json, NULL, alloc, out, err);
}

krs_status krs_tokenizer_load(const char *path, const krs_alloc *alloc, krs_tokenizer **out,
                              krs_error *err)
{
    *out = NULL;
    char file[KRS_OS_PATH_BYTES];
    if (krs_os_path_kind(path) == KRS_OS_DIR) {
        if (krs_os_path_join(path, "tokenizer.json", file, sizeof(file)) != KRS_OK) {
            return krs_fail(err, KRS_ETOOLARGE, "tokenizer: path of more than %d bytes",
                            KRS_OS_PATH_BYTES - 1);
        }
        path = file;
    }
    krs_buf bytes;
    krs_buf unpacked;
    krs_buf_init(&bytes, alloc, KRS_TOKENIZER_MAX_FILE_BYTES);
    krs_buf_init(&unpacked, alloc, KRS_TOKENIZER_MAX_FILE_BYTES);
    krs_status status = krs_os_file_read(path, &bytes, err);
    krs_str json = krs_buf_view(&bytes);
    if (status == KRS_OK && krs_gzip_is(json)) {
        status = krs_gunzip(json, &unpacked, err);
        json = krs_buf_view(&unpacked);
    }
    if (status == KRS_OK) {
        status = krs_tokenizer_parse(json, alloc, out, err);
    }
    krs_buf_deinit(&bytes);
    krs_buf_deinit(&unpacked);
    return status;
}

uint32_t krs_tokenizer_vocab_size(const krs_tokenizer *t)
{
    return t->n_ids;
}

int64_t krs_tokenizer_id_of(const krs_tokenizer *t, krs_str token)
{
    const int64_t added = krs_vocab_find(&t->added_vocab, token);
    return added >= 0 ? added : krs_vocab_find(&t->vocab, token);
}

bool krs_tokenizer_is_special(const krs_tokenizer *t, uint32_t id)
{
    return id < t->n_ids && t->is_special[id];
}

krs_str krs_tokenizer_token_bytes(const krs_tokenizer *t, uint32_t id)
{
    if (id >= t->n_ids) {
        return (krs_str){NULL, 0};
    }
    const uint32_t start = id > 0 ? t->byte_ends[id - 1] : 0;
    return (krs_str){t->bytes.data ? t->bytes.data + start : "", t->byte_ends[id] - start};
}
