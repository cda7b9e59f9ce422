/* apps/krs/cmd_verify.c - krs verify MODEL: is it what was published, and will it compute?
 *
 * Three questions, each answered on its own, so that one run tells all that is wrong: do the tensors fit
 * config.json (by opening the model), is every weight a finite number, does every file have the checksum that
 * the hub's cache or a SHA256SUMS beside it says. */
#include "command.h"
#include "format/checksum.h"
#include "model/verify.h"

#include <inttypes.h>
#include <stdio.h>

#define ARENA_CHUNK_BYTES (64u * 1024u)
#define ARENA_MAX_BYTES   (64u << 20) /* names and digests; 100,000 files need 30 MiB */

typedef struct verdict {
    json_t *faults;
    json_t *files;
    krs_verify_sum values;
    size_t n_wrong_files;
} verdict;

static void add_fault(void *ctx, const krs_verify_fault *fault)
{
    json_t *faults = ctx;
    (void)json_array_append_new(
        faults, json_pack("{s:s%, s:I, s:I, s:I}", "tensor", fault->tensor.ptr, fault->tensor.len,
                          "nan", (json_int_t)fault->n_nan, "infinite",
                          (json_int_t)fault->n_infinite, "first", (json_int_t)fault->first));
}

static const char *verdict_of(const krs_checksum *sum)
{
    return sum->kind == KRS_CHECKSUM_NONE ? "unknown" : sum->is_right ? "right" : "wrong";
}

static krs_status check_files(const char *path, verdict *v, krs_error *err)
{
    krs_arena arena;
    krs_checksum *sums = NULL;
    size_t n = 0;
    krs_arena_init(&arena, NULL, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    const krs_status status = krs_checksum_files(path, &arena, &sums, &n, err);
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        v->n_wrong_files += !sums[i].is_right;
        (void)json_array_append_new(
            v->files, json_pack("{s:s%, s:I, s:s, s:s}", "name", sums[i].name.ptr, sums[i].name.len,
                                "bytes", (json_int_t)sums[i].n_bytes, "sha256", sums[i].sha256,
                                "checksum", verdict_of(&sums[i])));
    }
    krs_arena_deinit(&arena);
    return status;
}

static krs_status check_values(const char *path, verdict *v, krs_error *err)
{
    krs_model *model = NULL;
    krs_status status = krs_model_open(path, NULL, NULL, &model, err);
    if (status == KRS_OK) {
        status = krs_model_verify(model, NULL, add_fault, v->faults, &v->values, err);
    }
    krs_model_close(model);
    return status;
}

static const char *text_of(const json_t *object, const char *field)
{
    return json_string_value(json_object_get(object, field));
}

static json_int_t int_of(const json_t *object, const char *field)
{
    return json_integer_value(json_object_get(object, field));
}

static void print_text(const verdict *v)
{
    size_t i;
    const json_t *item;
    json_array_foreach(v->files, i, item)
    {
        (void)printf("%-8s %s  %s\n", text_of(item, "checksum"), text_of(item, "sha256"),
                     text_of(item, "name"));
    }
    json_array_foreach(v->faults, i, item)
    {
        (void)printf("not finite: %s: %" JSON_INTEGER_FORMAT " NaN, %" JSON_INTEGER_FORMAT
                     " infinite, the first at %" JSON_INTEGER_FORMAT "\n",
                     text_of(item, "tensor"), int_of(item, "nan"), int_of(item, "infinite"),
                     int_of(item, "first"));
    }
    (void)printf("%" PRIu64 " values in %" PRIu64 " tensors read, %" PRIu64
                 " tensors with values that are not finite, %zu files with a wrong checksum\n",
                 v->values.n_values, v->values.n_tensors, v->values.n_faulty, v->n_wrong_files);
}

static int print_verdict(const krs_config *config, const verdict *v)
{
    if (!krs_config_bool(config, KRS_OPTION_JSON)) {
        print_text(v);
        return krs_say_flush();
    }
    return krs_say_json(json_pack("{s:I, s:I, s:O, s:O}", "values", (json_int_t)v->values.n_values,
                                  "tensors", (json_int_t)v->values.n_tensors, "not_finite",
                                  v->faults, "files", v->files));
}

static krs_status judge(const verdict *v, krs_error *err)
{
    if (v->values.n_faulty == 0 && v->n_wrong_files == 0) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EFORMAT,
                    "verify: %" PRIu64 " tensors with values that are not finite, %zu files with a "
                    "wrong checksum",
                    v->values.n_faulty, v->n_wrong_files);
}

int krs_cmd_verify(const krs_config *config)
{
    const char *path = config->positionals[0];
    krs_error err = KRS_ERROR_INIT;
    verdict v = {.faults = json_array(), .files = json_array()};
    krs_status status = check_files(path, &v, &err);
    const bool has_files = status == KRS_OK;
    if (has_files) {
        status = check_values(path, &v, &err);
    }
    /* A model that does not open may have been told by its checksums already. */
    const int code = has_files ? print_verdict(config, &v) : 0;
    if (status == KRS_OK) {
        status = judge(&v, &err);
    }
    json_decref(v.faults);
    json_decref(v.files);
    return status == KRS_OK ? code : krs_say_error(config, &err);
}
