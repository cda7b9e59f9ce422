/* format/gguf_tokenizer_priv.h - what the makers of tokenizer.json documents share.
 *
 * Thread: one owner.  Memory: jansson's heap; tokens are views of the file. */
#pragma once

#include "format/gguf_folder.h"

#define GGUF_TOKEN_BYTES        4096 /* longest token's text; real ones stay under 1 KiB */
#define GGUF_SPELL_BYTES        8    /* what spelling a token otherwise may add to it */
#define GGUF_MAX_TEMPLATE_BYTES (1u << 20)

/* As numbered in files. */
typedef enum gguf_token_type {
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNKNOWN = 2,
    GGUF_TOKEN_CONTROL = 3,
    GGUF_TOKEN_USER = 4,
    GGUF_TOKEN_UNUSED = 5,
    GGUF_TOKEN_BYTE = 6,
} gguf_token_type;

typedef struct gguf_tokenizer {
    const krs_gguf *gguf;
    const krs_gguf_value *tokens;
    const krs_gguf_value *types; /* NULL: all normal */
    krs_error *err;
} gguf_tokenizer;

/* Fill the parts of a document that belong to one kind of model; "model" is in it already. */
typedef krs_status krs_gguf_make(const gguf_tokenizer *t, json_t *doc, json_t *model);
krs_gguf_make krs_gguf_make_llama;
krs_gguf_make krs_gguf_make_bert;
krs_gguf_make krs_gguf_make_t5;

/* How a document writes a token; the result is in buffer, a view of text, or constant. */
typedef krs_str krs_gguf_spell(const gguf_tokenizer *t, uint64_t id, krs_str text,
                               char buffer[GGUF_TOKEN_BYTES]);

/* object[field] = value, which is taken over; value NULL: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_gguf_put(const gguf_tokenizer *t, json_t *object, const char *field,
                                     json_t *value);
/* The same of JSON text of ours. */
KRS_MUST_USE krs_status krs_gguf_put_text(const gguf_tokenizer *t, json_t *object,
                                          const char *field, const char *json);
/* model["vocab"]. Errors: KRS_ETOOLARGE (a token), KRS_EFORMAT (not UTF-8). */
KRS_MUST_USE krs_status krs_gguf_put_vocab(const gguf_tokenizer *t, json_t *model,
                                           krs_gguf_spell *spell);
/* The post-processor: bos and eos where the file, or else the caller, says; or given ids, -1: none. */
KRS_MUST_USE krs_status krs_gguf_put_ends(const gguf_tokenizer *t, json_t *doc, bool adds_bos,
                                          bool adds_eos);
KRS_MUST_USE krs_status krs_gguf_put_affixes(const gguf_tokenizer *t, json_t *doc, int64_t before,
                                             int64_t after);
/* A setting that is a token's id; -1 when absent. */
KRS_MUST_USE krs_status krs_gguf_token_id(const gguf_tokenizer *t, const char *key, int64_t *out);
int64_t krs_gguf_token_type(const gguf_tokenizer *t, uint64_t id);
