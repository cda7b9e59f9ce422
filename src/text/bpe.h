/* text/bpe.h - byte-pair encoding of one piece: merge the best pair until none is left.
 *
 * "Best" is the lowest rank, then the leftmost. A short word is scanned again after each merge, which
 * beats anything clever; a long one uses a heap of pairs, so that a megabyte of one letter costs
 * n log n. Pairs live in one open-addressing table, (left id, right id) to (rank, new id).
 *
 * Two ways of spelling input. With is_byte_level the piece is raw bytes and the vocabulary spells them
 * in the alphabet of text/bytelevel.h: the first symbols come from a table of 256. Otherwise symbols
 * start as characters, with byte fallback ("<0x0A>") and the unknown token behind them.
 *
 * A file may mark where a word goes on (continuing_prefix before all symbols but the first) or ends
 * (word_suffix, CLIP's "</w>"). Symbols are then looked up with their marks; merges join them with the
 * right side's prefix left out.
 *
 * SentencePiece-style files have no pre-tokeniser, so the whole text is one piece. When no merge can
 * make "x U+2581" out of anything, the text falls apart before every U+2581 without changing a result
 * (see bpe.c), and the word cache works again.
 *
 * Thread: immutable after krs_bpe_seal; scratch has one owner.
 * Source: Sennrich et al. 2016, arXiv:1508.07909; huggingface/tokenizers models/bpe, word.rs. */
#pragma once

#include "text/model.h"
#include "text/vocab.h"

#define KRS_BPE_MAX_WORD_BYTES                                                                     \
    (8u << 20) /* one unbroken word; its merge takes about 30 times this */

typedef struct krs_bpe krs_bpe;

typedef struct krs_bpe_options {
    size_t size;
    int64_t unk_id; /* -1: none */
    bool is_byte_level;
    bool has_byte_fallback;
    bool has_fused_unk;        /* a run of unknown characters is one unknown token */
    bool is_whole_word_ok;     /* ignore_merges: a piece that is a token needs no merging */
    krs_str continuing_prefix; /* borrowed for krs_bpe_new; empty with is_byte_level */
    krs_str word_suffix;
} krs_bpe_options;

#define KRS_BPE_OPTIONS_INIT                                                                       \
    {                                                                                              \
        .size = sizeof(krs_bpe_options), .unk_id = -1                                              \
    }

/* vocab: borrowed, complete, outlives the model. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_bpe_new(const krs_vocab *vocab, const krs_bpe_options *options,
                                    size_t n_merges, const krs_alloc *alloc, krs_bpe **out,
                                    krs_error *err);
void krs_bpe_free(krs_bpe *bpe);

/* The next merge in order of rank; at most n_merges of them. A pair given twice keeps the later rank.
 * Errors: KRS_EFORMAT (left, right or their sum is no token), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_bpe_add_merge(krs_bpe *bpe, krs_str left, krs_str right,
                                          krs_error *err);

/* The same with a rank of its own, below 2^32 - 1; merges of equal rank go leftmost first. */
KRS_MUST_USE krs_status krs_bpe_add_ranked(krs_bpe *bpe, krs_str left, krs_str right, uint32_t rank,
                                           krs_error *err);

/* The model interface over bpe, which it owns from now on. */
krs_text_model krs_bpe_seal(krs_bpe *bpe);
