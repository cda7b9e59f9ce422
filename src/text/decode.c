/* text/decode.c - see decode.h: the chain, its runs, and single tokens. */
#include "text/decode_priv.h"

static void step_deinit(const krs_alloc *alloc, krs_decoder_step *step)
{
    krs_pattern_free(step->pattern);
    krs_alloc_free(alloc, step->needle);
    krs_alloc_free(alloc, step->content);
    *step = (krs_decoder_step){0};
}

void krs_decoder_deinit(krs_decoder *decoder)
{
    for (size_t i = 0; i < decoder->n_steps; i++) {
        step_deinit(decoder->alloc, &decoder->steps[i]);
    }
    decoder->n_steps = 0;
    decoder->is_fused = false;
}

/* What a step cannot do to a token that comes in fragments, or NULL. */
static const char *trouble_of(const krs_decoder_step *step)
{
    switch (step->kind) {
    case KRS_DECODER_BYTELEVEL:
        return "ByteLevel";
    case KRS_DECODER_BYTE_FALLBACK:
        return "ByteFallback";
    case KRS_DECODER_REPLACE:
        return step->n_needle > 0 ? NULL : "Replace with a regex";
    case KRS_DECODER_WORDPIECE:
        return "WordPiece";
    case KRS_DECODER_BPE:
        return "BPEDecoder";
    case KRS_DECODER_CTC:
        return "CTC";
    default:
        return NULL;
    }
}

krs_status krs_decoder_add(krs_decoder *decoder, const krs_decoder_step *step, krs_error *err)
{
    krs_decoder_step mine = *step;
    const char *trouble = decoder->is_fused ? trouble_of(step) : NULL;
    if (trouble || decoder->n_steps == KRS_DECODER_MAX_STEPS) {
        step_deinit(decoder->alloc, &mine);
        return trouble ? krs_fail(err, KRS_EUNSUPPORTED, "decoder: %s after Fuse", trouble)
                       : krs_fail(err, KRS_ETOOLARGE, "decoder: more than %d steps",
                                  KRS_DECODER_MAX_STEPS);
    }
    mine.is_fused = decoder->is_fused;
    decoder->steps[decoder->n_steps++] = mine;
    decoder->is_fused = decoder->is_fused || step->kind == KRS_DECODER_FUSE ||
                        step->kind == KRS_DECODER_BYTELEVEL || step->kind == KRS_DECODER_JOIN;
    return KRS_OK;
}

/* One step on one token: *text becomes the result, written to work. *is_raw: no further step applies
 * to bytes that need not be text. */
static krs_status bytes_of_step(const krs_decoder_step *step, krs_pattern_room *room, krs_str *text,
                                krs_buf *work, bool *is_raw)
{
    krs_status status = KRS_OK;
    const int byte = krs_decoder_byte_of(*text);
    switch (step->kind) {
    case KRS_DECODER_BYTELEVEL:
        status = krs_decoder_unspell(*text, work);
        *is_raw = true;
        break;
    case KRS_DECODER_BYTE_FALLBACK:
        if (byte < 0) {
            return KRS_OK;
        }
        status = krs_buf_append_char(work, (char)byte);
        *is_raw = true;
        break;
    case KRS_DECODER_REPLACE:
        status = krs_pattern_replace(step->pattern, room, *text,
                                     (krs_str){step->content, step->n_content}, work);
        break;
    case KRS_DECODER_METASPACE:
        status = krs_decoder_despace(*text, step->character, false, work);
        break;
    case KRS_DECODER_WORDPIECE:
    case KRS_DECODER_BPE:
    case KRS_DECODER_CTC:
        status = krs_decoder_write_word(step, *text, KRS_DECODER_INSIDE, work);
        break;
    default: /* Fuse, Strip, Join: matters of the whole text */
        return KRS_OK;
    }
    *text = (krs_str){work->data ? work->data : "", work->len};
    return status;
}

krs_status krs_decoder_token_bytes(const krs_decoder *decoder, krs_pattern_room *room,
                                   krs_str token, krs_buf *out)
{
    krs_buf work[2];
    krs_buf_init(&work[0], decoder->alloc, KRS_DECODER_MAX_HELD_BYTES);
    krs_buf_init(&work[1], decoder->alloc, KRS_DECODER_MAX_HELD_BYTES);
    krs_status status = KRS_OK;
    bool is_raw = false;
    for (size_t i = 0; status == KRS_OK && !is_raw && i < decoder->n_steps; i++) {
        krs_buf *to = token.ptr && token.ptr == work[0].data ? &work[1] : &work[0];
        krs_buf_reset(to);
        status = bytes_of_step(&decoder->steps[i], room, &token, to, &is_raw);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, token);
    }
    krs_buf_deinit(&work[0]);
    krs_buf_deinit(&work[1]);
    return status;
}

void krs_decoder_run_init(krs_decoder_run *run, const krs_decoder *decoder, krs_pattern_room *room,
                          const krs_alloc *alloc)
{
    run->decoder = decoder;
    run->room = room;
    for (size_t i = 0; i < KRS_DECODER_MAX_STEPS; i++) {
        krs_buf_init(&run->links[i].held, alloc, KRS_DECODER_MAX_HELD_BYTES);
        krs_buf_init(&run->links[i].work, alloc, KRS_DECODER_MAX_HELD_BYTES);
    }
    if (krs_decoder_is_raw(decoder)) {
        /* Room for unfinished characters now, so that the first costs its token no allocation. Where memory is
         * out, that token will say so. */
        const bool has_room =
            krs_buf_reserve(&run->links[0].held, KRS_DECODER_RAW_BYTES) == KRS_OK &&
            krs_buf_reserve(&run->links[0].work, KRS_DECODER_RAW_BYTES) == KRS_OK;
        (void)has_room;
    }
    krs_decoder_run_reset(run);
}

void krs_decoder_run_deinit(krs_decoder_run *run)
{
    for (size_t i = 0; i < KRS_DECODER_MAX_STEPS; i++) {
        krs_buf_deinit(&run->links[i].held);
        krs_buf_deinit(&run->links[i].work);
    }
}

void krs_decoder_run_reset(krs_decoder_run *run)
{
    for (size_t i = 0; i < KRS_DECODER_MAX_STEPS; i++) {
        krs_decoder_link *link = &run->links[i];
        krs_buf_reset(&link->held);
        krs_buf_reset(&link->work);
        link->n_left = i < run->decoder->n_steps ? run->decoder->steps[i].n_start : 0;
        link->has_started = false;
    }
}

krs_status krs_decoder_feed(krs_decoder_run *run, size_t i, krs_str text, krs_buf *out)
{
    text.ptr = text.ptr ? text.ptr : ""; /* links move along it, if only by nothing */
    return i < run->decoder->n_steps ? krs_decoder_link_push(run, i, text, out)
                                     : krs_buf_append_str(out, text);
}

krs_status krs_decoder_run_push(krs_decoder_run *run, krs_str token, krs_buf *out)
{
    return krs_decoder_feed(run, 0, token, out);
}

krs_status krs_decoder_run_finish(krs_decoder_run *run, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < run->decoder->n_steps; i++) {
        status = krs_decoder_link_finish(run, i, out);
    }
    return status;
}
