/* tests/fuzz/fuzz_gguf.c - any bytes as a GGUF file: the container, the settings as a configuration, the
 * tensors by the hub's names, and the tokenizer, which must encode a short text without harm. */
#include "format/gguf_folder.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal has a reason. */
static bool is_done(krs_status status, krs_error *err)
{
    if (status != KRS_OK && err->message[0] == '\0') {
        abort();
    }
    *err = (krs_error)KRS_ERROR_INIT;
    return status == KRS_OK;
}

/* Every byte that a tensor claims is there to be read. */
static void touch(const krs_tensor_dir *dir)
{
    unsigned sum = 0;
    for (uint32_t i = 0; i < dir->n_tensors; i++) {
        const unsigned char *bytes = dir->tensors[i].data;
        const size_t n = dir->tensors[i].n_bytes;
        sum += n > 0 ? bytes[0] + (unsigned)bytes[n - 1] : 0;
        if (krs_tensor_dir_find(dir, dir->tensors[i].name) != &dir->tensors[i]) {
            abort();
        }
    }
    if (sum == UINT32_MAX) {
        abort(); /* never; the sum must not be optimised away */
    }
}

static void use_settings(const krs_gguf *g)
{
    krs_error err = KRS_ERROR_INIT;
    json_t *doc = NULL;
    krs_weight_changes changes;
    krs_model_config config;
    if (is_done(krs_gguf_config(g, &doc, &changes, &err), &err)) {
        (void)is_done(krs_model_config_read(doc, NULL, &config, &err), &err);
        krs_model_config_deinit(&config);
    }
    json_decref(doc);
    int64_t pooling;
    (void)is_done(krs_gguf_pooling(g, &pooling, &err), &err);
    krs_gguf_weights *weights = NULL;
    if (is_done(krs_gguf_weights_new(g, NULL, &weights, &err), &err)) {
        touch(krs_gguf_weights_dir(weights));
    }
    krs_gguf_weights_free(weights);
}

static void encode(const krs_tokenizer *t)
{
    krs_encoder *e = NULL;
    krs_ids ids;
    krs_error err = KRS_ERROR_INIT;
    if (!is_done(krs_encoder_new(t, &e, &err), &err)) {
        return;
    }
    if (is_done(krs_encode(e, KRS_STR("a ab  1\xC2\xB2\xE2\x96\x81'S\n\xFF<0x41>[X]"), true, &ids,
                           &err),
                &err)) {
        for (size_t i = 0; i < ids.n; i++) {
            if (ids.ids[i] >= krs_tokenizer_vocab_size(t)) {
                abort();
            }
        }
    }
    krs_encoder_free(e);
}

static void use_texts(const krs_gguf *g)
{
    krs_error err = KRS_ERROR_INIT;
    json_t *doc = NULL;
    krs_tokenizer *t = NULL;
    if (is_done(krs_gguf_tokenizer(g, &doc, &err), &err) &&
        is_done(krs_tokenizer_read(doc, NULL, &t, &err), &err)) {
        encode(t);
    }
    krs_tokenizer_free(t);
    json_decref(doc);
    krs_chat_template *chat = NULL;
    if (is_done(krs_gguf_tokenizer_config(g, &doc, &err), &err)) {
        (void)is_done(krs_chat_template_read(doc, NULL, &chat, &err), &err);
    }
    krs_chat_template_free(chat);
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    krs_gguf *g = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (!is_done(krs_gguf_parse(data, size, NULL, &g, &err), &err)) {
        return 0;
    }
    touch(krs_gguf_dir(g));
    use_settings(g);
    use_texts(g);
    krs_gguf_close(g);
    return 0;
}
