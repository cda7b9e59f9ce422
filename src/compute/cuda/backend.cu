/* compute/cuda/backend.cu - opening a device, and compiling a program onto it: weights copied once,
 * slots, KV and stages allocated once. Sizes come from one layout that the plan and the allocation both
 * use.  See device.cuh. */
#include "compute/cuda/exec.cuh"

extern "C" {
#include "compute/cuda/supported.h"
#include "compute/step_check.h"
}

#include <stdio.h>

#define WEIGHT_ALIGN_BYTES 256 /* cudaMalloc's own alignment, kept for every matrix */
#define MIN_CAPABILITY     8   /* Ampere: bf16 conversions in hardware */

typedef struct cuda_backend {
    krs_backend base;
    int ordinal;
} cuda_backend;

krs_status krs_cuda_check(cudaError_t code, const char *what, krs_error *err)
{
    if (code == cudaSuccess) {
        return KRS_OK;
    }
    const bool is_memory = code == cudaErrorMemoryAllocation;
    const krs_status status = krs_fail(err, is_memory ? KRS_ENOMEM : KRS_EDEVICE, "cuda: %s: %s",
                                       what, cudaGetErrorString(code));
    if (err) {
        err->device_code = static_cast<int32_t>(code);
    }
    return status;
}

static size_t padded(size_t n_bytes)
{
    return (n_bytes + WEIGHT_ALIGN_BYTES - 1) / WEIGHT_ALIGN_BYTES * WEIGHT_ALIGN_BYTES;
}

/* Bytes of one matrix on the device: data, scales, biases, each padded. */
static size_t matrix_bytes(const krs_matrix *m)
{
    const size_t half = krs_matrix_scale_bytes(m) / 2;
    return padded(krs_matrix_data_bytes(m)) + (half ? 2 * padded(half) : 0);
}

typedef struct layout {
    size_t weight_bytes;
    size_t slot_bytes;
    size_t kv_bytes;       /* of K; V takes as much */
    size_t kv_scale_bytes; /* of K in int8, else 0; V takes as much */
    size_t stage_words;
    size_t logits_bytes; /* of one stage */
    size_t hidden_bytes;
    size_t max_blocks;
} layout;

static layout layout_of(const krs_program *program, const krs_exec_limits *limits)
{
    layout l = {};
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        l.weight_bytes += matrix_bytes(&program->matrices[i]);
    }
    for (uint32_t i = 0; i < program->n_slots; i++) {
        const size_t rows = krs_exec_max_rows_of(limits, program->slots[i].rows);
        l.slot_bytes += padded(rows * static_cast<size_t>(program->slots[i].width) * sizeof(float));
    }
    const size_t n_heads = static_cast<size_t>(program->n_kv_layers) * limits->n_kv_blocks *
                           static_cast<size_t>(program->n_kv_heads) * KRS_KV_BLOCK_TOKENS;
    l.kv_bytes =
        n_heads * static_cast<size_t>(program->head_dim) * krs_dtype_bytes(limits->kv_dtype);
    l.kv_scale_bytes = limits->kv_dtype == KRS_DTYPE_I8 ? n_heads * sizeof(float) : 0;
    const size_t context_blocks =
        static_cast<size_t>(program->max_positions + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
    l.max_blocks = context_blocks < limits->n_kv_blocks ? context_blocks : limits->n_kv_blocks;
    l.stage_words = 3 * static_cast<size_t>(limits->max_rows) + limits->max_logit_rows +
                    limits->max_hidden_rows + limits->max_seqs + limits->max_seqs * l.max_blocks;
    l.logits_bytes = static_cast<size_t>(limits->max_logit_rows) *
                     static_cast<size_t>(program->slots[program->logits].width) * sizeof(float);
    if (program->hidden != KRS_NO_SLOT) {
        l.hidden_bytes = static_cast<size_t>(limits->max_hidden_rows) *
                         static_cast<size_t>(program->slots[program->hidden].width) * sizeof(float);
    }
    return l;
}

