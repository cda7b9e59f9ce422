/* tests/fuzz/fuzz_tokenizer_json.c - any bytes as a tokenizer.json; what parses must encode and decode a
 * short text without harm, and a stream must equal the whole. The text is the file's own tail, so that
 * it holds the characters the file speaks of. */
#include "text/detok.h"
#include "text/tokenizer.h"

#include <stdlib.h>

#define TEXT_BYTES       64u /* of the input's end: enough for every step, too little for slow regexes */
#define MAX_OUTPUT_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whole and streamed decoding agree, also when they refuse. */
static void decode(const krs_tokenizer *t, const krs_ids *ids)
{
    krs_buf whole;
    krs_buf streamed;
    krs_detok *d = NULL;
    krs_buf_init(&whole, NULL, MAX_OUTPUT_BYTES);
    krs_buf_init(&streamed, NULL, MAX_OUTPUT_BYTES);
    krs_status status = krs_detok_new(t, false, NULL, &d);
    for (size_t i = 0; status == KRS_OK && i < ids->n; i++) {
        status = krs_detok_push(d, ids->ids[i], &streamed);
    }
    if (status == KRS_OK) {
        status = krs_detok_finish(d, &streamed);
    }
    if (krs_decode(t, ids->ids, ids->n, false, &whole, NULL) != status ||
        (status == KRS_OK && !krs_str_equal(krs_buf_view(&whole), krs_buf_view(&streamed)))) {
        abort();
    }
    krs_detok_free(d);
    krs_buf_deinit(&whole);
    krs_buf_deinit(&streamed);
}

static void use(const krs_tokenizer *t, krs_str text)
{
    krs_encoder *e = NULL;
    krs_ids ids;
    krs_error err = KRS_ERROR_INIT;
    if (krs_encoder_new(t, &e, NULL) == KRS_OK) {
        if (krs_encode(e, text, true, &ids, &err) == KRS_OK) {
            for (size_t i = 0; i < ids.n; i++) {
                if (ids.ids[i] >= krs_tokenizer_vocab_size(t)) {
                    abort();
                }
                (void)krs_tokenizer_token_bytes(t, ids.ids[i]);
            }
            decode(t, &ids);
        } else if (err.message[0] == '\0') {
            abort(); /* a refusal without a reason */
        }
    }
    krs_encoder_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const krs_str json = {(const char *)data, size};
    const size_t n = size < TEXT_BYTES ? size : TEXT_BYTES;
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_tokenizer_parse(json, NULL, &t, &err);
    if ((status == KRS_OK) != (t != NULL) || (status != KRS_OK && err.message[0] == '\0')) {
        abort();
    }
    if (t) {
        use(t, (krs_str){json.ptr + (size - n), n});
        use(t, KRS_STR("a ab  1\xC2\xB2\xE2\x96\x81'S\n\xFF<0x41>[X]"));
    }
    krs_tokenizer_free(t);
    return 0;
}
