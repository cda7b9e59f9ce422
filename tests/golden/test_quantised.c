/* golden/test_quantised.c - whole models quantised in every way we read, against the same models dense.
 *
 * The weights are a golden case's. MLX's modes are made by our quantiser (held to MLX's own bits in
 * unit/format/test_quant.c). The hub's layouts are packed here, from the published formulas and with no
 * code of the readers': AutoGPTQ's and AutoAWQ's packing, DeepSeek's weight_dequant, compressed-tensors'
 * pack_to_int32. What a code means is computed here as well, in f32, and stored dense.
 *
 * On ref nothing but the order of exact operations may differ; the cpu device has its golden bound. */
#include "support/golden_folder.h"
#include "support/quant_folder.h"
#include "tensor/minifloat.h"

/* On cpu rows meet quantised weights in bytes (docs/numerics.md). */
static const double tolerances[2] = {1e-6, 3e-2};

/* One weight on its way into a file. */
typedef struct weight {
    krs_quant_pair *pair;
    krs_str module;
    int64_t n_out;
    int64_t n_in;
    krs_dtype dtype; /* as the source has it */
    const float *w;  /* [n_out, n_in] */
    float *dense;    /* [n_out, n_in] what the codes mean; filled by the layout */
} weight;

static void add(const weight *w, const char *suffix, krs_dtype dtype, int64_t rows, int64_t columns,
                const void *bytes)
{
    const int64_t dims[2] = {rows, columns};
    krs_quant_side_add(w->pair, &w->pair->quantised, w->module, suffix, dtype, columns > 0 ? 2 : 1,
                       dims, bytes);
}

static void *room(const weight *w, int64_t n, size_t item)
{
    return krs_quant_pair_bytes(w->pair, (size_t)n * item);
}

/* ---- MLX */

typedef struct mlx_way {
    krs_quant base;
    krs_quant down; /* of mlp.down_proj; kind NONE: dense */
    bool is_head_dense;
    const char *block;
} mlx_way;

static bool ends_with(krs_str s, const char *end)
{
    const size_t n = strlen(end);
    return s.len >= n && memcmp(s.ptr + s.len - n, end, n) == 0;
}

static krs_quant quant_of(const mlx_way *way, krs_str module)
{
    const krs_quant dense = {KRS_QUANT_NONE, 0, 0};
    if (ends_with(module, "lm_head") && way->is_head_dense) {
        return dense;
    }
    return ends_with(module, "mlp.down_proj") ? way->down : way->base;
}

/* False: this weight stays dense. */
static bool make_mlx(const weight *w, const void *how)
{
    krs_matrix m = {.n_out = w->n_out, .n_in = w->n_in, .quant = quant_of(how, w->module)};
    if (m.quant.kind == KRS_QUANT_NONE || w->n_in % m.quant.group != 0) {
        return false;
    }
    const bool has_biases = krs_quant_has_biases(m.quant.kind);
    m.dtype = KRS_DTYPE_U32;
    m.scale_dtype = has_biases ? w->dtype : KRS_DTYPE_U8;
    const int64_t n_groups = w->n_in / m.quant.group;
    unsigned char *data = room(w, (int64_t)krs_matrix_data_bytes(&m), 1);
    unsigned char *scales = room(w, (int64_t)krs_matrix_scale_bytes(&m), 1);
    unsigned char *biases = has_biases ? scales + krs_matrix_scale_bytes(&m) / 2 : NULL;
    assert_int_equal(krs_quantise(w->w, w->dtype, &m, data, scales, biases, NULL), KRS_OK);
    m.data = data;
    m.scales = scales;
    m.biases = biases;
    for (int64_t r = 0; r < w->n_out; r++) {
        krs_matrix_row(&m, r, w->dense + r * w->n_in);
    }
    add(w, ".weight", KRS_DTYPE_U32, w->n_out, w->n_in * m.quant.bits / 32, data);
    add(w, ".scales", m.scale_dtype, w->n_out, n_groups, scales);
    if (has_biases) {
        add(w, ".biases", m.scale_dtype, w->n_out, n_groups, biases);
    }
    return true;
}

/* ---- GPTQ and AWQ */

typedef struct column_way {
    int32_t bits;
    int64_t group; /* -1: the row */
    bool is_awq;
    bool is_v2;
    bool has_act_order;
    const char *block;
} column_way;

/* Codes and zero points [n_groups, n_out], scales f16, each column's group: a plain min-max quantiser. */
typedef struct columns {
    int64_t n_groups;
    uint32_t *q; /* [n_in, n_out] */
    uint32_t *zero;
    uint16_t *scale;
    int32_t *group_of;
} columns;

