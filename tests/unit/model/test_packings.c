/* tests/unit/model/test_packings.c - the same weights in the other packings that people have, opened to
 * the same answers: gpt_oss with the hub's mxfp4 and in MLX's halves, experts stacked as MLX and as
 * transformers 5 stack them, qwen3_5 as MLX turns it.
 *
 * Each case takes a golden model apart tensor by tensor and writes it anew. On ref the order of sums does
 * not depend on where weights lie, so the logits must be equal to the last bit; but for norms that MLX has
 * added one to, where that one is added in another place. */
#include "format/safetensors.h"
#include "format/safetensors_write.h"
#include "model/model.h"
#include "support/golden_folder.h"
#include "support/one_seq.h"

#include <math.h>

enum { MAX_TENSORS = 256, MAX_NAME = 128, PROMPT = 20, EXPERTS = 4, WIDTH = 64, FFN = 160 };

/* A model being written. */
typedef struct packing {
    krs_tensor tensors[MAX_TENSORS];
    char names[MAX_TENSORS][MAX_NAME];
    void *owned[MAX_TENSORS];
    uint32_t n;
} packing;

static void put(packing *p, const char *name, krs_tensor tensor)
{
    assert_true(p->n < MAX_TENSORS);
    (void)snprintf(p->names[p->n], MAX_NAME, "%s", name);
    tensor.name = krs_str_of(p->names[p->n]);
    p->tensors[p->n++] = tensor;
}

/* Room for a tensor's bytes that the packing frees. */
static void *put_new(packing *p, const char *name, krs_dtype dtype, int32_t rank,
                     const int64_t *dims)
{
    krs_tensor tensor = {.dtype = dtype, .rank = rank, .n_bytes = krs_dtype_bytes(dtype)};
    for (int32_t i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
        tensor.n_bytes *= (size_t)dims[i];
    }
    void *bytes = krs_alloc_zero(NULL, tensor.n_bytes);
    assert_non_null(bytes);
    tensor.data = bytes;
    p->owned[p->n] = bytes;
    put(p, name, tensor);
    return bytes;
}

static void write_folder(const packing *p, const char *dir)
{
    krs_safetensors_writer *writer = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_one_seq_must(krs_safetensors_writer_open(dir, p->tensors, p->n, KRS_ST_DEFAULT_SHARD_BYTES,
                                                 NULL, &writer, &err),
                     &err);
    for (uint32_t i = 0; i < p->n; i++) {
        krs_one_seq_must(
            krs_safetensors_writer_put(writer, p->tensors[i].data, p->tensors[i].n_bytes, &err),
            &err);
    }
    krs_one_seq_must(krs_safetensors_writer_finish(writer, &err), &err);
    krs_safetensors_writer_free(writer);
}

/* Logits of a short prompt, [PROMPT, vocab]; the caller frees. */
static float *answer(const char *dir, size_t *n)
{
    krs_model *model = NULL;
    krs_one_seq seq;
    krs_error err = KRS_ERROR_INIT;
    uint32_t tokens[PROMPT];
    krs_one_seq_must(krs_model_open(dir, NULL, NULL, &model, &err), &err);
    krs_one_seq_open(&seq, "ref", NULL, KRS_DTYPE_COUNT, krs_model_program(model));
    for (uint32_t i = 0; i < PROMPT; i++) {
        tokens[i] = (i * 97 + 13) % 512;
    }
    *n = PROMPT * (size_t)seq.vocab;
    float *logits = calloc(*n, sizeof(*logits));
    assert_non_null(logits);
    krs_one_seq_feed(&seq, tokens, PROMPT, logits);
    krs_one_seq_close(&seq);
    krs_model_close(model);
    return logits;
}

/* Everything that take leaves; take returns whether it has written the tensor itself. */
typedef bool (*take_fn)(packing *p, const krs_tensor *tensor);

