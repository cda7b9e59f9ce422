/* format/synth.c - see synth.h.
 * The tensors of a module stand side by side in the file, as MLX and transformers write them: weight,
 * then scales and biases when it is quantised, then bias. */
#include "format/synth.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/checked.h"
#include "format/safetensors.h"
#include "format/synth_values.h"

#include <stdio.h>

#define PIECE_VALUES                                                                               \
    65536u /* made at once: a multiple of every group, of blocks, and cache-sized */
#define PER_MODULE        4u /* weight, scales, biases, bias */
#define ARENA_CHUNK_BYTES (64u * 1024u)
#define ARENA_MAX_BYTES   (1u << 30) /* names and rows of KRS_ST_MAX_TENSORS tensors */

/* Everything one call holds. */
typedef struct synth {
    const krs_synth_options *options;
    const krs_alloc *alloc;
    krs_arena arena;
    krs_tensor *tensors; /* [n_tensors] */
    uint32_t n_tensors;
    uint32_t next; /* tensor being written */
    krs_synth_values *values;
    krs_safetensors_writer *writer;
    float *floats;         /* [PIECE_VALUES] */
    unsigned char *packed; /* [PIECE_VALUES * sizeof(float)] what goes to the file */
    uint64_t n_bytes;
    uint64_t n_done;
} synth;

static bool is_quantised(const synth *s, const krs_synth_module *module)
{
    return module->n_out > 0 && !module->is_bare && !module->is_depthwise &&
           s->options->quant.kind == KRS_QUANT_AFFINE;
}

static krs_status add_tensor(synth *s, const krs_synth_module *module, const char *suffix,
                             krs_dtype dtype, const int64_t *dims, int32_t rank, krs_error *err)
{
    char name[256];
    const int len = snprintf(name, sizeof(name), "%.*s%s", KRS_STR_ARGS(module->name), suffix);
    size_t n_bytes = krs_dtype_bytes(dtype);
    bool is_sound = len > 0 && (size_t)len < sizeof(name);
    krs_tensor *tensor = &s->tensors[s->n_tensors];
    for (int32_t i = 0; is_sound && i < rank; i++) {
        is_sound = dims[i] > 0 && krs_size_mul(n_bytes, (size_t)dims[i], &n_bytes);
        tensor->dims[i] = dims[i];
    }
    if (!is_sound) {
        return krs_fail(err, KRS_EINVAL, "module %.80s: no such name or shape", name);
    }
    tensor->name = krs_arena_copy(&s->arena, (krs_str){name, (size_t)len});
    if (!tensor->name.ptr) {
        return krs_fail(err, KRS_ENOMEM, "plan of %u tensors", s->n_tensors);
    }
    tensor->dtype = dtype;
    tensor->rank = rank;
    tensor->n_bytes = n_bytes;
    s->n_tensors++;
    s->n_bytes += n_bytes;
    return KRS_OK;
}

/* A tensor of a module with rows: [stack,] rows, [1,] columns. */
static krs_status add_rows(synth *s, const krs_synth_module *module, const char *suffix,
                           krs_dtype dtype, int64_t rows, int64_t columns, krs_error *err)
{
    int64_t dims[4];
    int32_t rank = 0;
    if (module->n_stack > 0) {
        dims[rank++] = module->n_stack;
    }
    dims[rank++] = rows;
    if (module->is_depthwise) {
        dims[rank++] = 1;
    }
    dims[rank++] = columns;
    return add_tensor(s, module, suffix, dtype, dims, rank, err);
}

static krs_status plan_quantised(synth *s, const krs_synth_module *module, krs_error *err)
{
    const krs_quant *quant = &s->options->quant;
    krs_status status = krs_quant_check(quant, module->n_in, err);
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "%.*s", KRS_STR_ARGS(module->name));
    }
    const int64_t n_words = module->n_in * quant->bits / 32;
    const int64_t n_groups = module->n_in / quant->group;
    status = add_rows(s, module, ".weight", KRS_DTYPE_U32, module->n_out, n_words, err);
    if (status == KRS_OK) {
        status = add_rows(s, module, ".scales", s->options->dtype, module->n_out, n_groups, err);
    }
    if (status == KRS_OK) {
        status = add_rows(s, module, ".biases", s->options->dtype, module->n_out, n_groups, err);
    }
    return status;
}

static krs_status plan_bias(synth *s, const krs_synth_module *module, krs_error *err)
{
    const int64_t n = module->n_out > 0 ? module->n_out : module->n_in;
    const int64_t dims[] = {module->n_stack, n};
    const bool is_stacked = module->n_stack > 0;
    return add_tensor(s, module, module->is_bare ? "_bias" : ".bias", s->options->dtype,
                      is_stacked ? dims : dims + 1, is_stacked ? 2 : 1, err);
}

