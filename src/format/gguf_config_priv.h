/* format/gguf_config_priv.h - what the makers of a config.json document share.
 *
 * Thread: one owner.  Memory: jansson's heap. */
#pragma once

#include "format/gguf_arch.h"

typedef struct gguf_maker {
    const krs_gguf *gguf;
    const gguf_arch *arch;
    json_t *doc;
    krs_error *err;
} gguf_maker;

/* object[field] = value, which is taken over; value NULL: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_gguf_maker_put(const gguf_maker *m, json_t *object, const char *field,
                                           json_t *value);
/* The architecture's setting of this name, whose full key is left in full; NULL when absent. */
const krs_gguf_value *krs_gguf_maker_find(const gguf_maker *m, const char *key,
                                          char full[GGUF_KEY_BYTES]);
const krs_tensor *krs_gguf_maker_tensor(const gguf_maker *m, const char *name);
/* A whole number that is in the document already; 0 when it is not. */
json_int_t krs_gguf_maker_int(const gguf_maker *m, const char *field);

/* rope_parameters: base, stretch, divisors. */
KRS_MUST_USE krs_status krs_gguf_maker_rope(const gguf_maker *m);
