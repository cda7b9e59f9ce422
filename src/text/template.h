/* text/template.h - chat templates: the Jinja that models ship, interpreted.
 *
 * Own lexer, parser and evaluator. A template is code from a stranger: it runs under a step budget and
 * an output ceiling, can reach nothing but its inputs, and fails with a line number.
 * Set up as transformers does: trim_blocks, lstrip_blocks, loop controls, tojson without ASCII
 * escaping, raise_exception, strftime_now.
 *
 * Thread: immutable after parse; any thread may render at once.
 * Source: Jinja2 3.1 language reference; transformers chat_template_utils. */
#pragma once

#include "base/alloc.h"
#include "base/buf.h"
#include "wire/json.h"

#define KRS_TEMPLATE_MAX_BYTES  (1u << 20) /* source; the largest public template is about 60 KiB */
#define KRS_TEMPLATE_MAX_STEPS  (20u << 20) /* evaluated nodes of one rendering */
#define KRS_TEMPLATE_MAX_OUTPUT (64u << 20) /* bytes of one rendering */
#define KRS_TEMPLATE_MAX_DEPTH  200         /* nesting of expressions, blocks and macro calls */

typedef struct krs_template krs_template;

/* Errors: KRS_EFORMAT (line: what), KRS_EUNSUPPORTED (line: which construct), KRS_ETOOLARGE,
 * KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_template_parse(krs_str source, const krs_alloc *alloc,
                                           krs_template **out, krs_error *err);
void krs_template_free(krs_template *t);

typedef struct krs_template_options {
    size_t size;         /* sizeof(krs_template_options) */
    uint64_t now_unix_s; /* what strftime_now sees, UTC */
    uint64_t max_steps;  /* 0: KRS_TEMPLATE_MAX_STEPS */
} krs_template_options;

#define KRS_TEMPLATE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(krs_template_options), 0, 0                                                         \
    }

/* Render with the members of `inputs` (a JSON object, borrowed, key order kept) as variables: messages,
 * tools, add_generation_prompt, bos_token, eos_token, ... Appends to out.
 * Errors: KRS_EINVAL (raise_exception's own words, or a run-time error with its line),
 * KRS_ETOOLARGE (steps or output), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_template_render(const krs_template *t, const json_t *inputs,
                                            const krs_template_options *options, krs_buf *out,
                                            krs_error *err);

/* Does the source mention this variable (say "tools")? Cheap; from the parsed tree. */
bool krs_template_mentions(const krs_template *t, krs_str name);
