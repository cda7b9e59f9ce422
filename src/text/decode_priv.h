/* text/decode_priv.h - the links of the chain, between decode.c and decode_links.c. */
#pragma once

#include "text/decode.h"

/* Hand text to link i (or to out, past the last one). */
KRS_MUST_USE krs_status krs_decoder_feed(krs_decoder_run *run, size_t i, krs_str text,
                                         krs_buf *out);

/* Link i takes a token or fragment. */
KRS_MUST_USE krs_status krs_decoder_link_push(krs_decoder_run *run, size_t i, krs_str text,
                                              krs_buf *out);
/* Link i hands on what it holds. */
KRS_MUST_USE krs_status krs_decoder_link_finish(krs_decoder_run *run, size_t i, krs_buf *out);

/* Append the bytes behind a byte-level token; a token with a character outside the alphabet stands
 * for itself. */
KRS_MUST_USE krs_status krs_decoder_unspell(krs_str token, krs_buf *out);

/* The byte of "<0x0A>", or -1. */
int krs_decoder_byte_of(krs_str token);

/* Append text with each `from` written as a space, or left out. */
KRS_MUST_USE krs_status krs_decoder_despace(krs_str text, uint32_t from, bool is_dropped,
                                            krs_buf *out);

/* Where among the others a token stands. */
typedef enum krs_decoder_place {
    KRS_DECODER_FIRST,
    KRS_DECODER_INSIDE,
    KRS_DECODER_LAST,
} krs_decoder_place;

/* Write what a token becomes under a WORDPIECE, BPE or CTC step (decode_words.c) into out, which is empty.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_decoder_write_word(const krs_decoder_step *step, krs_str token,
                                               krs_decoder_place place, krs_buf *out);

/* The same steps as links of a run. */
KRS_MUST_USE krs_status krs_decoder_push_word(krs_decoder_run *run, size_t i, krs_str token,
                                              krs_buf *out);
KRS_MUST_USE krs_status krs_decoder_finish_word(krs_decoder_run *run, size_t i, krs_buf *out);
