/* text/tokenizer_compare.c - see tokenizer_compare.h. */
#include "text/tokenizer_compare.h"

#include <stdio.h>

#define SHOWN_BYTES 32u /* of a token in a message */

/* For a message: what cannot be printed becomes a question mark. */
static void show(krs_str bytes, char out[SHOWN_BYTES + 1])
{
    size_t n = bytes.len < SHOWN_BYTES ? bytes.len : SHOWN_BYTES;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)bytes.ptr[i];
        out[i] = (char)(c >= 0x20 && c < 0x7F ? c : '?');
    }
    out[n] = '\0';
}

static krs_status tell_text(uint32_t id, krs_str a, krs_str b, krs_error *err)
{
    char first[SHOWN_BYTES + 1];
    char second[SHOWN_BYTES + 1];
    show(a, first);
    show(b, second);
    return krs_fail(err, KRS_EINVAL,
                    "vocabulary: token %u is \"%s\" in one and \"%s\" in the other", id, first,
                    second);
}

krs_status krs_tokenizer_compare(const krs_tokenizer *a, const krs_tokenizer *b, krs_error *err)
{
    const uint32_t n = krs_tokenizer_vocab_size(a);
    if (n != krs_tokenizer_vocab_size(b)) {
        return krs_fail(err, KRS_EINVAL, "vocabulary: %u tokens in one and %u in the other", n,
                        krs_tokenizer_vocab_size(b));
    }
    for (uint32_t id = 0; id < n; id++) {
        const krs_str first = krs_tokenizer_token_bytes(a, id);
        const krs_str second = krs_tokenizer_token_bytes(b, id);
        if (!krs_str_equal(first, second)) {
            return tell_text(id, first, second, err);
        }
        if (krs_tokenizer_is_special(a, id) != krs_tokenizer_is_special(b, id)) {
            return krs_fail(err, KRS_EINVAL,
                            "vocabulary: token %u is special in one and not in the other", id);
        }
    }
    return KRS_OK;
}

uint64_t krs_tokenizer_fingerprint(const krs_tokenizer *tokenizer)
{
    const uint32_t n = krs_tokenizer_vocab_size(tokenizer);
    uint64_t h = n;
    for (uint32_t id = 0; id < n; id++) {
        h = krs_str_hash(krs_tokenizer_token_bytes(tokenizer, id), h + id);
    }
    return h ^ krs_tokenizer_special_fingerprint(tokenizer);
}

uint64_t krs_tokenizer_special_fingerprint(const krs_tokenizer *tokenizer)
{
    const uint32_t n = krs_tokenizer_vocab_size(tokenizer);
    uint64_t h = 0;
    for (uint32_t id = 0; id < n; id++) {
        if (krs_tokenizer_is_special(tokenizer, id)) {
            h = krs_str_hash(krs_tokenizer_token_bytes(tokenizer, id), h + id);
        }
    }
    return h;
}