static void fit(const weight *w, const column_way *way, columns *c, int64_t g, int64_t o)
{
    const float top = (float)((1 << way->bits) - 1);
    float low = 0;
    float high = 0;
    for (int64_t i = 0; i < w->n_in; i++) {
        const float x = w->w[o * w->n_in + i];
        low = c->group_of[i] == g && x < low ? x : low;
        high = c->group_of[i] == g && x > high ? x : high;
    }
    const uint16_t scale = krs_f16_of_f32((high - low) / top + 1e-6f);
    const float step = krs_f32_of_f16(scale);
    const float zero = rintf(-low / step);
    const float least = way->is_awq || way->is_v2 ? 0 : 1; /* the first format stores zero - 1 */
    c->scale[g * w->n_out + o] = scale;
    c->zero[g * w->n_out + o] = (uint32_t)fminf(fmaxf(zero, least), top);
    for (int64_t i = 0; i < w->n_in; i++) {
        if (c->group_of[i] != g) {
            continue;
        }
        const float used = (float)c->zero[g * w->n_out + o];
        const float q = fminf(fmaxf(rintf(w->w[o * w->n_in + i] / step) + used, 0), top);
        c->q[i * w->n_out + o] = (uint32_t)q;
        w->dense[o * w->n_in + i] = (q - used) * step;
    }
}

static columns quantise_columns(const weight *w, const column_way *way)
{
    const int64_t group = way->group > 0 && way->group < w->n_in ? way->group : w->n_in;
    columns c = {.n_groups = (w->n_in + group - 1) / group};
    c.q = room(w, w->n_in * w->n_out, sizeof(*c.q));
    c.zero = room(w, c.n_groups * w->n_out, sizeof(*c.zero));
    c.scale = room(w, c.n_groups * w->n_out, sizeof(*c.scale));
    c.group_of = room(w, w->n_in, sizeof(*c.group_of));
    for (int64_t i = 0; i < w->n_in; i++) {
        c.group_of[i] = (int32_t)(i / group);
    }
    for (int64_t i = w->n_in - 1; i > 0 && way->has_act_order; i--) {
        const int64_t other = krs_quant_pair_random(w->pair) % (i + 1);
        const int32_t kept = c.group_of[i];
        c.group_of[i] = c.group_of[other];
        c.group_of[other] = kept;
    }
    for (int64_t g = 0; g < c.n_groups; g++) {
        for (int64_t o = 0; o < w->n_out; o++) {
            fit(w, way, &c, g, o);
        }
    }
    return c;
}

/* values[rows, columns] of `bits`, packed along the columns: place[k] says which of the values that share a
 * word has bits from k * bits. */
static uint32_t *pack_along_columns(const weight *w, const uint32_t *values, int64_t rows,
                                    int32_t bits, const int *place, uint32_t less)
{
    const int64_t p = 32 / bits;
    uint32_t *words = room(w, rows * w->n_out / p, sizeof(*words));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t word = 0; word < w->n_out / p; word++) {
            for (int64_t k = 0; k < p; k++) {
                const uint32_t value = values[r * w->n_out + word * p + place[k]] - less;
                words[r * (w->n_out / p) + word] |= value << (k * bits);
            }
        }
    }
    return words;
}

static bool make_columns(const weight *w, const void *how)
{
    static const int in_order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const int awq_order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    const column_way *way = how;
    const int64_t p = 32 / way->bits;
    const uint32_t less = way->is_awq || way->is_v2 ? 0 : 1;
    if (ends_with(w->module, "lm_head") || ends_with(w->module, "embed_tokens")) {
        return false;
    }
    const columns c = quantise_columns(w, way);
    const int *order = way->is_awq ? awq_order : in_order;
    add(w, ".scales", KRS_DTYPE_F16, c.n_groups, w->n_out, c.scale);
    add(w, ".qzeros", KRS_DTYPE_I32, c.n_groups, w->n_out / p,
        pack_along_columns(w, c.zero, c.n_groups, way->bits, order, less));
    if (way->is_awq) {
        add(w, ".qweight", KRS_DTYPE_I32, w->n_in, w->n_out / p,
            pack_along_columns(w, c.q, w->n_in, way->bits, order, 0));
        return true;
    }
    uint32_t *words = room(w, w->n_in / p * w->n_out, sizeof(*words));
    for (int64_t i = 0; i < w->n_in; i++) {
        for (int64_t o = 0; o < w->n_out; o++) {
            words[i / p * w->n_out + o] |= c.q[i * w->n_out + o] << (i % p * way->bits);
        }
    }
    add(w, ".qweight", KRS_DTYPE_I32, w->n_in / p, w->n_out, words);
    add(w, ".g_idx", KRS_DTYPE_I32, w->n_in, 0, c.group_of);
    return true;
}

