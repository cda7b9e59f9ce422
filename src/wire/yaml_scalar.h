/* wire/yaml_scalar.h - what a YAML scalar means, by the core schema of YAML 1.2. For yaml.c and its tests.
 *
 * Thread: any.  Memory: jansson's heap.  Source: YAML 1.2.2, section 10.3.2. */
#pragma once

#include "wire/json.h"

/* text as null, boolean, number or string; is_plain: unquoted (a quoted one is always a string).
 * *out: a new reference. *why: set when the text means something no JSON tree can hold (.inf, .nan, an
 * integer beyond 64 bits). Errors: KRS_EINVAL (with *why), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_yaml_scalar(krs_str text, bool is_plain, json_t **out,
                                        const char **why);