static krs_status plan_module(synth *s, const krs_synth_module *module, krs_error *err)
{
    const krs_dtype dtype = s->options->dtype;
    const char *suffix = module->is_bare ? "" : ".weight";
    const bool is_turned = module->is_transposed;
    krs_status status;
    if (module->n_out == 0) {
        status = add_tensor(s, module, suffix, dtype, &module->n_in, 1, err);
    } else if (is_quantised(s, module)) {
        status = plan_quantised(s, module, err);
    } else {
        status = add_rows(s, module, suffix, dtype, is_turned ? module->n_in : module->n_out,
                          is_turned ? module->n_out : module->n_in, err);
    }
    return status == KRS_OK && module->has_bias ? plan_bias(s, module, err) : status;
}

static krs_status put(synth *s, const void *bytes, size_t n_bytes, krs_error *err)
{
    const krs_status status = krs_safetensors_writer_put(s->writer, bytes, n_bytes, err);
    s->n_done += n_bytes;
    if (status == KRS_OK && s->options->progress) {
        s->options->progress(s->options->ctx, s->n_done, s->n_bytes);
    }
    return status;
}

/* floats[n] as dtype into packed; F32 is copied. */
static void convert(krs_dtype dtype, const float *floats, size_t n, unsigned char *packed)
{
    if (dtype == KRS_DTYPE_F32) {
        memcpy(packed, floats, n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t half =
            dtype == KRS_DTYPE_F16 ? krs_f16_of_f32(floats[i]) : krs_bf16_of_f32(floats[i]);
        memcpy(packed + i * sizeof(half), &half, sizeof(half));
    }
}

/* The next tensor, all the same or (NULL) all random, in the dense dtype. */
static krs_status write_dense(synth *s, const float *constant, krs_error *err)
{
    const krs_tensor *tensor = &s->tensors[s->next++];
    const size_t step = krs_dtype_bytes(tensor->dtype);
    const size_t n = tensor->n_bytes / step;
    const uint64_t key = krs_synth_key(s->options->seed, tensor->name);
    krs_status status = KRS_OK;
    for (size_t at = 0; status == KRS_OK && at < n; at += PIECE_VALUES) {
        const size_t n_piece = n - at < PIECE_VALUES ? n - at : PIECE_VALUES;
        krs_synth_values_fill(s->values, key, at, n_piece, s->floats);
        for (size_t i = 0; constant && i < n_piece; i++) {
            s->floats[i] = *constant;
        }
        convert(tensor->dtype, s->floats, n_piece, s->packed);
        status = put(s, s->packed, n_piece * step, err);
    }
    return status;
}

/* The next three tensors. Groups do not know rows, so the matrix is cut into pieces as one long row. */
static krs_status write_codes(synth *s, const krs_tensor *weight, size_t n, unsigned char *scales,
                              unsigned char *biases, krs_error *err)
{
    const krs_quant *quant = &s->options->quant;
    const size_t scale_bytes = krs_dtype_bytes(s->options->dtype);
    const uint64_t key = krs_synth_key(s->options->seed, weight->name);
    krs_status status = KRS_OK;
    for (size_t at = 0; status == KRS_OK && at < n; at += PIECE_VALUES) {
        const size_t n_piece = n - at < PIECE_VALUES ? n - at : PIECE_VALUES;
        const krs_matrix piece = {.n_out = 1,
                                  .n_in = (int64_t)n_piece,
                                  .quant = *quant,
                                  .dtype = KRS_DTYPE_U32,
                                  .scale_dtype = s->options->dtype};
        const size_t group = at / (size_t)quant->group * scale_bytes;
        krs_synth_values_fill(s->values, key, at, n_piece, s->floats);
        status =
            krs_quant_affine(s->floats, &piece, s->packed, scales + group, biases + group, err);
        if (status == KRS_OK) {
            status = put(s, s->packed, krs_matrix_data_bytes(&piece), err);
        }
    }
    return status;
}

static krs_status write_quantised(synth *s, const krs_synth_module *module, krs_error *err)
{
    const krs_tensor *weight = &s->tensors[s->next];
    const size_t scale_bytes = weight[1].n_bytes;
    const size_t n_stack = module->n_stack > 0 ? (size_t)module->n_stack : 1;
    const size_t n = n_stack * (size_t)module->n_out * (size_t)module->n_in;
    unsigned char *scales = krs_alloc_array(s->alloc, 2, scale_bytes);
    if (!scales) {
        return krs_fail(err, KRS_ENOMEM, "scales of %.*s: %zu bytes", KRS_STR_ARGS(module->name),
                        scale_bytes);
    }
    s->next += 3;
    krs_status status = write_codes(s, weight, n, scales, scales + scale_bytes, err);
    if (status == KRS_OK) {
        status = put(s, scales, scale_bytes, err);
    }
    if (status == KRS_OK) {
        status = put(s, scales + scale_bytes, scale_bytes, err);
    }
    krs_alloc_free(s->alloc, scales);
    return status;
}

static krs_status write_module(synth *s, const krs_synth_module *module, krs_error *err)
{
    const float one = 1.0f - module->offset;
    krs_status status = is_quantised(s, module)
                            ? write_quantised(s, module, err)
                            : write_dense(s, module->n_out == 0 ? &one : NULL, err);
    if (status == KRS_OK && module->has_bias) {
        status = write_dense(s, NULL, err);
    }
    return status;
}

static krs_status check_options(const krs_synth_options *options, uint32_t n, krs_error *err)
{
    const krs_dtype dtype = options->dtype;
    if (dtype != KRS_DTYPE_F32 && dtype != KRS_DTYPE_F16 && dtype != KRS_DTYPE_BF16) {
        return krs_fail(err, KRS_EINVAL, "dtype %s, want F32, F16 or BF16", krs_dtype_name(dtype));
    }
    if (options->size != sizeof(*options) || n == 0 || n > KRS_ST_MAX_TENSORS / PER_MODULE) {
        return krs_fail(err, KRS_EINVAL, "%u modules, want 1..%u", n,
                        KRS_ST_MAX_TENSORS / PER_MODULE);
    }
    return KRS_OK;
}

static krs_status prepare(synth *s, const krs_synth_module *modules, uint32_t n, krs_error *err)
{
    s->tensors = krs_arena_array(&s->arena, (size_t)n * PER_MODULE, sizeof(s->tensors[0]));
    s->values = krs_synth_values_new(KRS_SYNTH_STD, s->alloc);
    s->floats = krs_alloc_array(s->alloc, PIECE_VALUES, sizeof(s->floats[0]));
    s->packed = krs_alloc_array(s->alloc, PIECE_VALUES, sizeof(float));
    if (!s->tensors || !s->values || !s->floats || !s->packed) {
        return krs_fail(err, KRS_ENOMEM, "plan of %u modules", n);
    }
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        status = plan_module(s, &modules[i], err);
    }
    return status;
}