/* The golden case `name` through take, in a folder with `config` (NULL: the case's own). */
static float *answer_of(const char *name, take_fn take, const char *config, size_t *n)
{
    krs_golden_folder folder;
    krs_safetensors *st = NULL;
    krs_error err = KRS_ERROR_INIT;
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    packing *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    krs_golden_folder_open(&folder, name);
    krs_one_seq_must(krs_safetensors_open(folder.dir, KRS_OS_MAP_SHARED_PAGES, NULL, &st, &err),
                     &err);
    for (uint32_t i = 0; i < krs_safetensors_count(st); i++) {
        const krs_tensor *tensor = krs_safetensors_at(st, i);
        if (!take || !take(p, tensor)) {
            char text[MAX_NAME];
            (void)snprintf(text, sizeof(text), "%.*s", KRS_STR_ARGS(tensor->name));
            put(p, text, *tensor);
        }
    }
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    write_folder(p, dir);
    if (config) {
        krs_golden_path(path, dir, "config.json");
        assert_int_equal(krs_os_file_write(path, config, strlen(config), NULL), KRS_OK);
    } else {
        krs_golden_copy(folder.dir, "config.json", dir);
    }
    float *logits = answer(dir, n);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    for (uint32_t i = 0; i < p->n; i++) {
        krs_alloc_free(NULL, p->owned[i]);
    }
    krs_safetensors_close(st);
    krs_golden_folder_close(&folder);
    free(p);
    return logits;
}

static void expect_equal(const char *name, take_fn one, const char *one_config, take_fn other,
                         const char *other_config)
{
    size_t n;
    size_t m;
    float *a = answer_of(name, one, one_config, &n);
    float *b = answer_of(name, other, other_config, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n * sizeof(*a));
    free(a);
    free(b);
}

static float bf16_at(const krs_tensor *tensor, int64_t i)
{
    uint16_t x;
    memcpy(&x, (const unsigned char *)tensor->data + 2 * i, sizeof(x));
    return krs_f32_of_bf16(x);
}

/* Of a stack [experts, n_in, n_out]: expert e the right way round, [n_out, n_in]. */
static void turn(const krs_tensor *tensor, int64_t e, float *out)
{
    const int64_t n_in = tensor->dims[1];
    const int64_t n_out = tensor->dims[2];
    for (int64_t i = 0; i < n_in; i++) {
        for (int64_t o = 0; o < n_out; o++) {
            out[o * n_in + i] = bf16_at(tensor, (e * n_in + i) * n_out + o);
        }
    }
}

static const krs_quant mxfp4 = {KRS_QUANT_MXFP4, 4, 32};

/* Expert e of a stack in mxfp4: codes [n_out, n_in / 2] and scales [n_out, n_in / 32]. */
static void quantise(const krs_tensor *tensor, int64_t e, unsigned char *codes,
                     unsigned char *scales)
{
    static float w[2 * FFN * WIDTH];
    krs_error err = KRS_ERROR_INIT;
    const krs_matrix shape = {.n_out = tensor->dims[2],
                              .n_in = tensor->dims[1],
                              .quant = mxfp4,
                              .scale_dtype = KRS_DTYPE_U8};
    turn(tensor, e, w);
    krs_one_seq_must(krs_quantise(w, KRS_DTYPE_F32, &shape, codes, scales, NULL, &err), &err);
}

static bool is_expert_matrix(krs_str name)
{
    return krs_str_ends_with(name, KRS_STR("gate_up_proj")) ||
           krs_str_ends_with(name, KRS_STR("experts.down_proj"));
}

/* The hub's packing: gate_up_proj_blocks and _scales. */
static bool take_blocks(packing *p, const krs_tensor *tensor)
{
    if (!is_expert_matrix(tensor->name)) {
        return false;
    }
    char name[MAX_NAME];
    const int64_t n_in = tensor->dims[1];
    const int64_t n_out = tensor->dims[2];
    (void)snprintf(name, sizeof(name), "%.*s_blocks", KRS_STR_ARGS(tensor->name));
    unsigned char *codes =
        put_new(p, name, KRS_DTYPE_U8, 4, (int64_t[]){EXPERTS, n_out, n_in / 32, 16});
    (void)snprintf(name, sizeof(name), "%.*s_scales", KRS_STR_ARGS(tensor->name));
    unsigned char *scales =
        put_new(p, name, KRS_DTYPE_U8, 3, (int64_t[]){EXPERTS, n_out, n_in / 32});
    for (int64_t e = 0; e < EXPERTS; e++) {
        quantise(tensor, e, codes + e * n_out * n_in / 2, scales + e * n_out * n_in / 32);
    }
    return true;
}