/* ---- fp8 and integers under a table of scales */

typedef struct table_way {
    bool is_fp8;
    int32_t bits;          /* 8, or 4: packed */
    int64_t block_rows;    /* 0: all rows */
    int64_t block_columns; /* 0: all columns */
    const char *scale_name;
    krs_dtype scale_dtype;
    bool has_act_order; /* packed: the groups of the columns, shuffled */
    const char *block;
} table_way;

static float largest(const weight *w, int64_t row, int64_t rows, const int32_t *group_of, int64_t g)
{
    float top = 1e-6f;
    for (int64_t o = row; o < row + rows && o < w->n_out; o++) {
        for (int64_t i = 0; i < w->n_in; i++) {
            const float x = fabsf(w->w[o * w->n_in + i]);
            top = group_of[i] == g && x > top ? x : top;
        }
    }
    return top;
}

/* A scale as the file will hold it, in *bytes, and its value. */
static float store_scale(const table_way *way, float scale, void *bytes, int64_t i)
{
    if (way->scale_dtype == KRS_DTYPE_F32) {
        memcpy((float *)bytes + i, &scale, sizeof(scale));
        return scale;
    }
    const uint16_t half = krs_bf16_of_f32(scale);
    memcpy((uint16_t *)bytes + i, &half, sizeof(half));
    return krs_f32_of_bf16(half);
}

static int32_t *groups_of(const weight *w, const table_way *way, int64_t group)
{
    int32_t *group_of = room(w, w->n_in, sizeof(*group_of));
    for (int64_t i = 0; i < w->n_in; i++) {
        group_of[i] = (int32_t)(way->has_act_order ? i * 7 % w->n_in / group : i / group);
    }
    return group_of;
}

/* Element (o, i): its code into codes, and what it means. */
static void encode(const weight *w, const table_way *way, int64_t o, int64_t i, float scale,
                   unsigned char *codes)
{
    const int64_t at = o * w->n_in + i;
    if (way->is_fp8) {
        codes[at] = krs_e4m3_of_f32(w->w[at] / scale);
        w->dense[at] = krs_f32_of_e4m3(codes[at]) * scale;
        return;
    }
    const float top = (float)((1 << (way->bits - 1)) - 1);
    const float q = fminf(fmaxf(rintf(w->w[at] / scale), -top - 1), top);
    w->dense[at] = q * scale;
    if (way->bits == 4) { /* low nibble first, half the range added */
        codes[at / 2] |= (unsigned char)((unsigned)((int)q + 8) << (at % 2 * 4));
    } else {
        codes[at] = (unsigned char)(int8_t)q;
    }
}

/* Codes of the whole weight, and their scales [ceil(n_out / rows_each), n_groups]. */
static void encode_all(const weight *w, const table_way *way, int64_t rows_each,
                       const int32_t *group_of, int64_t n_groups, unsigned char *codes,
                       void *scales)
{
    const float top_code = way->is_fp8 ? 448.0f : way->bits == 4 ? 7.0f : 127.0f;
    for (int64_t k = 0; k < w->n_out * n_groups; k++) {
        const int64_t row = k / n_groups / rows_each;
        const int64_t g = k % n_groups;
        const float top = largest(w, row * rows_each, rows_each, group_of, g);
        const float scale = store_scale(way, top / top_code, scales, row * n_groups + g);
        for (int64_t i = 0; i < w->n_in; i++) {
            if (group_of[i] == g) {
                encode(w, way, k / n_groups, i, scale, codes);
            }
        }
    }
}

static void add_codes(const weight *w, const table_way *way, unsigned char *codes,
                      const int32_t *group_of)
{
    const int64_t shape[2] = {w->n_out, w->n_in};
    if (way->bits == 8) {
        add(w, ".weight", way->is_fp8 ? KRS_DTYPE_F8_E4M3 : KRS_DTYPE_I8, w->n_out, w->n_in, codes);
        return;
    }
    add(w, ".weight_packed", KRS_DTYPE_I32, w->n_out, w->n_in / 8, codes);
    add(w, ".weight_shape", KRS_DTYPE_I64, 2, 0,
        memcpy(room(w, 2, sizeof(int64_t)), shape, sizeof(shape)));
    if (way->has_act_order) {
        add(w, ".weight_g_idx", KRS_DTYPE_I32, w->n_in, 0, group_of);
    }
}

