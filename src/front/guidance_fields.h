/* front/guidance_fields.h - the many names under which clients ask for a form, as one krs_guidance.
 *
 *   response_format, text.format   OpenAI: text, json_object, json_schema
 *   guided_json, guided_regex, guided_choice, guided_grammar, structured_outputs {..}   vLLM
 *   guidance                       JSON-RPC
 *
 * A body may use one of them. Schemas are written down again as text, in the order their members came.
 *
 * Thread: any.  Memory: the request's arena. */
#pragma once

#include "api/generate.h"

#define KRS_GUIDANCE_MAX_NAME_BYTES 64u /* of a schema, as OpenAI has it */

/* {"type": "text" | "json_object" | "json_schema", ..}, the object that `field` names. name: where a schema
 * stands: NULL: beside its type (text.format), else in a member of that name (response_format.json_schema).
 * format: NULL is no guidance. Errors: KRS_EINVAL naming the field, KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_guidance_read_format(const json_t *format, const char *field,
                                                 const char *member, krs_request *request,
                                                 krs_error *err);

/* guided_* and structured_outputs of a body. Errors: as above; also KRS_EINVAL when a form was asked for already. */
KRS_MUST_USE krs_status krs_guidance_read_extensions(const json_t *body, krs_request *request,
                                                     krs_error *err);

/* A schema: an object, a boolean, or its text. */
KRS_MUST_USE krs_status krs_guidance_set_schema(const json_t *schema, const char *field,
                                                krs_request *request, krs_error *err);