/* What those codes say, in bf16 (which holds all of it), stored transposed again. */
static bool take_dequantised(packing *p, const krs_tensor *tensor)
{
    static unsigned char codes[FFN * WIDTH];
    static unsigned char scales[2 * FFN * WIDTH / 32];
    if (!is_expert_matrix(tensor->name)) {
        return false;
    }
    char name[MAX_NAME];
    const int64_t n_in = tensor->dims[1];
    const int64_t n_out = tensor->dims[2];
    (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(tensor->name));
    uint16_t *out = put_new(p, name, KRS_DTYPE_BF16, 3, tensor->dims);
    const krs_matrix m = {.n_out = n_out,
                          .n_in = n_in,
                          .quant = mxfp4,
                          .scale_dtype = KRS_DTYPE_U8,
                          .data = codes,
                          .scales = scales};
    for (int64_t e = 0; e < EXPERTS; e++) {
        quantise(tensor, e, codes, scales);
        for (int64_t o = 0; o < n_out; o++) {
            float row[2 * FFN];
            krs_matrix_row(&m, o, row);
            for (int64_t i = 0; i < n_in; i++) {
                out[(e * n_in + i) * n_out + o] = krs_bf16_of_f32(row[i]);
                assert_true(krs_f32_of_bf16(krs_bf16_of_f32(row[i])) == row[i]);
            }
        }
    }
    return true;
}

/* w: gate and up of all experts in turn, rows of n_in; written apart, of the tensor's rank. */
static void put_halves(packing *p, const krs_tensor *tensor, const char *stem, const char *suffix,
                       const float *w, int64_t n_in)
{
    static const char *const halves[] = {"gate_proj", "up_proj"};
    for (int half = 0; half < 2; half++) {
        char name[MAX_NAME];
        (void)snprintf(name, sizeof(name), "%s%s%s", stem, halves[half], suffix);
        const int64_t dims[] = {EXPERTS, FFN, n_in};
        uint16_t *out = put_new(p, name, KRS_DTYPE_BF16, tensor->rank, dims);
        for (int64_t i = 0; i < EXPERTS * FFN * n_in; i++) {
            const int64_t row = 2 * (i / n_in) + half;
            out[i] = krs_bf16_of_f32(w[row * n_in + i % n_in]);
        }
    }
}

/* w: room for one expert's weights. */
static void take_mlx_down(packing *p, const krs_tensor *tensor, const char *stem, float *w)
{
    char name[MAX_NAME];
    const bool is_bias = krs_str_ends_with(tensor->name, KRS_STR("down_proj_bias"));
    (void)snprintf(name, sizeof(name), "%sdown_proj%s", stem, is_bias ? ".bias" : ".weight");
    if (is_bias) {
        put(p, name, *tensor);
        return;
    }
    uint16_t *out = put_new(p, name, KRS_DTYPE_BF16, 3, (int64_t[]){EXPERTS, WIDTH, FFN});
    for (int64_t e = 0; e < EXPERTS; e++) {
        turn(tensor, e, w);
        for (int64_t i = 0; i < WIDTH * FFN; i++) {
            out[e * WIDTH * FFN + i] = krs_bf16_of_f32(w[i]);
        }
    }
}

/* MLX's halves: gate and up taken apart, the right way round, biases beside them. */
static bool take_mlx_gpt_oss(packing *p, const krs_tensor *tensor)
{
    static float w[EXPERTS * 2 * FFN * WIDTH];
    char stem[MAX_NAME / 2];
    const char *at = strstr(tensor->name.ptr, "experts.");
    if (!at || at >= tensor->name.ptr + tensor->name.len) {
        return false;
    }
    (void)snprintf(stem, sizeof(stem), "%.*s", (int)(at - tensor->name.ptr) + 8, tensor->name.ptr);
    if (krs_str_ends_with(tensor->name, KRS_STR("gate_up_proj_bias"))) {
        for (int64_t i = 0; i < EXPERTS * 2 * FFN; i++) {
            w[i] = bf16_at(tensor, i);
        }
        put_halves(p, tensor, stem, ".bias", w, 1);
        return true;
    }
    if (krs_str_ends_with(tensor->name, KRS_STR("gate_up_proj"))) {
        for (int64_t e = 0; e < EXPERTS; e++) {
            turn(tensor, e, w + e * 2 * FFN * WIDTH);
        }
        put_halves(p, tensor, stem, ".weight", w, WIDTH);
        return true;
    }
    take_mlx_down(p, tensor, stem, w);
    return true;
}

