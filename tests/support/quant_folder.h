/* support/quant_folder.h - a golden model written twice: quantised somehow, and dense with the f32 values
 * that those codes mean. Whoever reads both right gets the same logits.
 *
 *     krs_quant_pair pair;
 *     krs_quant_pair_open(&pair, "llama");                  tests/data/golden/llama
 *     for each source tensor: krs_quant_pair_keep, or krs_quant_pair_add to either side
 *     krs_quant_pair_check(&pair, "gptq", block, tol_ref, tol_cpu);
 *
 * Thread: one owner.  Memory: one arena. */
#pragma once

#include "base/arena.h"
#include "format/safetensors.h"
#include "format/safetensors_write.h"
#include "model/model.h"
#include "os/dir.h"
#include "os/file.h"
#include "support/one_seq.h"
#include "wire/json.h"

#include <math.h>

#define QUANT_PAIR_MAX_TENSORS 4096
#define QUANT_PAIR_TOKENS      24u
#define QUANT_PAIR_MAX_BYTES   (256u << 20)

/* The tensors of one side. */
typedef struct krs_quant_side {
    krs_tensor tensors[QUANT_PAIR_MAX_TENSORS];
    uint32_t n;
} krs_quant_side;

typedef struct krs_quant_pair {
    krs_safetensors *source;
    krs_tensor_dir dir;
    json_t *config;
    krs_arena arena;
    krs_quant_side quantised;
    krs_quant_side dense;
    uint64_t random;
    bool is_exact; /* the cpu device takes rows in two terms */
} krs_quant_pair;

static inline uint32_t krs_quant_pair_random(krs_quant_pair *p)
{
    p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(p->random >> 33);
}

static inline void *krs_quant_pair_bytes(krs_quant_pair *p, size_t n)
{
    void *bytes = krs_arena_bytes(&p->arena, n > 0 ? n : 1);
    assert_non_null(bytes);
    memset(bytes, 0, n);
    return bytes;
}

/* module + suffix, of `rank` dimensions. bytes: borrowed. */
static inline void krs_quant_side_add(krs_quant_pair *p, krs_quant_side *side, krs_str module,
                                      const char *suffix, krs_dtype dtype, int32_t rank,
                                      const int64_t *dims, const void *bytes)
{
    char name[256];
    assert_true(side->n < QUANT_PAIR_MAX_TENSORS);
    krs_tensor *t = &side->tensors[side->n++];
    const int n = snprintf(name, sizeof(name), "%.*s%s", KRS_STR_ARGS(module), suffix);
    *t = (krs_tensor){.dtype = dtype, .rank = rank, .data = bytes};
    t->name = krs_arena_copy(&p->arena, (krs_str){name, (size_t)n});
    t->n_bytes = krs_dtype_bytes(dtype);
    for (int32_t i = 0; i < rank; i++) {
        t->dims[i] = dims[i];
        t->n_bytes *= (size_t)dims[i];
    }
}

/* A tensor of the source as it is, on both sides. */
static inline void krs_quant_pair_keep(krs_quant_pair *p, const krs_tensor *t)
{
    krs_quant_side_add(p, &p->quantised, t->name, "", t->dtype, t->rank, t->dims, t->data);
    krs_quant_side_add(p, &p->dense, t->name, "", t->dtype, t->rank, t->dims, t->data);
}

static inline json_t *krs_quant_pair_json(const char *path)
{
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    assert_int_equal(krs_os_file_read(path, &text, NULL), KRS_OK);
    json_t *root = json_loadb(text.data, text.len, 0, NULL);
    assert_non_null(root);
    krs_buf_deinit(&text);
    return root;
}

/* Does this configuration choose among experts? */
static inline bool krs_quant_pair_has_experts(const json_t *config)
{
    static const char *const fields[] = {"num_experts", "num_local_experts", "n_routed_experts"};
    const json_t *text = json_object_get(config, "text_config");
    for (size_t i = 0; i < 3; i++) {
        if (json_object_get(config, fields[i]) || json_object_get(text, fields[i])) {
            return true;
        }
    }
    return false;
}

/* False when the case has no weights here. */
static inline bool krs_quant_pair_open(krs_quant_pair *p, const char *folder)
{
    char path[KRS_OS_PATH_BYTES];
    *p = (krs_quant_pair){.random = 20240917};
    if (krs_safetensors_open(folder, KRS_OS_MAP_SHARED_PAGES, NULL, &p->source, NULL) != KRS_OK) {
        return false;
    }
    p->dir = *krs_safetensors_dir(p->source);
    assert_int_equal(krs_os_path_join(folder, "config.json", path, sizeof(path)), KRS_OK);
    p->config = krs_quant_pair_json(path);
    /* Rows in bytes now and then tip a near tie between experts of random weights, and then that row is
     * another; rows of two terms do not come near one. */
    p->is_exact = krs_quant_pair_has_experts(p->config);
    krs_arena_init(&p->arena, NULL, 1u << 20, QUANT_PAIR_MAX_BYTES);
    return true;
}

