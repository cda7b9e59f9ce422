/* format/pooling.h - how the model's authors make one vector of a text's hidden states.
 *
 * Folders in the layout of sentence-transformers say it in two places: modules.json lists what a text goes
 * through (the network, pooling, and often a normalisation), and the pooling's folder has a config.json of
 * switches, of which one should be on. Folders without the files say nothing. What they say and we do not
 * compute is named, not skipped: a vector made another way looks like any other.
 *
 *   modules.json              [{"idx": 1, "path": "1_Pooling", "type": "...models.Pooling"}, ...]
 *   1_Pooling/config.json     {"pooling_mode_mean_tokens": true, ...} or {"pooling_mode": "mean", ...}
 *
 * Thread: any; pure but for reading the files.  Memory: none is kept.
 * Source: sentence-transformers 2.2 - 5.1, models/Pooling, SentenceTransformer._load_sbert_model. */
#pragma once

#include "base/status.h"
#include "wire/json.h"

typedef enum krs_pooling_mode {
    KRS_POOLING_MODE_UNSET, /* no file */
    KRS_POOLING_MODE_LAST,  /* of the last token */
    KRS_POOLING_MODE_MEAN,  /* over all tokens */
    KRS_POOLING_MODE_CLS,   /* of the first token */
    KRS_POOLING_MODE_OTHER, /* one we do not compute, or several at once */
} krs_pooling_mode;

#define KRS_POOLING_MODULE_BYTES 64 /* longest module type named, with its NUL; the rest is cut */

typedef struct krs_pooling_files {
    krs_pooling_mode mode;
    bool is_normalised; /* vectors have length 1; true when there is no modules.json */
    char other
        [KRS_POOLING_MODULE_BYTES]; /* first module that we do not compute ("Dense"); "": none */
} krs_pooling_files;

/* What the files of dir say. Errors: KRS_EFORMAT (not the JSON it should be, a switch that is no boolean, a
 * path that leaves the folder), KRS_EIO, KRS_ENOMEM. Missing files are no error. */
KRS_MUST_USE krs_status krs_pooling_load(const char *dir, krs_pooling_files *out, krs_error *err);

/* What the list of modules.json, parsed and borrowed, says of everything but the mode, which stays as it is. *folder:
 * the pooling's, one name, a view of the JSON; left alone when there is no pooling. Errors: KRS_EFORMAT,
 * KRS_EINVAL (a field); then *out and *folder may have changed. */
KRS_MUST_USE krs_status krs_pooling_modules_read(const json_t *modules, krs_pooling_files *out,
                                                 krs_str *folder, krs_error *err);

/* The mode from parsed JSON (borrowed), where a wrong field is KRS_EINVAL. */
KRS_MUST_USE krs_status krs_pooling_mode_read(const json_t *root, krs_pooling_mode *out,
                                              krs_error *err);