#define GPT_OSS_CONFIG                                                                             \
    "{\"model_type\": \"gpt_oss\", \"architectures\": [\"GptOssForCausalLM\"],"                    \
    " \"attention_bias\": true, \"head_dim\": 32, \"hidden_act\": \"silu\", \"hidden_size\": 64,"  \
    " \"intermediate_size\": 160, \"layer_types\": [\"sliding_attention\", \"full_attention\","    \
    " \"sliding_attention\", \"full_attention\"], \"max_position_embeddings\": 512,"               \
    " \"num_attention_heads\": 4, \"num_experts_per_tok\": 2, \"num_hidden_layers\": 4,"           \
    " \"num_key_value_heads\": 2, \"num_local_experts\": 4, \"rms_norm_eps\": 1e-05,"              \
    " \"rope_parameters\": {\"rope_theta\": 150000.0, \"rope_type\": \"default\"},"                \
    " \"sliding_window\": 16, \"tie_word_embeddings\": false, \"vocab_size\": 512"

static void the_hubs_mxfp4_is_its_values(void **state)
{
    (void)state;
    expect_equal("gpt_oss", take_blocks,
                 GPT_OSS_CONFIG ", \"quantization_config\": {\"quant_method\": \"mxfp4\"}}",
                 take_dequantised, GPT_OSS_CONFIG "}");
}

static void mlx_halves_of_gpt_oss_are_the_whole(void **state)
{
    (void)state;
    expect_equal("gpt_oss", NULL, NULL, take_mlx_gpt_oss, NULL);
}

/* "model.layers.2.mlp.experts.5.up_proj.weight": 2, 5, "up_proj". */
static bool is_expert(krs_str name, int *layer, int *expert, char *kind)
{
    char text[MAX_NAME];
    (void)snprintf(text, sizeof(text), "%.*s", KRS_STR_ARGS(name));
    return sscanf(text, "model.layers.%d.mlp.experts.%d.%15[a-z_].weight", layer, expert, kind) ==
           3;
}

static krs_tensor *find(packing *p, const char *name)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (krs_str_equal(p->tensors[i].name, krs_str_of(name))) {
            return &p->tensors[i];
        }
    }
    return NULL;
}

/* Expert e's matrix into the stack `name` [8 experts, n_stacked, n_in], from row `at` on. */
static void stack(packing *p, const krs_tensor *tensor, const char *name, int expert,
                  int64_t n_stacked, int64_t at)
{
    const int64_t n_in = tensor->dims[1];
    krs_tensor *to = find(p, name);
    if (!to) {
        (void)put_new(p, name, KRS_DTYPE_BF16, 3, (int64_t[]){8, n_stacked, n_in});
        to = find(p, name);
    }
    const uint32_t index = (uint32_t)(to - p->tensors);
    unsigned char *bytes = p->owned[index];
    memcpy(bytes + 2 * (expert * n_stacked + at) * n_in, tensor->data, tensor->n_bytes);
}

static bool take_stacked(packing *p, const krs_tensor *tensor)
{
    int layer;
    int expert;
    char kind[16];
    char name[MAX_NAME];
    if (!is_expert(tensor->name, &layer, &expert, kind)) {
        return false;
    }
    (void)snprintf(name, sizeof(name), "model.layers.%d.mlp.switch_mlp.%s.weight", layer, kind);
    stack(p, tensor, name, expert, tensor->dims[0], 0);
    return true;
}

