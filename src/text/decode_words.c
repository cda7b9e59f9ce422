/* text/decode_words.c - decoders that work on whole tokens: WordPiece, BPEDecoder and CTC.
 *
 * WordPiece needs to know which token is the first, BPEDecoder which is the last (so it holds one back),
 * CTC which came before. Cleaning up, which undoes the spaces that English tokenizers put before
 * punctuation, looks at one token at a time in the original, and so it does here.
 *
 * Source: huggingface/tokenizers decoders/wordpiece.rs, bpe.rs, ctc.rs. */
#include "text/decode_priv.h"

/* Replace each `from` by `to`, which is no longer, in place. */
static void replace_in_place(krs_buf *text, krs_str from, krs_str to)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len;) {
        const krs_str rest = {text->data + i, text->len - i};
        if (krs_str_starts_with(rest, from)) {
            memcpy(text->data + n, to.ptr, to.len);
            n += to.len;
            i += from.len;
        } else {
            text->data[n++] = text->data[i++];
        }
    }
    if (text->data) {
        text->len = n;
        text->data[n] = '\0';
    }
}

static void clean_up(krs_buf *text)
{
    static const struct {
        krs_str from;
        krs_str to;
    } rules[] = {
        /* In this order: a later one sees what an earlier one made. */
        {{" .", 2}, {".", 1}},     {{" ?", 2}, {"?", 1}},           {{" !", 2}, {"!", 1}},
        {{" ,", 2}, {",", 1}},     {{" ' ", 3}, {"'", 1}},          {{" n't", 4}, {"n't", 3}},
        {{" 'm", 3}, {"'m", 2}},   {{" do not", 7}, {" don't", 6}}, {{" 's", 3}, {"'s", 2}},
        {{" 've", 4}, {"'ve", 3}}, {{" 're", 4}, {"'re", 3}},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        replace_in_place(text, rules[i].from, rules[i].to);
    }
}

/* Append token with each needle (which may be empty: none) as content. */
static krs_status write_replaced(krs_str token, krs_str needle, krs_str content, krs_buf *out)
{
    krs_status status = KRS_OK;
    size_t done = 0;
    while (status == KRS_OK && needle.len > 0) {
        const size_t at = krs_str_find(token, needle, done);
        if (at == SIZE_MAX) {
            break;
        }
        status = krs_buf_append(out, token.ptr + done, at - done);
        if (status == KRS_OK) {
            status = krs_buf_append_str(out, content);
        }
        done = at + needle.len;
    }
    return status == KRS_OK ? krs_buf_append(out, token.ptr + done, token.len - done) : status;
}

static krs_status write_wordpiece(const krs_decoder_step *step, krs_str token,
                                  krs_decoder_place place, krs_buf *out)
{
    const krs_str prefix = {step->needle, step->n_needle};
    krs_status status = KRS_OK;
    if (place != KRS_DECODER_FIRST && krs_str_starts_with(token, prefix)) {
        token = (krs_str){token.ptr + prefix.len, token.len - prefix.len};
    } else if (place != KRS_DECODER_FIRST) {
        status = krs_buf_append_char(out, ' ');
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, token);
    }
    if (status == KRS_OK && step->has_cleanup) {
        clean_up(out);
    }
    return status;
}

/* The delimiter is a space only where the token is cleaned up, as in the original. */
static krs_status write_ctc(const krs_decoder_step *step, krs_str token, krs_buf *out)
{
    const krs_str pad = {step->needle, step->n_needle};
    const krs_str delimiter = {step->content, step->n_content};
    const krs_status status = write_replaced(token, pad, KRS_STR(""), out);
    if (status == KRS_OK && step->has_cleanup) {
        clean_up(out);
        replace_in_place(out, delimiter, KRS_STR(" "));
    }
    return status;
}

krs_status krs_decoder_write_word(const krs_decoder_step *step, krs_str token,
                                  krs_decoder_place place, krs_buf *out)
{
    switch (step->kind) {
    case KRS_DECODER_WORDPIECE:
        return write_wordpiece(step, token, place, out);
    case KRS_DECODER_BPE:
        return write_replaced(token, (krs_str){step->needle, step->n_needle},
                              place == KRS_DECODER_LAST ? KRS_STR("") : KRS_STR(" "), out);
    default: /* KRS_DECODER_CTC */
        return write_ctc(step, token, out);
    }
}

/* Hand on what token becomes. */
static krs_status pass(krs_decoder_run *run, size_t i, krs_str token, krs_decoder_place place,
                       krs_buf *out)
{
    krs_buf *work = &run->links[i].work;
    krs_buf_reset(work);
    const krs_status status = krs_decoder_write_word(&run->decoder->steps[i], token, place, work);
    return status == KRS_OK ? krs_decoder_feed(run, i + 1, krs_buf_view(work), out) : status;
}

static krs_status hold(krs_decoder_link *link, krs_str token)
{
    krs_buf_reset(&link->held);
    return krs_buf_append_str(&link->held, token);
}

/* The last token's suffix is no space, so each waits for the next one. */
static krs_status push_bpe(krs_decoder_run *run, size_t i, krs_str token, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    const krs_status status = link->has_started
                                  ? pass(run, i, krs_buf_view(&link->held), KRS_DECODER_INSIDE, out)
                                  : KRS_OK;
    link->has_started = true;
    return status == KRS_OK ? hold(link, token) : status;
}

/* A repetition is nothing, and so is a token of which nothing is left. */
static krs_status push_ctc(krs_decoder_run *run, size_t i, krs_str token, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    if (link->has_started && krs_str_equal(krs_buf_view(&link->held), token)) {
        return KRS_OK;
    }
    link->has_started = true;
    krs_status status = hold(link, token);
    if (status == KRS_OK) {
        status =
            krs_decoder_write_word(&run->decoder->steps[i], token, KRS_DECODER_INSIDE, &link->work);
    }
    return status == KRS_OK && link->work.len > 0
               ? krs_decoder_feed(run, i + 1, krs_buf_view(&link->work), out)
               : status;
}

krs_status krs_decoder_push_word(krs_decoder_run *run, size_t i, krs_str token, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    switch (run->decoder->steps[i].kind) {
    case KRS_DECODER_BPE:
        return push_bpe(run, i, token, out);
    case KRS_DECODER_CTC:
        return push_ctc(run, i, token, out);
    default: { /* KRS_DECODER_WORDPIECE */
        const krs_decoder_place place = link->has_started ? KRS_DECODER_INSIDE : KRS_DECODER_FIRST;
        link->has_started = true;
        return pass(run, i, token, place, out);
    }
    }
}

krs_status krs_decoder_finish_word(krs_decoder_run *run, size_t i, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    krs_status status = KRS_OK;
    if (link->has_started) {
        status = pass(run, i, krs_buf_view(&link->held), KRS_DECODER_LAST, out);
    }
    link->has_started = false;
    krs_buf_reset(&link->held);
    return status;
}
