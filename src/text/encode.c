/* text/encode.c - text to ids: added tokens, normal form, pieces, model, affixes.
 *
 *   raw text --added tokens--> stretch --normaliser--> stretch --added tokens (normalised)-->
 *   stretch --pre-tokeniser--> pieces --model--> ids
 *
 * Stretches are worked off one after the other, so only one is in memory in its rewritten form. */
#include "text/tokenizer_priv.h"

#include "text/unicode.h"

struct krs_encoder {
    const krs_tokenizer *t;
    krs_pattern_room *room;
    void *scratch; /* of the model */
    krs_idlist ids;
    krs_buf repaired;
    krs_buf normal[2];
    krs_pieces pieces;
};

krs_status krs_encoder_new(const krs_tokenizer *tokenizer, krs_encoder **out, krs_error *err)
{
    *out = NULL;
    const krs_alloc *alloc = tokenizer->alloc;
    krs_encoder *e = krs_alloc_zero(alloc, sizeof(*e));
    if (!e) {
        return krs_fail(err, KRS_ENOMEM, "encoder: out of memory");
    }
    e->t = tokenizer;
    krs_idlist_init(&e->ids, alloc, KRS_TOKENIZER_MAX_IDS_OUT);
    krs_buf_init(&e->repaired, alloc, KRS_TOKENIZER_MAX_REWRITTEN);
    krs_buf_init(&e->normal[0], alloc, KRS_TOKENIZER_MAX_REWRITTEN);
    krs_buf_init(&e->normal[1], alloc, KRS_TOKENIZER_MAX_REWRITTEN);
    krs_pieces_init(&e->pieces, alloc, KRS_TOKENIZER_MAX_REWRITTEN);
    e->room = krs_pattern_room_new(alloc);
    e->scratch = tokenizer->model.ops->scratch_new(tokenizer->model.self, alloc);
    if (!e->room || !e->scratch) {
        krs_encoder_free(e);
        return krs_fail(err, KRS_ENOMEM, "encoder: out of memory");
    }
    *out = e;
    return KRS_OK;
}

void krs_encoder_free(krs_encoder *e)
{
    if (e) {
        e->t->model.ops->scratch_free(e->scratch);
        krs_pattern_room_free(e->room);
        krs_idlist_deinit(&e->ids);
        krs_buf_deinit(&e->repaired);
        krs_buf_deinit(&e->normal[0]);
        krs_buf_deinit(&e->normal[1]);
        krs_pieces_deinit(&e->pieces);
        krs_alloc_free(e->t->alloc, e);
    }
}

static krs_status encode_pieces(krs_encoder *e, krs_error *err)
{
    const krs_text_model *model = &e->t->model;
    const krs_spans *spans = &e->pieces.spans;
    if (model->ops->encode_pieces) {
        return model->ops->encode_pieces(model->self, e->scratch, e->pieces.text, spans->items,
                                         spans->n, &e->ids, err);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < spans->n; i++) {
        const krs_span span = spans->items[i];
        const krs_str piece = {e->pieces.text.ptr + span.start, span.end - span.start};
        status = model->ops->encode(model->self, e->scratch, piece, &e->ids, err);
    }
    return status;
}

/* A stretch without added tokens, in normal form. */
static krs_status encode_normal(krs_encoder *e, krs_str text, bool is_at_start, krs_error *err)
{
    const krs_status status =
        krs_pretokenizer_apply(&e->t->pretokenizer, e->room, text, is_at_start, &e->pieces);
    return status == KRS_OK ? encode_pieces(e, err) : status;
}

/* A stretch of raw text without added tokens of the raw kind. */
static krs_status encode_stretch(krs_encoder *e, krs_str text, bool is_at_start, krs_error *err)
{
    krs_str normal;
    krs_status status = krs_normalizer_apply(&e->t->normalizer, e->room, text, e->normal, &normal);
    if (status != KRS_OK) {
        return status;
    }
    krs_added_walk walk = krs_added_walk_of(&e->t->added, normal, true);
    krs_added_part part;
    while (status == KRS_OK && krs_added_next(&walk, &part)) {
        if (part.plain.len > 0) {
            status = encode_normal(e, part.plain, is_at_start && part.offset == 0, err);
        }
        if (status == KRS_OK && part.token) {
            status = krs_idlist_push(&e->ids, part.token->id);
        }
    }
    return status;
}