/* transformers 5's: gate over up in one, neither called ".weight". */
static bool take_two_stacks(packing *p, const krs_tensor *tensor)
{
    int layer;
    int expert;
    char kind[16];
    char name[MAX_NAME];
    if (!is_expert(tensor->name, &layer, &expert, kind)) {
        return false;
    }
    const bool is_down = strcmp(kind, "down_proj") == 0;
    const bool is_up = strcmp(kind, "up_proj") == 0;
    (void)snprintf(name, sizeof(name), "model.layers.%d.mlp.experts.%s", layer,
                   is_down ? "down_proj" : "gate_up_proj");
    stack(p, tensor, name, expert, is_down ? tensor->dims[0] : 2 * tensor->dims[0],
          is_up ? tensor->dims[0] : 0);
    return true;
}

static void stacked_experts_are_the_single_ones(void **state)
{
    (void)state;
    expect_equal("qwen3_moe", NULL, NULL, take_stacked, NULL);
    expect_equal("qwen3_moe", NULL, NULL, take_two_stacks, NULL);
}

/* MLX's kernels are [channels, kernel, 1], and its norms have the one in them; in F32 here. */
static bool take_mlx_qwen3_5(packing *p, const krs_tensor *tensor)
{
    char name[MAX_NAME];
    (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(tensor->name));
    if (krs_str_ends_with(tensor->name, KRS_STR("conv1d.weight"))) {
        krs_tensor turned = *tensor;
        turned.dims[1] = tensor->dims[2];
        turned.dims[2] = 1;
        put(p, name, turned);
        return true;
    }
    if (!krs_str_ends_with(tensor->name, KRS_STR("norm.weight")) ||
        krs_str_ends_with(tensor->name, KRS_STR("linear_attn.norm.weight"))) {
        return false;
    }
    float *out = put_new(p, name, KRS_DTYPE_F32, 1, tensor->dims);
    for (int64_t i = 0; i < tensor->dims[0]; i++) {
        out[i] = bf16_at(tensor, i) + 1.0f;
    }
    return true;
}

static void mlx_norms_are_not_offset_again(void **state)
{
    (void)state;
    size_t n;
    float *a = answer_of("qwen3_5", NULL, NULL, &n);
    float *b = answer_of("qwen3_5", take_mlx_qwen3_5, NULL, &n);
    for (size_t i = 0; i < n; i++) {
        assert_true(fabsf(a[i] - b[i]) < 1e-3f);
    }
    free(a);
    free(b);
}

static bool take_fewer_experts(packing *p, const krs_tensor *tensor)
{
    if (!is_expert_matrix(tensor->name)) {
        return false;
    }
    char name[MAX_NAME];
    (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(tensor->name));
    krs_tensor fewer = *tensor;
    fewer.dims[0]--;
    fewer.n_bytes = fewer.n_bytes / EXPERTS * (EXPERTS - 1);
    put(p, name, fewer);
    return true;
}

static void a_stack_with_an_expert_too_few_is_refused(void **state)
{
    (void)state;
    krs_golden_folder folder;
    krs_safetensors *st = NULL;
    krs_model *model = NULL;
    krs_error err = KRS_ERROR_INIT;
    char dir[KRS_OS_PATH_BYTES];
    packing *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    krs_golden_folder_open(&folder, "gpt_oss");
    krs_one_seq_must(krs_safetensors_open(folder.dir, KRS_OS_MAP_SHARED_PAGES, NULL, &st, &err),
                     &err);
    for (uint32_t i = 0; i < krs_safetensors_count(st); i++) {
        const krs_tensor *tensor = krs_safetensors_at(st, i);
        char text[MAX_NAME];
        (void)snprintf(text, sizeof(text), "%.*s", KRS_STR_ARGS(tensor->name));
        if (!take_fewer_experts(p, tensor)) {
            put(p, text, *tensor);
        }
    }
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    write_folder(p, dir);
    krs_golden_copy(folder.dir, "config.json", dir);
    assert_int_equal(krs_model_open(dir, NULL, NULL, &model, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "3 experts, config.json says there are 4"));
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    krs_safetensors_close(st);
    krs_golden_folder_close(&folder);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hubs_mxfp4_is_its_values),
        cmocka_unit_test(mlx_halves_of_gpt_oss_are_the_whole),
        cmocka_unit_test(stacked_experts_are_the_single_ones),
        cmocka_unit_test(mlx_norms_are_not_offset_again),
        cmocka_unit_test(a_stack_with_an_expert_too_few_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
