/* text/tokenizer.h - text to token ids and back, exactly as tokenizer.json says.
 *
 * The file names a pipeline (added tokens, normaliser, pre-tokeniser, model, post-processor, decoder).
 * A component we do not know is refused by name: skipping one would give plausible, wrong ids. What we
 * know is the tables of tokenizer_read_*.c.
 *
 * "truncation" and "padding" are not applied, on purpose: they are settings of somebody's training or
 * export that stayed in the file. Truncation would shorten a user's prompt in silence, where a server
 * must refuse what does not fit its context and say so; padding fills a rectangle of rows, which
 * nothing here computes.
 *
 * Thread: immutable after load; encode and decode may run on any thread at once, each with its own
 * krs_encoder (scratch memory and caches).  Memory: owned by the object, from alloc.
 * Source: huggingface/tokenizers file format, 0.15 - 0.23. */
#pragma once

#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"
#include "wire/json.h"

#define KRS_TOKENIZER_MAX_FILE_BYTES (256u << 20) /* the largest public tokenizer.json is 33 MB */
#define KRS_TOKENIZER_MAX_TEXT_BYTES (64u << 20)  /* one text to encode; far above any context */

typedef struct krs_tokenizer krs_tokenizer;
typedef struct krs_encoder krs_encoder;

/* path: a model folder (tokenizer.json inside) or a tokenizer.json file.
 * Errors: KRS_ENOENT, KRS_EFORMAT (what is wrong, where), KRS_EUNSUPPORTED (the component's name),
 * KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_tokenizer_load(const char *path, const krs_alloc *alloc,
                                           krs_tokenizer **out, krs_error *err);
/* The same from the file's bytes (borrowed for the call). */
KRS_MUST_USE krs_status krs_tokenizer_parse(krs_str json, const krs_alloc *alloc,
                                            krs_tokenizer **out, krs_error *err);
/* The same from parsed JSON (borrowed for the call). */
KRS_MUST_USE krs_status krs_tokenizer_read(const json_t *root, const krs_alloc *alloc,
                                           krs_tokenizer **out, krs_error *err);
void krs_tokenizer_free(krs_tokenizer *tokenizer);

/* Scratch for one thread. tokenizer: borrowed, outlives the encoder. */
KRS_MUST_USE krs_status krs_encoder_new(const krs_tokenizer *tokenizer, krs_encoder **out,
                                        krs_error *err);
void krs_encoder_free(krs_encoder *encoder);

typedef struct krs_ids {
    const uint32_t *ids; /* [n], borrowed from the encoder until its next call */
    size_t n;
} krs_ids;

/* Encode UTF-8 text (invalid bytes count as U+FFFD, as the Rust library's callers do). with_special
 * adds what the post-processor adds (BOS ...). Special tokens written in the text are recognised.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM, KRS_EINVAL (a piece the vocabulary cannot say and no unk). */
KRS_MUST_USE krs_status krs_encode(krs_encoder *encoder, krs_str text, bool with_special,
                                   krs_ids *out, krs_error *err);

/* Two texts as one input (a question and a passage, say), as the post-processor's template of pairs
 * joins them; each is encoded as if alone. Errors: as krs_encode; KRS_EUNSUPPORTED (with_special, and the
 * template is not $A and then $B). */
KRS_MUST_USE krs_status krs_encode_pair(krs_encoder *encoder, krs_str first, krs_str second,
                                        bool with_special, krs_ids *out, krs_error *err);

/* Append the text of ids, as `tokenizers` decodes it. skip_special drops special added tokens.
 * Errors: KRS_EINVAL (id out of range), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_decode(const krs_tokenizer *tokenizer, const uint32_t *ids, size_t n,
                                   bool skip_special, krs_buf *out, krs_error *err);

/* One past the largest id. */
uint32_t krs_tokenizer_vocab_size(const krs_tokenizer *tokenizer);
/* The id of a token by its text (added tokens first, then the model's), or -1. */
int64_t krs_tokenizer_id_of(const krs_tokenizer *tokenizer, krs_str token);
/* Is it a special added token (never shown to users)? */
bool krs_tokenizer_is_special(const krs_tokenizer *tokenizer, uint32_t id);
/* The raw bytes the token stands for in running text (byte-level and byte-fallback undone), for
 * logprobs and constrained decoding. Borrowed; empty for an unknown id. */
krs_str krs_tokenizer_token_bytes(const krs_tokenizer *tokenizer, uint32_t id);
