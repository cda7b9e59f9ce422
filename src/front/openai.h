/* front/openai.h - what OpenAI's API has beside calls: the list of models.
 *
 * The calls themselves are kinds of front/call.h.
 *
 * Thread: any.  Memory: appends to the caller's buffer.  Source: OpenAI API reference, models. */
#pragma once

#include "api/runtime.h"
#include "base/buf.h"

/* The model list, and one model of it. Same errors as krs_buf. */
KRS_MUST_USE krs_status krs_openai_models_write(const krs_model_info *models, uint32_t n_models,
                                                krs_buf *out);
KRS_MUST_USE krs_status krs_openai_model_write(const krs_model_info *model, krs_buf *out);
