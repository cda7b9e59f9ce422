/* text/decode.h - token texts back to running text, a token at a time.
 *
 * The decoder of a file is a chain; each link takes tokens and hands tokens on. After Fuse or ByteLevel
 * everything is one token, which flows on in fragments of whole characters. Each link holds back only
 * what later input can still change: an unfinished character, a run of byte tokens (all of it becomes
 * U+FFFD, one per byte, if the run is not UTF-8 in the end), a possible match of a replacement, a
 * trailing character to strip, a BPEDecoder's last token. Decoding a list of ids and decoding a stream are thus the same code.
 *
 *   tokens -> Replace -> ByteFallback -> Fuse -> Strip -> text
 *
 * Combinations whose stream would need the whole text (a regex after Fuse), or that make no sense there
 * (WordPiece after Fuse), are refused by name.
 *
 * Thread: the chain is immutable after the last add; a run has one owner.
 * Memory: a run's buffers grow to the longest token or held text and stay.
 * Source: huggingface/tokenizers decoders/. */
#pragma once

#include "text/pattern.h"

#define KRS_DECODER_MAX_STEPS      16         /* real files need up to 4 */
#define KRS_DECODER_MAX_HELD_BYTES (1u << 20) /* a run of byte tokens or a token under work */
#define KRS_DECODER_RAW_BYTES                                                                      \
    64u /* unfinished characters: three bytes and a token of the usual length */

typedef enum krs_decoder_kind {
    KRS_DECODER_BYTELEVEL,
    KRS_DECODER_REPLACE,
    KRS_DECODER_BYTE_FALLBACK,
    KRS_DECODER_FUSE,
    KRS_DECODER_STRIP,
    KRS_DECODER_METASPACE,
    KRS_DECODER_WORDPIECE, /* a space before each token but the first and those that go on */
    KRS_DECODER_BPE,  /* the suffix of a word's last symbol is a space, at the very end nothing */
    KRS_DECODER_CTC,  /* repetitions and padding go */
    KRS_DECODER_JOIN, /* what happens without a decoder: a space between tokens */
} krs_decoder_kind;

typedef struct krs_decoder_step {
    krs_decoder_kind kind;
    krs_pattern *pattern; /* REPLACE, owned */
    char *
        needle; /* REPLACE: the pattern, when it is a literal; WORDPIECE: the prefix of tokens that go
                     on; BPE: the suffix; CTC: the padding; owned */
    size_t n_needle;
    char *content; /* REPLACE; CTC: what stands for a space; owned */
    size_t n_content;
    uint32_t character;   /* STRIP: what to strip; METASPACE: what stands for a space */
    uint32_t n_start;     /* STRIP: at most so many in front */
    uint32_t n_stop;      /* and so many behind */
    bool has_cleanup;     /* WORDPIECE, CTC: no space before punctuation and English endings */
    bool has_first_space; /* METASPACE: the first token keeps its spaces (scheme "never") */
    bool is_fused;        /* the input is one token in fragments; set by _add */
} krs_decoder_step;

typedef struct krs_decoder {
    const krs_alloc *alloc;
    krs_decoder_step steps[KRS_DECODER_MAX_STEPS];
    size_t n_steps;
    bool is_fused; /* what comes out so far */
} krs_decoder;

void krs_decoder_deinit(krs_decoder *decoder);
/* Append a step, owned from now on, also on failure.
 * Errors: KRS_EUNSUPPORTED (cannot stream after Fuse), KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_decoder_add(krs_decoder *decoder, const krs_decoder_step *step,
                                        krs_error *err);

/* Append the bytes that one token stands for inside running text. */
KRS_MUST_USE krs_status krs_decoder_token_bytes(const krs_decoder *decoder, krs_pattern_room *room,
                                                krs_str token, krs_buf *out);

typedef struct krs_decoder_link {
    krs_buf held;
    krs_buf work;
    uint32_t n_left;  /* STRIP of a fused token: how many may still go */
    bool has_started; /* a token has passed */
} krs_decoder_link;

typedef struct krs_decoder_run {
    const krs_decoder *decoder;
    krs_pattern_room *room;
    krs_decoder_link links[KRS_DECODER_MAX_STEPS];
} krs_decoder_run;

/* room: borrowed. alloc: for the run's buffers. */
void krs_decoder_run_init(krs_decoder_run *run, const krs_decoder *decoder, krs_pattern_room *room,
                          const krs_alloc *alloc);
void krs_decoder_run_deinit(krs_decoder_run *run);
void krs_decoder_run_reset(krs_decoder_run *run);

/* Is the chain ByteLevel alone? Then a token may be pushed as the bytes of krs_decoder_token_bytes. */
static inline bool krs_decoder_is_raw(const krs_decoder *decoder)
{
    return decoder->n_steps == 1 && decoder->steps[0].kind == KRS_DECODER_BYTELEVEL;
}

/* As krs_decoder_run_push, for such a chain. */
KRS_MUST_USE krs_status krs_decoder_run_push_raw(krs_decoder_run *run, krs_str bytes, krs_buf *out);

/* Append to out what this token makes certain. Errors: KRS_ETOOLARGE, KRS_ENOMEM, KRS_EINVAL (match
 * limit). */
KRS_MUST_USE krs_status krs_decoder_run_push(krs_decoder_run *run, krs_str token, krs_buf *out);
/* Append what was held back. */
KRS_MUST_USE krs_status krs_decoder_run_finish(krs_decoder_run *run, krs_buf *out);
