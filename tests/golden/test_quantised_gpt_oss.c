/* golden/test_quantised_gpt_oss.c - gpt-oss with its experts in mxfp4, in the hub's own packing and in MLX's,
 * against the same experts dense.
 *
 *   hub     experts.gate_up_proj_blocks U8 [experts, 2 * ffn, hidden / 32, 16], _scales U8 [.., hidden / 32],
 *           rows of gate and up in turn; down_proj likewise
 *   MLX     experts.gate_proj.weight U32 [experts, ffn, hidden / 8], .scales, .bias; up_proj, down_proj
 *   dense   experts.gate_up_proj [experts, hidden, 2 * ffn], the other way round
 *
 * Codes are made by our quantiser (held to MLX's bits elsewhere) and read here by the definition: two to a
 * byte, the lower first, times a power of two. */
#include "support/golden_folder.h"
#include "support/quant_folder.h"

#define GROUP 32

/* On cpu rows meet quantised weights in bytes (docs/numerics.md). */
static const double tolerances[2] = {1e-6, 3e-2};

static krs_quant_pair pair; /* two tables of tensors: too large for a stack */

/* One stack of experts: codes and scales of [experts, rows, columns]. */
typedef struct stack {
    krs_str name;
    int64_t n, rows, columns;
    unsigned char *codes;
    unsigned char *scales;
    float *dense; /* [experts, columns, rows] */
} stack;

/* Twice the value of each e2m1 code. */
static const int8_t twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void widen(stack *s)
{
    for (int64_t i = 0; i < s->n * s->rows * s->columns; i++) {
        const unsigned code = (unsigned)s->codes[i / 2] >> (i % 2 * 4) & 15u;
        const int64_t e = i / (s->rows * s->columns);
        const int64_t row = i / s->columns % s->rows;
        const int64_t column = i % s->columns;
        s->dense[(e * s->columns + column) * s->rows + row] =
            ldexpf((float)twice[code], (int)s->scales[i / GROUP] - 128);
    }
}

/* t is [experts, columns, rows]. */
static stack quantise(const krs_tensor *t)
{
    stack s = {.name = t->name, .n = t->dims[0], .rows = t->dims[2], .columns = t->dims[1]};
    const int64_t n = s.n * s.rows * s.columns;
    float *w = krs_quant_pair_bytes(&pair, (size_t)n * sizeof(*w));
    for (int64_t i = 0; i < n; i++) {
        const int64_t e = i / (s.rows * s.columns);
        const int64_t from = (e * s.columns + i % s.columns) * s.rows + i / s.columns % s.rows;
        assert_true(krs_f32_of_any(t->dtype, (const unsigned char *)t->data + 2 * from, 1, &w[i]));
    }
    const krs_matrix shape = {.n_out = s.n * s.rows,
                              .n_in = s.columns,
                              .quant = {KRS_QUANT_MXFP4, 4, GROUP},
                              .scale_dtype = KRS_DTYPE_U8};
    s.codes = krs_quant_pair_bytes(&pair, (size_t)n / 2);
    s.scales = krs_quant_pair_bytes(&pair, (size_t)(n / GROUP));
    s.dense = krs_quant_pair_bytes(&pair, (size_t)n * sizeof(float));
    assert_int_equal(krs_quantise(w, t->dtype, &shape, s.codes, s.scales, NULL, NULL), KRS_OK);
    widen(&s);
    return s;
}

static void add(krs_str module, const char *suffix, krs_dtype dtype, int32_t rank,
                const int64_t *dims, const void *bytes)
{
    krs_quant_side_add(&pair, &pair.quantised, module, suffix, dtype, rank, dims, bytes);
}

static void add_hub(const stack *s)
{
    const int64_t blocks[4] = {s->n, s->rows, s->columns / GROUP, GROUP / 2};
    add(s->name, "_blocks", KRS_DTYPE_U8, 4, blocks, s->codes);
    add(s->name, "_scales", KRS_DTYPE_U8, 3, blocks, s->scales);
}