static krs_status plan_of(krs_backend *backend, const krs_program *program,
                          const krs_exec_limits *limits, krs_exec_plan *out, krs_error *err)
{
    (void)backend;
    const krs_status status = krs_cuda_check_program(program, err);
    if (status != KRS_OK) {
        return status;
    }
    const layout l = layout_of(program, limits);
    uint64_t file_bytes = 0;
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        file_bytes += krs_matrix_data_bytes(&program->matrices[i]) +
                      krs_matrix_scale_bytes(&program->matrices[i]);
    }
    out->weight_bytes = file_bytes;
    out->copied_bytes = l.weight_bytes;
    out->kv_bytes = 2 * (l.kv_bytes + l.kv_scale_bytes);
    out->scratch_bytes = l.slot_bytes + program->n_floats * sizeof(float) +
                         KRS_EXEC_MAX_IN_FLIGHT * (2 * l.stage_words * sizeof(uint32_t) +
                                                   l.logits_bytes + l.hidden_bytes);
    return KRS_OK;
}

/* Copy n bytes to *at on the device and move *at on. */
static krs_status upload(unsigned char **at, const void *from, size_t n_bytes, const void **where,
                         krs_error *err)
{
    *where = *at;
    const cudaError_t code = cudaMemcpy(*at, from, n_bytes, cudaMemcpyHostToDevice);
    *at += padded(n_bytes);
    return krs_cuda_check(code, "copy weights", err);
}

static krs_status upload_matrix(const krs_matrix *m, unsigned char **at, krs_cuda_matrix *out,
                                krs_error *err)
{
    *out = krs_cuda_matrix{m->n_out, m->n_in, m->quant, m->dtype, m->scale_dtype, NULL, NULL, NULL};
    krs_status status = upload(at, m->data, krs_matrix_data_bytes(m), &out->data, err);
    const size_t half = krs_matrix_scale_bytes(m) / 2;
    if (status == KRS_OK && half > 0) {
        status = upload(at, m->scales, half, &out->scales, err);
    }
    if (status == KRS_OK && half > 0) {
        status = upload(at, m->biases, half, &out->biases, err);
    }
    return status;
}

static krs_status device_bytes(size_t n_bytes, const char *what, void **out, krs_error *err)
{
    return krs_cuda_check(cudaMalloc(out, n_bytes ? n_bytes : 1), what, err);
}

static krs_status upload_program(krs_cuda_exec *exec, const layout *l, krs_error *err)
{
    const krs_program *program = exec->program;
    krs_status status =
        device_bytes(l->weight_bytes, "weights", reinterpret_cast<void **>(&exec->weights), err);
    unsigned char *at = exec->weights;
    for (uint32_t i = 0; status == KRS_OK && i < program->n_matrices; i++) {
        status = upload_matrix(&program->matrices[i], &at, &exec->matrices[i], err);
    }
    const size_t float_bytes = program->n_floats * sizeof(float);
    if (status == KRS_OK) {
        status = device_bytes(float_bytes, "tables", reinterpret_cast<void **>(&exec->floats), err);
    }
    if (status == KRS_OK && float_bytes > 0) {
        status = krs_cuda_check(
            cudaMemcpy(exec->floats, program->floats, float_bytes, cudaMemcpyHostToDevice),
            "copy tables", err);
    }
    return status;
}

static krs_status open_kv(krs_cuda_exec *exec, const layout *l, krs_error *err)
{
    exec->kv.dtype = exec->limits.kv_dtype;
    exec->kv.n_blocks = static_cast<int>(exec->limits.n_kv_blocks);
    exec->kv.n_heads = exec->program->n_kv_heads;
    exec->kv.head_dim = exec->program->head_dim;
    krs_status status =
        device_bytes(l->kv_bytes, "K cache", reinterpret_cast<void **>(&exec->kv.k), err);
    if (status == KRS_OK) {
        status = device_bytes(l->kv_bytes, "V cache", reinterpret_cast<void **>(&exec->kv.v), err);
    }
    if (status == KRS_OK && l->kv_scale_bytes > 0) {
        status = device_bytes(l->kv_scale_bytes, "K scales",
                              reinterpret_cast<void **>(&exec->kv.k_scales), err);
    }
    if (status == KRS_OK && l->kv_scale_bytes > 0) {
        status = device_bytes(l->kv_scale_bytes, "V scales",
                              reinterpret_cast<void **>(&exec->kv.v_scales), err);
    }
    return status;
}

