/* text/normalize.h - the normaliser: a fixed list of rewrites of the whole text.
 *
 * Sequences in the file are flattened by the reader. Each step reads one buffer and writes another;
 * steps that change nothing on this text (NFC on ASCII) still cost a copy, which is far below what
 * follows.
 *
 * Thread: immutable after the last add; buffers belong to the caller. */
#pragma once

#include "text/charsmap.h"
#include "text/pattern.h"
#include "text/unicode.h"

#define KRS_NORMALIZER_MAX_STEPS 32 /* real files have up to 6 */

typedef enum krs_normalizer_kind {
    KRS_NORMALIZER_FORM,     /* form */
    KRS_NORMALIZER_PREPEND,  /* content, before a text that is not empty */
    KRS_NORMALIZER_REPLACE,  /* pattern by content */
    KRS_NORMALIZER_STRIP,    /* white space on the sides asked for */
    KRS_NORMALIZER_REWRITE,  /* rewrite: nothing to set */
    KRS_NORMALIZER_CHARSMAP, /* charsmap */
} krs_normalizer_kind;

/* Append text (well-formed), rewritten. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
typedef krs_status (*krs_normalizer_rewrite)(krs_str text, krs_buf *out);

typedef struct krs_normalizer_step {
    krs_normalizer_kind kind;
    krs_unicode_form form;
    krs_normalizer_rewrite rewrite;
    krs_charsmap *charsmap; /* owned */
    krs_pattern *pattern;   /* owned */
    char *content;          /* owned, from alloc */
    size_t n_content;
    bool has_left;
    bool has_right;
} krs_normalizer_step;

typedef struct krs_normalizer {
    const krs_alloc *alloc;
    krs_normalizer_step steps[KRS_NORMALIZER_MAX_STEPS];
    size_t n_steps;
} krs_normalizer;

void krs_normalizer_deinit(krs_normalizer *normalizer);

/* Append a step, which is owned from now on, also on failure. Errors: KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_normalizer_add(krs_normalizer *normalizer,
                                           const krs_normalizer_step *step);

/* *out: the normal form of text, borrowed from buffers (two, swapped) or text itself.
 * Errors: KRS_EINVAL (match limit), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_normalizer_apply(const krs_normalizer *normalizer,
                                             krs_pattern_room *room, krs_str text,
                                             krs_buf buffers[2], krs_str *out);

/* The rewrites besides krs_unicode_lowercase (normalize_chars.c). */
krs_status krs_rewrite_clean(krs_str text,
                             krs_buf *out); /* BERT: no controls, white space is ' ' */
krs_status krs_rewrite_chinese(krs_str text, krs_buf *out); /* BERT: spaces around CJK ideographs */
krs_status krs_rewrite_without_nonspacing(krs_str text, krs_buf *out); /* no Mn characters */
krs_status krs_rewrite_without_marks(krs_str text, krs_buf *out);      /* no M characters */
krs_status krs_rewrite_nmt(krs_str text,
                           krs_buf *out); /* SentencePiece's "nmt": odd spaces and controls */
krs_status krs_rewrite_bytelevel(krs_str text,
                                 krs_buf *out); /* every byte in text/bytelevel.h's alphabet */