static krs_status write_all(synth *s, const char *dir, const krs_synth_module *modules, uint32_t n,
                            krs_error *err)
{
    krs_status status = krs_safetensors_writer_open(
        dir, s->tensors, s->n_tensors, s->options->max_shard_bytes, s->alloc, &s->writer, err);
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        status = write_module(s, &modules[i], err);
    }
    return status == KRS_OK ? krs_safetensors_writer_finish(s->writer, err) : status;
}

static krs_synth_result result_of(const synth *s, const krs_synth_module *modules, uint32_t n)
{
    krs_synth_result result = {.n_bytes = s->n_bytes,
                               .n_tensors = s->n_tensors,
                               .n_shards = krs_safetensors_writer_n_shards(s->writer)};
    for (uint32_t i = 0; i < n; i++) {
        const krs_synth_module *m = &modules[i];
        const uint64_t n_stack = m->n_stack > 0 ? (uint64_t)m->n_stack : 1;
        const uint64_t rows = m->n_out > 0 ? (uint64_t)m->n_out : 1;
        const uint64_t n_bias = m->n_out > 0 ? rows : (uint64_t)m->n_in;
        result.n_parameters += n_stack * rows * (uint64_t)m->n_in;
        result.n_parameters += m->has_bias ? n_stack * n_bias : 0;
    }
    return result;
}

krs_status krs_synth_write(const char *dir, const krs_synth_module *modules, uint32_t n,
                           const krs_synth_options *options, const krs_alloc *alloc,
                           krs_synth_result *out, krs_error *err)
{
    synth s = {.options = options, .alloc = alloc};
    krs_status status = check_options(options, n, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_arena_init(&s.arena, alloc, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    status = prepare(&s, modules, n, err);
    if (status == KRS_OK) {
        status = write_all(&s, dir, modules, n, err);
    }
    if (status == KRS_OK && out) {
        *out = result_of(&s, modules, n);
    }
    krs_safetensors_writer_free(s.writer);
    krs_synth_values_free(s.values);
    krs_alloc_free(alloc, s.floats);
    krs_alloc_free(alloc, s.packed);
    krs_arena_deinit(&s.arena);
    return status;
}
