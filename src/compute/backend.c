/* compute/backend.c - see backend.h: backends by name, and the checks they all share. */
#include "compute/backend_priv.h"

#include "compute/cpu/cpu.h"
#include "compute/cuda/cuda.h"
#include "compute/ref/ref.h"

#include <string.h>

typedef krs_status (*open_fn)(const krs_backend_options *options, const krs_alloc *alloc,
                              krs_backend **out, krs_error *err);

static const struct {
    const char *name;
    open_fn open;
} backends[] = {
    {"ref", krs_ref_open},
    {"cpu", krs_cpu_open},
};

#ifdef KRS_HAS_CUDA
/* name: "cuda:" and a device number of at most four digits. */
static krs_status open_cuda(const char *name, const krs_alloc *alloc, krs_backend **out,
                            krs_error *err)
{
    int ordinal = 0;
    const char *digit = name + 5;
    while (*digit >= '0' && *digit <= '9' && digit - name < 9) {
        ordinal = ordinal * 10 + (*digit++ - '0');
    }
    if (*digit != '\0' || digit == name + 5) {
        return krs_fail(err, KRS_EINVAL, "device \"%.40s\": want cuda:N", name);
    }
    return krs_cuda_open(ordinal, alloc, out, err);
}
#else
static krs_status open_cuda(const char *name, const krs_alloc *alloc, krs_backend **out,
                            krs_error *err)
{
    (void)alloc;
    (void)out;
    return krs_fail(err, KRS_EUNSUPPORTED, "device %.40s: this build has no CUDA backend", name);
}
#endif

static krs_status check_options(const krs_backend_options *options, krs_error *err)
{
    if (options->size != sizeof(*options)) {
        return krs_fail(err, KRS_EINVAL, "backend options: size %zu, want %zu", options->size,
                        sizeof(*options));
    }
    if (options->n_threads < 0 || options->n_threads > KRS_BACKEND_MAX_THREADS) {
        return krs_fail_field(err, KRS_EINVAL, "n_threads", "n_threads: %d, want 0..%d",
                              options->n_threads, KRS_BACKEND_MAX_THREADS);
    }
    return KRS_OK;
}

krs_status krs_backend_open(const char *name, const krs_backend_options *options,
                            const krs_alloc *alloc, krs_backend **out, krs_error *err)
{
    static const krs_backend_options defaults = KRS_BACKEND_OPTIONS_INIT;
    *out = NULL;
    const krs_backend_options *chosen = options ? options : &defaults;
    const krs_status status = check_options(chosen, err);
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        if (strcmp(name, backends[i].name) == 0) {
            return backends[i].open(chosen, alloc, out, err);
        }
    }
    if (strncmp(name, "cuda:", 5) == 0) {
        return open_cuda(name, alloc, out, err);
    }
    return krs_fail(err, KRS_EINVAL, "device \"%.40s\": want cpu, ref or cuda:N", name);
}

void krs_backend_close(krs_backend *backend)
{
    if (backend) {
        backend->ops->close(backend);
    }
}

const char *krs_backend_describe(const krs_backend *backend)
{
    return backend->description;
}

krs_dtype krs_backend_kv_dtype(const krs_backend *backend)
{
    return backend->kv_dtype;
}

static krs_status check_range(const char *name, uint32_t value, uint32_t low, uint32_t high,
                              krs_error *err)
{
    if (value < low || value > high) {
        return krs_fail_field(err, KRS_EINVAL, name, "%s: %u, want %u..%u", name, value, low, high);
    }
    return KRS_OK;
}

static krs_status check_limits(const krs_exec_limits *limits, krs_error *err)
{
    krs_status status = check_range("max_rows", limits->max_rows, 1, KRS_EXEC_MAX_ROWS, err);
    if (status == KRS_OK) {
        status = check_range("max_seqs", limits->max_seqs, 1, KRS_EXEC_MAX_SEQS, err);
    }
    if (status == KRS_OK) {
        status = check_range("max_logit_rows", limits->max_logit_rows, 0, limits->max_rows, err);
    }
    if (status == KRS_OK) {
        status = check_range("max_hidden_rows", limits->max_hidden_rows, 0, limits->max_rows, err);
    }
    if (status == KRS_OK) {
        status = check_range("n_kv_blocks", limits->n_kv_blocks, 0, INT32_MAX, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (limits->kv_dtype != KRS_DTYPE_F32 && limits->kv_dtype != KRS_DTYPE_F16 &&
        limits->kv_dtype != KRS_DTYPE_BF16 && limits->kv_dtype != KRS_DTYPE_I8) {
        return krs_fail_field(err, KRS_EINVAL, "kv_dtype",
                              "kv_dtype: %s, want F32, F16, BF16 or I8",
                              krs_dtype_name(limits->kv_dtype));
    }
    return KRS_OK;
}

/* Does the program give what the limits ask of it, and do they give what it takes? */
static krs_status check_fit(const krs_program *program, const krs_exec_limits *limits,
                            krs_error *err)
{
    if (limits->max_hidden_rows > 0 && program->hidden == KRS_NO_SLOT) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "max_hidden_rows",
                              "max_hidden_rows: %u, but this model names no hidden state",
                              limits->max_hidden_rows);
    }
    if (limits->max_logit_rows > 0 && program->logits == KRS_NO_SLOT) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "max_logit_rows",
                              "max_logit_rows: %u, but this model has no vocabulary projection",
                              limits->max_logit_rows);
    }
    if (limits->max_logit_rows == 0 && program->logits != KRS_NO_SLOT) {
        return check_range("max_logit_rows", 0, 1, limits->max_rows, err);
    }
    return limits->n_kv_blocks == 0 && program->n_kv_layers > 0
               ? check_range("n_kv_blocks", 0, 1, INT32_MAX, err)
               : KRS_OK;
}

/* Limits and program, each and together. */
static krs_status check_exec(const krs_program *program, const krs_exec_limits *limits,
                             krs_error *err)
{
    krs_status status = check_limits(limits, err);
    if (status == KRS_OK) {
        status = krs_program_check(program, err);
    }
    if (status == KRS_OK && program->state_floats > 0) {
        status =
            check_range("n_state_slots", limits->n_state_slots, 1, KRS_EXEC_MAX_STATE_SLOTS, err);
    }
    return status == KRS_OK ? check_fit(program, limits, err) : status;
}

krs_status krs_exec_plan_of(krs_backend *backend, const krs_program *program,
                            const krs_exec_limits *limits, krs_exec_plan *out, krs_error *err)
{
    const krs_status status = check_exec(program, limits, err);
    return status == KRS_OK ? backend->ops->plan_of(backend, program, limits, out, err) : status;
}

krs_status krs_exec_new(krs_backend *backend, const krs_program *program,
                        const krs_exec_limits *limits, krs_exec **out, krs_error *err)
{
    *out = NULL;
    const krs_status status = check_exec(program, limits, err);
    return status == KRS_OK ? backend->ops->exec_new(backend, program, limits, out, err) : status;
}

void krs_exec_free(krs_exec *exec)
{
    if (exec) {
        exec->backend->ops->exec_free(exec);
    }
}

krs_status krs_exec_submit(krs_exec *exec, const krs_step *step, krs_error *err)
{
    return exec->backend->ops->submit(exec, step, err);
}

krs_status krs_exec_collect(krs_exec *exec, krs_step_result *out, krs_error *err)
{
    return exec->backend->ops->collect(exec, out, err);
}
