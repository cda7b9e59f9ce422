/* format/gguf_folder.h - a GGUF file as the model folder it was made from.
 *
 * Converters make a GGUF file from a folder of the hub by renaming: settings of config.json become keys,
 * module names become "blk.3.attn_q", tokenizer.json becomes lists. Here the renaming is undone, as
 * data (gguf_arch.c): the file gives the documents and the tensor names that the folder had, and
 * everything above reads both kinds of model with the same code. What a converter changes beyond names
 * is said in krs_weight_changes, because only the arithmetic can undo it.
 *
 *   krs_gguf_config      config.json            krs_gguf_tokenizer         tokenizer.json
 *   krs_gguf_weights     tensors by hub names   krs_gguf_tokenizer_config  tokenizer_config.json
 *
 * Thread: any; pure.  Memory: documents are jansson trees of the caller's; weights borrow the file.
 * Source: llama.cpp at b6000 .. b6900, gguf-py/gguf/{constants,tensor_mapping}.py and
 * convert_hf_to_gguf.py, for what is renamed to what. */
#pragma once

#include "format/config.h"
#include "format/gguf.h"
#include "wire/json.h"

/* The document config.json, and what the converter changed beyond names. *out: a new reference.
 * Errors: KRS_EUNSUPPORTED (an architecture or a setting that is not known, by name), KRS_EFORMAT (a
 * setting of the wrong type), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_gguf_config(const krs_gguf *gguf, json_t **out,
                                        krs_weight_changes *changes, krs_error *err);

/* How a text becomes one vector, as numbered in files: 0 unset, 1 mean, 2 CLS, 3 last, 4 rank. */
KRS_MUST_USE krs_status krs_gguf_pooling(const krs_gguf *gguf, int64_t *out, krs_error *err);

/* The document tokenizer.json. A vocabulary of scores without merges has "scores" in its model, which
 * the hub's format has not (text/bpe_scores.h). Errors: as above; KRS_ENOENT: the file has no tokenizer. */
KRS_MUST_USE krs_status krs_gguf_tokenizer(const krs_gguf *gguf, json_t **out, krs_error *err);

/* The document tokenizer_config.json: chat_template, bos_token, eos_token, where the file has them. */
KRS_MUST_USE krs_status krs_gguf_tokenizer_config(const krs_gguf *gguf, json_t **out,
                                                  krs_error *err);

typedef struct krs_gguf_weights krs_gguf_weights;

/* The tensors by the names the hub gives them. A stack of experts becomes one tensor per expert; a tensor
 * that no rule renames keeps its name. gguf: borrowed, outlives the weights.
 * Errors: KRS_EUNSUPPORTED (architecture), KRS_EFORMAT (two tensors of one name), KRS_ETOOLARGE,
 * KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_gguf_weights_new(const krs_gguf *gguf, const krs_alloc *alloc,
                                             krs_gguf_weights **out, krs_error *err);
void krs_gguf_weights_free(krs_gguf_weights *weights);
/* Valid until _free. */
const krs_tensor_dir *krs_gguf_weights_dir(const krs_gguf_weights *weights);