static krs_status open_memory(krs_cuda_exec *exec, const layout *l, krs_error *err)
{
    krs_status status = device_bytes(l->slot_bytes, "activations",
                                     reinterpret_cast<void **>(&exec->slot_memory), err);
    unsigned char *at = reinterpret_cast<unsigned char *>(exec->slot_memory);
    for (uint32_t i = 0; i < exec->program->n_slots; i++) {
        const krs_slot_shape *shape = &exec->program->slots[i];
        const size_t rows = krs_exec_max_rows_of(&exec->limits, shape->rows);
        exec->slots[i] = reinterpret_cast<float *>(at);
        at += padded(rows * static_cast<size_t>(shape->width) * sizeof(float));
    }
    return status == KRS_OK ? open_kv(exec, l, err) : status;
}

static krs_cuda_inputs inputs_at(uint32_t *words, const krs_exec_limits *limits)
{
    krs_cuda_inputs in;
    in.tokens = words;
    in.positions = in.tokens + limits->max_rows;
    in.row_seqs = in.positions + limits->max_rows;
    in.logit_rows = in.row_seqs + limits->max_rows;
    in.hidden_rows = in.logit_rows + limits->max_logit_rows;
    in.block_begin = in.hidden_rows + limits->max_hidden_rows;
    in.blocks = in.block_begin + limits->max_seqs;
    return in;
}

static krs_status open_stage(krs_cuda_exec *exec, const layout *l, krs_cuda_stage *stage,
                             krs_error *err)
{
    const size_t n_bytes = l->stage_words * sizeof(uint32_t);
    krs_status status = krs_cuda_check(
        cudaMallocHost(reinterpret_cast<void **>(&stage->host_words), n_bytes), "stage", err);
    if (status == KRS_OK) {
        status =
            device_bytes(n_bytes, "stage", reinterpret_cast<void **>(&stage->device_words), err);
    }
    if (status == KRS_OK) {
        status = krs_cuda_check(
            cudaMallocHost(reinterpret_cast<void **>(&stage->host_logits), l->logits_bytes),
            "logits", err);
    }
    if (status == KRS_OK && l->hidden_bytes > 0) {
        status = krs_cuda_check(
            cudaMallocHost(reinterpret_cast<void **>(&stage->host_hidden), l->hidden_bytes),
            "hidden states", err);
    }
    if (status == KRS_OK) {
        status = krs_cuda_check(cudaEventCreateWithFlags(&stage->done, cudaEventDisableTiming),
                                "event", err);
    }
    stage->host = inputs_at(stage->host_words, &exec->limits);
    stage->device = inputs_at(stage->device_words, &exec->limits);
    return status;
}

static krs_status open_exec(krs_cuda_exec *exec, const layout *l, krs_error *err)
{
    krs_status status = krs_cuda_check(cudaSetDevice(exec->ordinal), "select device", err);
    if (status == KRS_OK) {
        status = krs_cuda_check(cudaStreamCreateWithFlags(&exec->stream, cudaStreamNonBlocking),
                                "stream", err);
    }
    if (status == KRS_OK) {
        status = upload_program(exec, l, err);
    }
    if (status == KRS_OK) {
        status = open_memory(exec, l, err);
    }
    for (int i = 0; status == KRS_OK && i < KRS_EXEC_MAX_IN_FLIGHT; i++) {
        status = open_stage(exec, l, &exec->stages[i], err);
    }
    return status;
}

