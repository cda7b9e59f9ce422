/* text/detok.c - see detok.h. One run of the decoder chain (text/decode.h); krs_decode is a run over
 * all ids at once, so the two cannot differ. */
#include "text/detok.h"

#include "text/tokenizer_priv.h"

struct krs_detok {
    const krs_tokenizer *t;
    const krs_alloc *alloc;
    bool skip_special;
    krs_pattern_room *room;
    krs_decoder_run run;
};

krs_status krs_detok_new(const krs_tokenizer *tokenizer, bool skip_special, const krs_alloc *alloc,
                         krs_detok **out)
{
    *out = NULL;
    krs_detok *d = krs_alloc_zero(alloc, sizeof(*d));
    krs_pattern_room *room = krs_pattern_room_new(alloc);
    if (!d || !room) {
        krs_pattern_room_free(room);
        krs_alloc_free(alloc, d);
        return KRS_ENOMEM;
    }
    *d = (krs_detok){tokenizer, alloc, skip_special, room, {0}};
    krs_decoder_run_init(&d->run, &tokenizer->decoder, room, alloc);
    *out = d;
    return KRS_OK;
}

void krs_detok_free(krs_detok *d)
{
    if (d) {
        krs_decoder_run_deinit(&d->run);
        krs_pattern_room_free(d->room);
        krs_alloc_free(d->alloc, d);
    }
}

krs_status krs_detok_push(krs_detok *d, uint32_t id, krs_buf *out)
{
    if (id >= d->t->n_ids) {
        return KRS_EINVAL;
    }
    if (d->skip_special && d->t->is_special[id]) {
        return KRS_OK;
    }
    if (krs_decoder_is_raw(&d->t->decoder)) {
        return krs_decoder_run_push_raw(&d->run, krs_tokenizer_token_bytes(d->t, id), out);
    }
    const krs_str text = krs_tokenizer_text_of(d->t, id);
    if (!text.ptr) {
        return KRS_OK; /* a hole in the vocabulary says nothing, as in the Rust library */
    }
    return krs_decoder_run_push(&d->run, text, out);
}

krs_status krs_detok_finish(krs_detok *d, krs_buf *out)
{
    return krs_decoder_run_finish(&d->run, out);
}

void krs_detok_reset(krs_detok *d)
{
    krs_decoder_run_reset(&d->run);
}

krs_status krs_decode(const krs_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                      bool skip_special, krs_buf *out, krs_error *err)
{
    const size_t before = out->len;
    krs_detok *d;
    krs_status status = krs_detok_new(tokenizer, skip_special, tokenizer->alloc, &d);
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = krs_detok_push(d, ids[i], out);
        if (status == KRS_EINVAL && ids[i] >= tokenizer->n_ids) {
            (void)krs_fail_field(err, status, "ids", "ids[%zu]: %u, vocabulary of %u", i, ids[i],
                                 tokenizer->n_ids);
        } else if (status != KRS_OK) {
            (void)krs_fail(err, status, "decode: %s", krs_status_sentence(status));
        }
    }
    if (status == KRS_OK) {
        status = krs_detok_finish(d, out);
    }
    krs_detok_free(d);
    if (status != KRS_OK && out->data) {
        out->len = before; /* all or nothing */
        out->data[before] = '\0';
    }
    return status;
}
