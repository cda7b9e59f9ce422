/* text/tokenizer_priv.h - the tokenizer's parts, and who reads which from the file. */
#pragma once

#include "text/added.h"
#include "text/decode.h"
#include "text/idlist.h"
#include "text/model.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/tokenizer_lists.h"
#include "text/vocab.h"

#include "wire/json.h"

struct krs_tokenizer {
    const krs_alloc *alloc;
    krs_vocab vocab;       /* of the model */
    krs_vocab added_vocab; /* of the added tokens */
    krs_added added;
    krs_normalizer normalizer;
    krs_pretokenizer pretokenizer;
    krs_text_model model;
    krs_idlist prefix; /* what the post-processor puts before and after */
    krs_idlist suffix;
    krs_idlist pair[3]; /* the same for two texts: before, between and after them */
    bool is_pair_known; /* false: the template of pairs is one we cannot follow */
    krs_decoder decoder;
    uint32_t n_ids;
    bool *is_special;    /* [n_ids] */
    uint32_t *byte_ends; /* [n_ids] where each token's bytes end in bytes */
    krs_buf bytes;
    const krs_tokenizer_lists *lists; /* while reading a file whose lists were cut out, else NULL */
};

#define KRS_TOKENIZER_MAX_IDS_OUT KRS_TOKENIZER_MAX_TEXT_BYTES /* a byte can cost a token each */
#define KRS_TOKENIZER_MAX_REWRITTEN                                                                \
    (4u * KRS_TOKENIZER_MAX_TEXT_BYTES) /* by normal forms and such */
#define KRS_TOKENIZER_MAX_AFFIX 64      /* ids a post-processor adds on one side */

/* The text of an id: of the added token, else of the model's; ptr NULL when there is none. */
krs_str krs_tokenizer_text_of(const krs_tokenizer *t, uint32_t id);

/* Readers of the file's parts into t; spec may be NULL or null where the file may leave it out.
 * Errors: KRS_EFORMAT or KRS_EINVAL (what is wrong), KRS_EUNSUPPORTED, KRS_ETOOLARGE, KRS_ENOMEM. */
typedef krs_status (*krs_component_read)(krs_tokenizer *t, const json_t *spec, krs_error *err);

typedef struct krs_component {
    const char *name;
    krs_component_read read;
} krs_component;

/* Read spec by the entry of table (ended by a NULL name) that has its "type". role: for messages. */
KRS_MUST_USE krs_status krs_component_dispatch(krs_tokenizer *t, const char *role,
                                               const krs_component *table, const json_t *spec,
                                               krs_error *err);
/* The same for each item of the array spec[field]: what every "Sequence" is. */
KRS_MUST_USE krs_status krs_component_sequence(krs_tokenizer *t, const char *role,
                                               const char *field, const krs_component *table,
                                               const json_t *spec, krs_error *err);

/* Required fields of a component. */
KRS_MUST_USE krs_status krs_component_text(const json_t *spec, const char *field, krs_str *out,
                                           krs_error *err);
KRS_MUST_USE krs_status krs_component_char(const json_t *spec, const char *field, uint32_t *out,
                                           krs_error *err);
/* "pattern": {"String": ..} or {"Regex": ..}. literal: the string (borrowed), len 0 for a regex. */
KRS_MUST_USE krs_status krs_component_pattern(const krs_tokenizer *t, const json_t *spec,
                                              krs_pattern **out, krs_str *literal, krs_error *err);
/* Metaspace's replacement and scheme. */
KRS_MUST_USE krs_status krs_component_metaspace(const json_t *spec, uint32_t *replacement,
                                                krs_metaspace_scheme *scheme, krs_error *err);

/* The model's vocabulary by its kind, and what the kinds call for it. */
KRS_MUST_USE krs_status krs_read_vocab(krs_tokenizer *t, const json_t *model, krs_error *err);
KRS_MUST_USE krs_status krs_read_vocab_object(krs_tokenizer *t, const json_t *model,
                                              krs_error *err);
KRS_MUST_USE krs_status krs_read_vocab_list(krs_tokenizer *t, const json_t *model, krs_error *err);
/* The model itself; a BPE one. */
KRS_MUST_USE krs_status krs_read_model(krs_tokenizer *t, const json_t *model, krs_error *err);
KRS_MUST_USE krs_status krs_read_bpe(krs_tokenizer *t, const json_t *model, krs_error *err);
KRS_MUST_USE krs_status krs_read_added(krs_tokenizer *t, const json_t *list, krs_error *err);
KRS_MUST_USE krs_status krs_read_normalizer(krs_tokenizer *t, const json_t *spec, krs_error *err);
KRS_MUST_USE krs_status krs_read_pretokenizer(krs_tokenizer *t, const json_t *spec, krs_error *err);
KRS_MUST_USE krs_status krs_read_postprocessor(krs_tokenizer *t, const json_t *spec,
                                               krs_error *err);
KRS_MUST_USE krs_status krs_read_decoder(krs_tokenizer *t, const json_t *spec, krs_error *err);