static inline void krs_quant_pair_close(krs_quant_pair *p)
{
    krs_safetensors_close(p->source);
    json_decref(p->config);
    krs_arena_deinit(&p->arena);
}

/* Forget what was added, for the next way to quantise. */
static inline void krs_quant_pair_clear(krs_quant_pair *p)
{
    p->quantised.n = 0;
    p->dense.n = 0;
    krs_arena_reset(&p->arena);
}

/* Write one side with config.json (and block as `field`, where given), open it. */
static inline krs_model *krs_quant_side_open(krs_quant_pair *p, const krs_quant_side *side,
                                             const char *field, const char *block)
{
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    krs_safetensors_writer *writer;
    krs_model *model = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    krs_one_seq_must(krs_safetensors_writer_open(dir, side->tensors, side->n,
                                                 KRS_ST_DEFAULT_SHARD_BYTES, NULL, &writer, &err),
                     &err);
    for (uint32_t i = 0; i < side->n; i++) {
        const krs_tensor *t = &side->tensors[i];
        if (t->n_bytes > 0) {
            krs_one_seq_must(krs_safetensors_writer_put(writer, t->data, t->n_bytes, &err), &err);
        }
    }
    krs_one_seq_must(krs_safetensors_writer_finish(writer, &err), &err);
    krs_safetensors_writer_free(writer);
    json_t *config = json_copy(p->config);
    if (field) {
        json_t *value = json_loads(block, 0, NULL);
        assert_non_null(value);
        assert_int_equal(json_object_set_new(config, field, value), 0);
    }
    char *text = json_dumps(config, 0);
    assert_non_null(text);
    assert_int_equal(krs_os_path_join(dir, "config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, text, strlen(text), NULL), KRS_OK);
    free(text);
    json_decref(config);
    const krs_status status = krs_model_open(dir, NULL, NULL, &model, &err);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    if (status != KRS_OK) {
        fail_msg("%s: %s", block ? block : "dense", err.message);
    }
    return model;
}

/* Logits of a fixed prompt; free(). */
static inline float *krs_quant_side_run(const krs_model *model, const char *device, bool is_exact)
{
    krs_one_seq seq;
    uint32_t tokens[QUANT_PAIR_TOKENS];
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.is_exact = is_exact;
    krs_one_seq_open_as(&seq, device, &options, KRS_DTYPE_COUNT, krs_model_program(model));
    float *out = calloc(QUANT_PAIR_TOKENS * (size_t)seq.vocab, sizeof(*out));
    assert_non_null(out);
    for (uint32_t i = 0; i < QUANT_PAIR_TOKENS; i++) {
        tokens[i] = (i * 37 + 11) % (uint32_t)seq.vocab;
    }
    krs_one_seq_feed(&seq, tokens, QUANT_PAIR_TOKENS, out);
    krs_one_seq_close(&seq);
    return out;
}

static inline void krs_quant_pair_compare(const char *what, const char *device, const float *got,
                                          const float *want, size_t n, double tolerance)
{
    double miss = 0;
    double power = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        miss += d * d;
        power += (double)want[i] * (double)want[i];
    }
    const double rms = sqrt(miss / power);
    if (!(rms <= tolerance)) { /* NaN fails too */
        fail_msg("%s on %s: relative RMS %.3g, want %.3g", what, device, rms, tolerance);
    }
}

/* Both sides opened and run: equal on ref within tolerances[0], the quantised one on cpu within [1]. */
static inline krs_model_stats krs_quant_pair_check(krs_quant_pair *p, const char *what,
                                                   const char *field, const char *block,
                                                   const double *tolerances)
{
    krs_model *quantised = krs_quant_side_open(p, &p->quantised, field, block);
    krs_model *dense = krs_quant_side_open(p, &p->dense, NULL, NULL);
    const krs_program *program = krs_model_program(dense);
    const size_t n = QUANT_PAIR_TOKENS * (size_t)program->slots[program->logits].width;
    float *want = krs_quant_side_run(dense, "ref", false);
    float *ref = krs_quant_side_run(quantised, "ref", false);
    float *cpu = krs_quant_side_run(quantised, "cpu", p->is_exact);
    krs_quant_pair_compare(what, "ref", ref, want, n, tolerances[0]);
    krs_quant_pair_compare(what, "cpu", cpu, want, n, tolerances[1]);
    const krs_model_stats stats = krs_model_stats_of(quantised);
    free(want);
    free(ref);
    free(cpu);
    krs_model_close(quantised);
    krs_model_close(dense);
    return stats;
}