static void exec_free(krs_exec *base)
{
    krs_cuda_exec *exec = reinterpret_cast<krs_cuda_exec *>(base);
    const krs_alloc *alloc = exec->base.backend->alloc;
    /* After a device failure these fail too; there is nothing left to do about it. */
    (void)cudaSetDevice(exec->ordinal);
    if (exec->stream) {
        (void)cudaStreamSynchronize(exec->stream);
    }
    for (int i = 0; i < KRS_EXEC_MAX_IN_FLIGHT; i++) {
        krs_cuda_stage *stage = &exec->stages[i];
        (void)cudaFreeHost(stage->host_words);
        (void)cudaFree(stage->device_words);
        (void)cudaFreeHost(stage->host_logits);
        (void)cudaFreeHost(stage->host_hidden);
        if (stage->done) {
            (void)cudaEventDestroy(stage->done);
        }
    }
    (void)cudaFree(exec->weights);
    (void)cudaFree(exec->floats);
    (void)cudaFree(exec->slot_memory);
    (void)cudaFree(exec->kv.k);
    (void)cudaFree(exec->kv.v);
    (void)cudaFree(exec->kv.k_scales);
    (void)cudaFree(exec->kv.v_scales);
    if (exec->stream) {
        (void)cudaStreamDestroy(exec->stream);
    }
    krs_alloc_free(alloc, exec->matrices);
    krs_alloc_free(alloc, exec);
}

static krs_status exec_new(krs_backend *backend, const krs_program *program,
                           const krs_exec_limits *limits, krs_exec **out, krs_error *err)
{
    krs_status status = krs_cuda_check_program(program, err);
    if (status != KRS_OK) {
        return status;
    }
    const layout l = layout_of(program, limits);
    krs_cuda_exec *exec =
        static_cast<krs_cuda_exec *>(krs_alloc_zero(backend->alloc, sizeof(krs_cuda_exec)));
    if (!exec) {
        return krs_fail(err, KRS_ENOMEM, "cuda: exec: out of memory");
    }
    exec->base.backend = backend;
    exec->program = program;
    exec->limits = *limits;
    exec->vocab = krs_step_vocab_of(program);
    exec->ordinal = reinterpret_cast<cuda_backend *>(backend)->ordinal;
    exec->max_blocks = l.max_blocks;
    exec->matrices = static_cast<krs_cuda_matrix *>(
        krs_alloc_array(backend->alloc, program->n_matrices, sizeof(krs_cuda_matrix)));
    status = exec->matrices ? open_exec(exec, &l, err)
                            : krs_fail(err, KRS_ENOMEM, "cuda: exec: out of memory");
    if (status != KRS_OK) {
        exec_free(&exec->base);
        return status;
    }
    *out = &exec->base;
    return KRS_OK;
}

static void close_backend(krs_backend *backend)
{
    krs_alloc_free(backend->alloc, backend);
}

static const krs_backend_ops cuda_ops = {close_backend, plan_of,         exec_new,
                                         exec_free,     krs_cuda_submit, krs_cuda_collect};

krs_status krs_cuda_open(int ordinal, const krs_alloc *alloc, krs_backend **out, krs_error *err)
{
    int n_devices = 0;
    const cudaError_t code = cudaGetDeviceCount(&n_devices);
    if (code != cudaSuccess || ordinal < 0 || ordinal >= n_devices) {
        return krs_fail(err, KRS_EUNSUPPORTED, "device cuda:%d: this machine has %d (%s)", ordinal,
                        n_devices, cudaGetErrorString(code));
    }
    cudaDeviceProp properties;
    krs_status status =
        krs_cuda_check(cudaGetDeviceProperties(&properties, ordinal), "properties", err);
    if (status != KRS_OK) {
        return status;
    }
    if (properties.major < MIN_CAPABILITY) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "device cuda:%d: compute capability %d.%d, want %d.0", ordinal,
                        properties.major, properties.minor, MIN_CAPABILITY);
    }
    cuda_backend *backend =
        static_cast<cuda_backend *>(krs_alloc_zero(alloc, sizeof(cuda_backend)));
    if (!backend) {
        return krs_fail(err, KRS_ENOMEM, "device cuda:%d: out of memory", ordinal);
    }
    backend->base.ops = &cuda_ops;
    backend->base.alloc = alloc;
    backend->base.kv_dtype = KRS_DTYPE_F16;
    backend->ordinal = ordinal;
    (void)snprintf(backend->base.description, sizeof(backend->base.description), "cuda:%d: %.70s",
                   ordinal, properties.name);
    *out = &backend->base;
    return KRS_OK;
}
