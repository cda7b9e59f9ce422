/* wire/yaml.h - YAML configuration as the same tree JSON gives.
 *
 * One document becomes one json_t, so the configuration has one set of readers (wire/json.h). The
 * subset is what configuration needs and nothing that surprises: block and flow collections, plain and
 * quoted scalars, comments. Scalars follow the YAML 1.2 core schema: true/false, null/~, integers,
 * 0x.., 0o.., floats; `yes`, `no`, `on` and 010 are what they look like. Refused, each with line and
 * column: anchors and aliases (a few lines of them make gigabytes), tags, merge keys, duplicate keys,
 * keys that are not scalars, several documents, .inf and .nan (no JSON tree can hold them).
 *
 * Thread: a tree has one owner.  Memory: jansson's heap.
 * Source: YAML 1.2.2, chapters 7 and 10.3; libyaml does the scanning. */
#pragma once

#include "wire/json.h"

#define KRS_YAML_MAX_BYTES (1u << 20) /* of a configuration file; real ones stay under 20 KB */
#define KRS_YAML_MAX_DEPTH 32         /* nesting; real ones stay under 6 */
#define KRS_YAML_MAX_NODES 100000     /* scalars and collections together */

/* Parse the single document of text; an empty one is null. *out: a new reference, NULL on failure.
 * Errors: KRS_ETOOLARGE (KRS_YAML_MAX_BYTES, _NODES), KRS_EINVAL (line and column), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_yaml_parse(krs_str text, json_t **out, krs_error *err);

/* The line, from 1, of the key that path[n_path] leads to through mappings ({"a", "b"}: b inside a), or 0
 * when there is none. text: as krs_yaml_parse took it. For messages; cost: O(text). */
uint32_t krs_yaml_line_of(krs_str text, const char *const *path, size_t n_path);