static bool make_table(const weight *w, const void *how)
{
    const table_way *way = how;
    if (ends_with(w->module, "lm_head") || ends_with(w->module, "embed_tokens")) {
        return false;
    }
    const int64_t rows_each = way->block_rows > 0 ? way->block_rows : w->n_out;
    const int64_t group = way->block_columns > 0 ? way->block_columns : w->n_in;
    const int64_t rows = (w->n_out + rows_each - 1) / rows_each;
    const int64_t n_groups = (w->n_in + group - 1) / group;
    const int32_t *group_of = groups_of(w, way, group);
    unsigned char *codes = room(w, w->n_out * w->n_in, 1);
    void *scales = room(w, rows * n_groups, sizeof(float));
    encode_all(w, way, rows_each, group_of, n_groups, codes, scales);
    add_codes(w, way, codes, group_of);
    const bool is_scalar = rows * n_groups == 1;
    add(w, way->scale_name, way->scale_dtype, is_scalar ? 1 : rows, is_scalar ? 0 : n_groups,
        scales);
    return true;
}

/* ---- whole models */

/* A matrix by MLX's rule: a linear or an embedding. */
static bool is_matrix(const krs_tensor *t)
{
    return t->rank == 2 && ends_with(t->name, ".weight") &&
           (t->dtype == KRS_DTYPE_F32 || t->dtype == KRS_DTYPE_F16 || t->dtype == KRS_DTYPE_BF16);
}

static void convert(krs_quant_pair *p, const krs_tensor *t,
                    bool (*make)(const weight *w, const void *how), const void *how)
{
    const size_t n = is_matrix(t) ? (size_t)(t->dims[0] * t->dims[1]) : 0;
    if (n == 0) {
        krs_quant_pair_keep(p, t);
        return;
    }
    float *values = krs_quant_pair_bytes(p, n * sizeof(*values));
    const weight w = {.pair = p,
                      .module = {t->name.ptr, t->name.len - strlen(".weight")},
                      .n_out = t->dims[0],
                      .n_in = t->dims[1],
                      .dtype = t->dtype,
                      .w = values,
                      .dense = krs_quant_pair_bytes(p, n * sizeof(float))};
    assert_true(krs_f32_of_any(t->dtype, t->data, n, values));
    if (make(&w, how)) {
        krs_quant_side_add(p, &p->dense, w.module, ".weight", KRS_DTYPE_F32, 2, t->dims, w.dense);
    } else {
        krs_quant_pair_keep(p, t);
    }
}

static krs_model_stats check(krs_quant_pair *p, const char *field, const char *block,
                             bool (*make)(const weight *w, const void *how), const void *how)
{
    krs_quant_pair_clear(p);
    for (uint32_t i = 0; i < p->dir.n_tensors; i++) {
        convert(p, &p->dir.tensors[i], make, how);
    }
    return krs_quant_pair_check(p, block, field, block, tolerances);
}

static krs_quant_pair pair; /* two tables of tensors: too large for a stack */

static void open_case(const char *name)
{
    krs_golden_folder folder;
    krs_golden_folder_open(&folder, name);
    assert_true(krs_quant_pair_open(&pair, folder.dir));
    krs_golden_folder_close(&folder); /* the mapping stays */
}

static void modes_of_mlx_are_their_dense_weights(void **state)
{
    (void)state;
#define Q(kind, bits, group)                                                                       \
    {                                                                                              \
        KRS_QUANT_##kind, bits, group                                                              \
    }
#define SAME(kind, bits, group) Q(kind, bits, group), Q(kind, bits, group)
    static const mlx_way ways[] = {
        {SAME(AFFINE, 2, 32), false, "{\"bits\":2,\"group_size\":32}"},
        {SAME(AFFINE, 3, 64), false, "{\"bits\":3,\"group_size\":64}"},
        {SAME(AFFINE, 4, 32), false, "{\"bits\":4,\"group_size\":32,\"mode\":\"affine\"}"},
        {SAME(AFFINE, 5, 32), false, "{\"bits\":5,\"group_size\":32}"},
        {SAME(AFFINE, 6, 64), false, "{\"bits\":6,\"group_size\":64}"},
        {SAME(AFFINE, 8, 32), false, "{\"bits\":8,\"group_size\":32}"},
        {SAME(MXFP4, 4, 32), false, "{\"mode\":\"mxfp4\"}"},
        {SAME(MXFP8, 8, 32), false, "{\"mode\":\"mxfp8\"}"},
        {SAME(NVFP4, 4, 16), false, "{\"mode\":\"nvfp4\"}"},
        {Q(MXFP4, 4, 32), Q(AFFINE, 6, 32), true,
         "{\"mode\":\"mxfp4\",\"lm_head\":false,"
         "\"model.layers.0.mlp.down_proj\":{\"bits\":6,\"group_size\":32},"
         "\"model.layers.1.mlp.down_proj\":{\"bits\":6,\"group_size\":32,\"mode\":\"affine\"},"
         "\"model.layers.2.mlp.down_proj\":{\"bits\":6,\"group_size\":32}}"},
    };
#undef SAME
#undef Q
    open_case("llama");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        const krs_model_stats stats =
            check(&pair, "quantization", ways[i].block, make_mlx, &ways[i]);
        assert_int_equal(stats.converted_bytes, 0); /* all views of the file */
    }
    krs_quant_pair_close(&pair);
}