/* Every `step`th row of each expert from `first` on: bytes of rows of n. */
static void *every(const void *bytes, int64_t n_rows, size_t n, int64_t first, int64_t step)
{
    unsigned char *out = krs_quant_pair_bytes(&pair, (size_t)(n_rows / step) * n);
    for (int64_t i = 0; i < n_rows / step; i++) {
        memcpy(out + (size_t)i * n, (const unsigned char *)bytes + (size_t)(first + i * step) * n,
               n);
    }
    return out;
}

/* MLX's module: every `step`th row, with its bias. */
static void add_mlx(const stack *s, const char *module, int64_t first, int64_t step,
                    const krs_tensor *bias)
{
    char name[128];
    const int64_t n_rows = s->n * s->rows;
    const char *end = s->name.ptr + krs_str_find(s->name, KRS_STR(".experts."), 0) + 9;
    const int len =
        snprintf(name, sizeof(name), "%.*s%s", (int)(end - s->name.ptr), s->name.ptr, module);
    const krs_str stem = {name, (size_t)len};
    const int64_t weight[3] = {s->n, s->rows / step, s->columns / 8};
    const int64_t scales[3] = {s->n, s->rows / step, s->columns / GROUP};
    add(stem, ".weight", KRS_DTYPE_U32, 3, weight,
        every(s->codes, n_rows, (size_t)s->columns / 2, first, step));
    add(stem, ".scales", KRS_DTYPE_U8, 3, scales,
        every(s->scales, n_rows, (size_t)(s->columns / GROUP), first, step));
    add(stem, ".bias", bias->dtype, 2, weight, every(bias->data, n_rows, 2, first, step));
}

static const krs_tensor *bias_of(krs_str name)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "%.*s_bias", KRS_STR_ARGS(name));
    const krs_tensor *bias = krs_tensor_dir_find(&pair.dir, krs_str_of(text));
    assert_non_null(bias);
    return bias;
}

static void add_stack(const krs_tensor *t, bool is_mlx)
{
    stack s = quantise(t);
    const bool is_down = krs_str_ends_with(t->name, KRS_STR("down_proj"));
    if (!is_mlx) {
        add_hub(&s);
    } else if (is_down) {
        add_mlx(&s, "down_proj", 0, 1, bias_of(t->name));
    } else {
        add_mlx(&s, "gate_proj", 0, 2, bias_of(t->name));
        add_mlx(&s, "up_proj", 1, 2, bias_of(t->name));
    }
    krs_quant_side_add(&pair, &pair.dense, t->name, "", KRS_DTYPE_F32, 3, t->dims, s.dense);
}

static void check(bool is_mlx, const char *field, const char *block)
{
    uint32_t n_stacks = 0;
    krs_quant_pair_clear(&pair);
    for (uint32_t i = 0; i < pair.dir.n_tensors; i++) {
        const krs_tensor *t = &pair.dir.tensors[i];
        const bool is_bias = krs_str_ends_with(t->name, KRS_STR("_proj_bias"));
        const bool is_expert = krs_str_find(t->name, KRS_STR(".experts."), 0) != SIZE_MAX;
        if (is_expert && !is_bias) {
            add_stack(t, is_mlx);
            n_stacks++;
        } else if (is_expert && is_mlx) {
            krs_quant_side_add(&pair, &pair.dense, t->name, "", t->dtype, t->rank, t->dims,
                               t->data);
        } else {
            krs_quant_pair_keep(&pair, t);
        }
    }
    assert_true(n_stacks >= 4);
    (void)krs_quant_pair_check(&pair, block, field, block, tolerances);
}

static void experts_in_mxfp4_are_their_dense_weights(void **state)
{
    krs_golden_folder folder;
    (void)state;
    krs_golden_folder_open(&folder, "gpt_oss");
    assert_true(krs_quant_pair_open(&pair, folder.dir));
    krs_golden_folder_close(&folder);
    check(false, "quantization_config",
          "{\"quant_method\":\"mxfp4\",\"modules_to_not_convert\":[\"lm_head\"]}");
    check(true, "quantization", "{\"mode\":\"mxfp4\",\"bits\":4,\"group_size\":32}");
    krs_quant_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_in_mxfp4_are_their_dense_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
