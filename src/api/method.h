/* api/method.h - the method table: what can be called over JSON-RPC, with which parameters, and how safely again.
 *
 * One table (method.def) drives dispatch, validation, the retry class of a client, and docs/rpc.md, so
 * that none of them can say something the others do not. Errors name field, value and limit.
 *
 * Thread: any; the table is immutable.  Memory: none, but for the reference page.
 * Source: JSON-RPC 2.0; the contract's methods keep its names, types, limits and defaults. */
#pragma once

#include "base/buf.h"
#include "wire/json.h"

typedef enum krs_method {
#define KRS_METHOD(id, name, aliases, retry, origin, items, summary, result) KRS_METHOD_##id,
#define KRS_PARAM(method, name, type, min, max, value, flags, help)
#include "api/method.def"
#undef KRS_METHOD
#undef KRS_PARAM
    KRS_METHOD_COUNT,
    KRS_METHOD_NONE = KRS_METHOD_COUNT,
} krs_method;

/* May a caller that got no answer call again? */
typedef enum krs_retry_class {
    KRS_RETRY_SAFE,       /* it changes nothing: with backoff, as often as it likes */
    KRS_RETRY_IDEMPOTENT, /* calling twice leaves what calling once leaves */
    KRS_RETRY_ONCE,       /* only when the runtime provably never started it */
} krs_retry_class;

typedef enum krs_method_origin {
    KRS_ORIGIN_CONTRACT, /* of the wire contract, and one of its capabilities */
    KRS_ORIGIN_QUIET,    /* of the wire contract, not advertised */
    KRS_ORIGIN_OURS,
} krs_method_origin;

typedef enum krs_param_type {
    KRS_PARAM_TEXT,
    KRS_PARAM_NAME,
    KRS_PARAM_INT,
    KRS_PARAM_NUMBER,
    KRS_PARAM_BOOL,
    KRS_PARAM_WORD,
    KRS_PARAM_TEXTS,
    KRS_PARAM_INTS,
    KRS_PARAM_OBJECT,
    KRS_PARAM_OBJECTS,
    KRS_PARAM_ANY,
} krs_param_type;

typedef enum krs_param_flag {
    KRS_PARAM_NEEDED = 1,
    KRS_PARAM_ABOVE_MIN = 2,
    KRS_PARAM_OWN = 4,
} krs_param_flag;

/* A row of the table's first kind. */
typedef struct krs_method_row {
    const char *name;
    const char *alias; /* "" none */
    krs_retry_class retry;
    krs_method_origin origin;
    krs_method items; /* KRS_METHOD_NONE, or whose parameters the objects of `requests` have */
    const char *summary;
    const char *result;
} krs_method_row;

/* A row of its second kind. */
typedef struct krs_param_row {
    const char *name;
    const char *value; /* default as JSON or a bare word, NULL: none */
    const char *help;
    double min;
    double max;
    krs_method method;
    krs_param_type type;
    unsigned flags; /* krs_param_flag */
} krs_param_row;

/* KRS_METHOD_NONE when there is none of that name. */
krs_method krs_method_of_name(krs_str name);
const krs_method_row *krs_method_row_of(krs_method method);
/* Its parameters; *n: how many. */
const krs_param_row *krs_method_params(krs_method method, size_t *n);

/* Are params (NULL: none given) what the method takes? Objects of `requests` are not looked into: each
 * fails or succeeds alone. Errors: KRS_EINVAL, err->field set, message with field, value and limit. */
KRS_MUST_USE krs_status krs_method_check(krs_method method, const json_t *params, krs_error *err);

/* A checked parameter, or its default (0, "", false without one). NULL params: all defaults. */
int64_t krs_method_int(krs_method method, const json_t *params, const char *name);
double krs_method_number(krs_method method, const json_t *params, const char *name);
bool krs_method_bool(krs_method method, const json_t *params, const char *name);
krs_str krs_method_text(krs_method method, const json_t *params, const char *name);
/* Was it given, and not null? */
bool krs_method_has(const json_t *params, const char *name);

/* docs/rpc.md, from the table. Errors: those of krs_buf. */
KRS_MUST_USE krs_status krs_method_write_reference(krs_buf *out);
