/* text/pretokenize.h - cutting text into the pieces that the model sees one by one.
 *
 * The components of a file come down to four kinds of step, kept as a flat list:
 *
 *   ByteLevel    PREFIX (a space before each piece), SPLIT (its own expression), BYTES
 *   Metaspace    METASPACE (U+2581 for space, one in front), SPLIT at U+2581
 *   Split, Punctuation, Digits, Whitespace, WhitespaceSplit: one SPLIT
 *
 * BYTES spells the text in the byte-level alphabet. When it comes last, as it nearly always does, it is
 * left out and the model reads raw bytes instead (krs_bpe_options.is_byte_level).
 *
 * Pieces are spans of one text; a step that rewrites text writes the other of two.
 *
 * Thread: the list is immutable after the last add; pieces have one owner.
 * Source: huggingface/tokenizers pre_tokenizers/, tokenizer/normalizer.rs (split). */
#pragma once

#include "text/pattern.h"

#define KRS_PRETOKENIZER_MAX_STEPS 32 /* real files need up to 6 */

typedef enum krs_split_behavior {
    KRS_SPLIT_REMOVED,
    KRS_SPLIT_ISOLATED,
    KRS_SPLIT_MERGED_WITH_PREVIOUS,
    KRS_SPLIT_MERGED_WITH_NEXT,
    KRS_SPLIT_CONTIGUOUS,
} krs_split_behavior;

typedef enum krs_pretokenizer_kind {
    KRS_PRETOKENIZER_SPLIT,
    KRS_PRETOKENIZER_PREFIX,
    KRS_PRETOKENIZER_METASPACE,
    KRS_PRETOKENIZER_BYTES,
} krs_pretokenizer_kind;

typedef enum krs_metaspace_scheme {
    KRS_METASPACE_ALWAYS,
    KRS_METASPACE_FIRST, /* only where the original text begins */
    KRS_METASPACE_NEVER,
} krs_metaspace_scheme;

typedef struct krs_pretokenizer_step {
    krs_pretokenizer_kind kind;
    krs_pattern *pattern;       /* SPLIT, owned; or */
    bool (*is_match)(uint32_t); /* SPLIT: every such character is a match */
    krs_split_behavior behavior;
    bool is_inverted;            /* SPLIT: what is between the matches counts as the matches */
    krs_metaspace_scheme scheme; /* METASPACE */
    uint32_t replacement;        /* METASPACE: the character for a space */
} krs_pretokenizer_step;

typedef struct krs_pretokenizer {
    krs_pretokenizer_step steps[KRS_PRETOKENIZER_MAX_STEPS];
    size_t n_steps;
} krs_pretokenizer;

void krs_pretokenizer_deinit(krs_pretokenizer *pretokenizer);
/* Append a step; its pattern is owned from now on, also on failure. Errors: KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_pretokenizer_add(krs_pretokenizer *pretokenizer,
                                             const krs_pretokenizer_step *step);

typedef struct krs_spans {
    krs_span *items; /* [cap] into the text of the pieces */
    size_t n;
    size_t cap;
} krs_spans;

/* The pieces of one stretch of text, and the memory to compute them. */
typedef struct krs_pieces {
    const krs_alloc *alloc;
    krs_str text;    /* borrowed: from the caller or from buffers */
    krs_spans spans; /* in order, none empty */
    krs_spans other_spans;
    krs_buf buffers[2];
    int buffer;       /* the one to write next */
    bool is_at_start; /* the first piece begins where the original text does */
} krs_pieces;

/* max_bytes: ceiling of a rewritten text. */
void krs_pieces_init(krs_pieces *pieces, const krs_alloc *alloc, size_t max_bytes);
void krs_pieces_deinit(krs_pieces *pieces);

/* Cut text (well-formed, borrowed until the next call, at most 2 GiB) into pieces. is_at_start: text
 * begins where the original does. Errors: KRS_EINVAL (match limit), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_pretokenizer_apply(const krs_pretokenizer *pretokenizer,
                                               krs_pattern_room *room, krs_str text,
                                               bool is_at_start, krs_pieces *pieces);
