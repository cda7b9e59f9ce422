/* model/source.h - where a model lies: a folder as the hub publishes it, or a GGUF file.
 *
 * Every part of a model is asked for by the path of the whole. A folder has a file for each part; a GGUF
 * file has them inside, and format/gguf_folder.h gives them back as the documents they were. So
 * nobody above this line asks which of the two it is, but to say so.
 *
 *   path          config    tensors     tokenizer               template
 *   folder        read from its files
 *   *.gguf        read from its settings; tensors by the hub's names, views of the file
 *
 * Thread: any.  Memory: as the objects returned say. */
#pragma once

#include "format/config.h"
#include "format/pooling.h"
#include "os/file.h"
#include "tensor/directory.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

typedef struct krs_model_source krs_model_source;

/* Is path a GGUF file, by its name? Anything else is taken for a folder. */
bool krs_model_source_is_gguf(const char *path);

/* What a model is called when nobody says: the last component of its real path, so that "." has a name
 * too; of a GGUF file without its ending, and without the "-00001-of-00003" of a first part. room: for the
 * path; *name points into it. Errors: KRS_ENOENT, KRS_EPERM, KRS_EIO. */
KRS_MUST_USE krs_status krs_model_source_name(const char *path, char room[KRS_OS_PATH_BYTES],
                                              const char **name, krs_error *err);

/* The settings; the source stays open for its tensors. On failure *out is NULL, and config as
 * krs_model_config_load leaves it. Errors: as krs_model_config_load, krs_gguf_open and krs_gguf_config. */
KRS_MUST_USE krs_status krs_model_source_open(const char *path, krs_os_map_mode mode,
                                              const krs_alloc *alloc, krs_model_config *config,
                                              krs_model_source **out, krs_error *err);
/* Find the tensors; once, after _open. Errors: as krs_safetensors_open and krs_gguf_weights_new. */
KRS_MUST_USE krs_status krs_model_source_open_tensors(krs_model_source *source, krs_error *err);
/* Valid until _close; after _open_tensors. */
const krs_tensor_dir *krs_model_source_tensors(const krs_model_source *source);
void krs_model_source_close(krs_model_source *source);

/* The tokenizer. path: also a tokenizer.json. Errors: as krs_tokenizer_load and krs_gguf_tokenizer. */
KRS_MUST_USE krs_status krs_model_source_tokenizer(const char *path, const krs_alloc *alloc,
                                                   krs_tokenizer **out, krs_error *err);
/* The chat template. Errors: as krs_chat_template_load (KRS_ENOENT: the model has none). */
KRS_MUST_USE krs_status krs_model_source_chat_template(const char *path, const krs_alloc *alloc,
                                                       krs_chat_template **out, krs_error *err);
/* How its authors make one vector of a text. Errors: as krs_pooling_load. */
KRS_MUST_USE krs_status krs_model_source_pooling(const char *path, krs_pooling_files *out,
                                                 krs_error *err);
/* How its authors sample from it. A GGUF file does not say, which is KRS_OK with nothing set.
 * Errors: as krs_generation_config_load. */
KRS_MUST_USE krs_status krs_model_source_generation(const char *path, krs_generation_config *out,
                                                    krs_error *err);