static krs_status encode_text(krs_encoder *e, krs_str text, krs_error *err)
{
    krs_added_walk walk = krs_added_walk_of(&e->t->added, text, false);
    krs_added_part part;
    krs_status status = KRS_OK;
    while (status == KRS_OK && krs_added_next(&walk, &part)) {
        if (part.plain.len > 0) {
            status = encode_stretch(e, part.plain, part.offset == 0, err);
        }
        if (status == KRS_OK && part.token) {
            status = krs_idlist_push(&e->ids, part.token->id);
        }
    }
    return status;
}

/* Well-formed text: the caller's own where it is, else a repaired copy. */
static krs_status repair(krs_encoder *e, krs_str *text)
{
    if (krs_utf8_valid_prefix(*text) == text->len) {
        return KRS_OK;
    }
    krs_buf_reset(&e->repaired);
    const krs_status status = krs_utf8_repair(*text, &e->repaired);
    *text = krs_buf_view(&e->repaired);
    return status;
}

/* Steps that only know a status leave the words to this place. */
static krs_status explain(krs_error *err, const krs_error *why, krs_status status)
{
    if (err && why->status != KRS_OK) {
        *err = *why;
        return status;
    }
    switch (status) {
    case KRS_EINVAL:
        return krs_fail(err, status, "text: a regex of the tokenizer backtracks too much on it");
    case KRS_ETOOLARGE:
        return krs_fail(err, status, "text: larger than %u bytes or tokens when encoded",
                        KRS_TOKENIZER_MAX_TEXT_BYTES);
    default:
        return krs_fail(err, status, "text: %s", krs_status_sentence(status));
    }
}

static krs_status check_length(krs_str text, krs_error *err)
{
    return text.len <= KRS_TOKENIZER_MAX_TEXT_BYTES
               ? KRS_OK
               : krs_fail(err, KRS_ETOOLARGE, "text: %zu bytes, limit %u", text.len,
                          KRS_TOKENIZER_MAX_TEXT_BYTES);
}

/* Append what the post-processor puts here (NULL: nothing) and then the ids of text. */
static krs_status add_text(krs_encoder *e, const krs_idlist *affix, krs_str text, krs_error *why)
{
    text.ptr = text.ptr ? text.ptr : "";
    krs_status status = affix ? krs_idlist_append(&e->ids, affix->ids, affix->n) : KRS_OK;
    if (status == KRS_OK) {
        status = repair(e, &text);
    }
    return status == KRS_OK ? encode_text(e, text, why) : status;
}

/* Append the last affix and hand the ids out. */
static krs_status finish(krs_encoder *e, krs_status status, const krs_idlist *affix,
                         const krs_error *why, krs_ids *out, krs_error *err)
{
    if (status == KRS_OK && affix) {
        status = krs_idlist_append(&e->ids, affix->ids, affix->n);
    }
    if (status != KRS_OK) {
        return explain(err, why, status);
    }
    *out = (krs_ids){e->ids.ids, e->ids.n};
    return KRS_OK;
}

krs_status krs_encode(krs_encoder *encoder, krs_str text, bool with_special, krs_ids *out,
                      krs_error *err)
{
    *out = (krs_ids){NULL, 0};
    if (check_length(text, err) != KRS_OK) {
        return KRS_ETOOLARGE;
    }
    const krs_tokenizer *t = encoder->t;
    krs_error why = KRS_ERROR_INIT;
    encoder->ids.n = 0;
    const krs_status status = add_text(encoder, with_special ? &t->prefix : NULL, text, &why);
    return finish(encoder, status, with_special ? &t->suffix : NULL, &why, out, err);
}

krs_status krs_encode_pair(krs_encoder *encoder, krs_str first, krs_str second, bool with_special,
                           krs_ids *out, krs_error *err)
{
    *out = (krs_ids){NULL, 0};
    if (check_length(first, err) != KRS_OK || check_length(second, err) != KRS_OK) {
        return KRS_ETOOLARGE;
    }
    const krs_tokenizer *t = encoder->t;
    if (with_special && !t->is_pair_known) {
        return krs_fail(err, KRS_EUNSUPPORTED, "this tokenizer's template of pairs");
    }
    krs_error why = KRS_ERROR_INIT;
    encoder->ids.n = 0;
    krs_status status = add_text(encoder, with_special ? &t->pair[0] : NULL, first, &why);
    if (status == KRS_OK) {
        status = add_text(encoder, with_special ? &t->pair[1] : NULL, second, &why);
    }
    return finish(encoder, status, with_special ? &t->pair[2] : NULL, &why, out, err);
}