static void gptq_and_awq_are_their_dense_weights(void **state)
{
    (void)state;
#define METHOD(method, rest) "{\"quant_method\":\"" method "\"," rest "}"
    static const column_way ways[] = {
        {4, 32, false, false, false, METHOD("gptq", "\"bits\":4,\"group_size\":32")},
        {4, -1, false, false, false, METHOD("gptq", "\"bits\":4,\"group_size\":-1")},
        {8, 32, false, true, false,
         METHOD("gptq", "\"bits\":8,\"group_size\":32,\"checkpoint_format\":\"gptq_v2\"")},
        {4, 32, false, false, true,
         METHOD("gptq", "\"bits\":4,\"group_size\":32,\"desc_act\":true")},
        {4, 128, false, false, false, METHOD("gptq", "\"bits\":4,\"group_size\":128")},
        {4, 32, true, false, false, METHOD("awq", "\"bits\":4,\"group_size\":32")},
        {4, 64, true, false, false,
         METHOD("awq", "\"w_bit\":4,\"q_group_size\":64,\"version\":\"gemm\"")},
    };
    static const char *const cases[] = {"llama", "qwen2"}; /* without and with biases */
    for (size_t c = 0; c < 2; c++) {
        open_case(cases[c]);
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
            const krs_model_stats stats =
                check(&pair, "quantization_config", ways[i].block, make_columns, &ways[i]);
            assert_true(stats.converted_bytes > 0);
        }
        krs_quant_pair_close(&pair);
    }
}

static void scaled_bytes_are_their_dense_weights(void **state)
{
    (void)state;
#define CT(rest) METHOD("compressed-tensors", rest)
#define CT_INT8  CT("\"format\":\"int-quantized\"")
#define CT_INT4  CT("\"format\":\"pack-quantized\"")
    static const table_way ways[] = {
        {true, 8, 0, 0, ".weight_scale", KRS_DTYPE_F32, false, METHOD("fp8", "\"fmt\":\"e4m3\"")},
        {true, 8, 0, 0, ".weight_scale_inv", KRS_DTYPE_BF16, false,
         METHOD("fp8", "\"weight_block_size\":null")},
        {true, 8, 1, 0, ".weight_scale", KRS_DTYPE_BF16, false,
         CT("\"format\":\"float-quantized\"")},
        {true, 8, 128, 128, ".weight_scale_inv", KRS_DTYPE_F32, false,
         METHOD("fp8", "\"weight_block_size\":[128,128]")},
        {true, 8, 48, 24, ".weight_scale_inv", KRS_DTYPE_F32, false,
         METHOD("fp8", "\"weight_block_size\":[48,24]")},
        {false, 8, 1, 0, ".weight_scale", KRS_DTYPE_F32, false, CT_INT8},
        {false, 8, 1, 32, ".weight_scale", KRS_DTYPE_BF16, false, CT_INT8},
        {false, 8, 0, 0, ".weight_scale", KRS_DTYPE_F32, false, CT_INT8},
        {false, 4, 1, 32, ".weight_scale", KRS_DTYPE_BF16, false, CT_INT4},
        {false, 4, 1, 0, ".weight_scale", KRS_DTYPE_BF16, false, CT_INT4},
        {false, 4, 1, 32, ".weight_scale", KRS_DTYPE_F32, true, CT_INT4},
    };
    open_case("qwen2");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        (void)check(&pair, "quantization_config", ways[i].block, make_table, &ways[i]);
    }
    krs_quant_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_of_mlx_are_their_dense_weights),
        cmocka_unit_test(gptq_and_awq_are_their_dense_weights),
        cmocka_unit_test(scaled_bytes_are_their_dense_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
