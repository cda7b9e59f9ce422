/* format/pooling.h - 1_Pooling/config.json: how the model's authors make one vector of many.
 *
 * Folders in the layout of sentence-transformers say how the last hidden states of a text become its
 * embedding: a set of switches, of which one should be on. Folders without the file say nothing.
 *
 * Thread: any; pure but for reading the file.  Memory: none is kept.
 * Source: sentence-transformers 2.2 - 5.1, models/Pooling. */
#pragma once

#include "base/status.h"
#include "wire/json.h"

typedef enum krs_pooling_mode {
    KRS_POOLING_MODE_UNSET, /* no file */
    KRS_POOLING_MODE_LAST,  /* of the last token */
    KRS_POOLING_MODE_MEAN,  /* over all tokens */
    KRS_POOLING_MODE_OTHER, /* one we do not compute, or several at once */
} krs_pooling_mode;

/* What dir/1_Pooling/config.json says. Errors: KRS_EFORMAT (no JSON object, a switch that is no
 * boolean), KRS_EIO, KRS_ENOMEM. A missing file is KRS_POOLING_MODE_UNSET. */
KRS_MUST_USE krs_status krs_pooling_mode_load(const char *dir, krs_pooling_mode *out,
                                              krs_error *err);
/* The same from parsed JSON (borrowed), where a wrong switch is KRS_EINVAL. */
KRS_MUST_USE krs_status krs_pooling_mode_read(const json_t *root, krs_pooling_mode *out,
                                              krs_error *err);
