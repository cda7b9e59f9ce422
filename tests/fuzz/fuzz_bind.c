/* tests/fuzz/fuzz_bind.c - from a configuration and tensors that may lie about each other to a program whose
 * rows can be read: the metadata of MLX, GPTQ, AWQ, fp8, compressed-tensors and gpt-oss's blocks.
 *
 *   input:  config.json's text | NUL | layout | edits of 4 bytes: tensor, what, a, b
 *
 * A small honest llama in the named layout (of gpt-oss: a mixture) is built, edited, bound, and every matrix
 * read at its first and last row. Each tensor has an allocation of exactly its bytes, so that a reader that believes config.json
 * more than the tensor is caught. */
#include "format/config.h"
#include "model/bind.h"
#include "model/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TENSORS    96
#define NAME_BYTES     64
#define MAX_TENSOR     (1u << 18) /* bytes of an edited tensor; larger ones are left as they were */
#define MAX_BYTES      (8u << 20) /* of a program, so that an absurd config is over soon */
#define MAX_LAYERS     4
#define MAX_ROW_FLOATS (1 << 20)

/* Sizes of the honest model: two heads of 32, one of them with keys. */
enum { HIDDEN = 64, FFN = 64, VOCAB = 32, KEY = 32, GROUP = 32, EXPERTS = 2 };

typedef enum layout {
    DENSE,
    MLX_AFFINE,
    MLX_MXFP4,
    GPTQ,
    AWQ,
    FP8,
    INT8,
    PACKED,
    BLOCKS,
    N_LAYOUTS
} layout;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzzed {
    char names[MAX_TENSORS][NAME_BYTES];
    krs_tensor tensors[MAX_TENSORS];
    uint32_t n;
} fuzzed;

static size_t bytes_of(const krs_tensor *t)
{
    size_t n = krs_dtype_bytes(t->dtype);
    for (int32_t i = 0; i < t->rank; i++) {
        if (__builtin_mul_overflow(n, (size_t)t->dims[i], &n)) {
            return SIZE_MAX;
        }
    }
    return n;
}

/* A new allocation of exactly the tensor's bytes, of a pattern that no reader should mind. */
static void fill(krs_tensor *t)
{
    union {
        const void *bytes;
        void *to_free;
    } old = {t->data};
    free(old.to_free);
    t->n_bytes = bytes_of(t);
    unsigned char *data =
        t->n_bytes <= PTRDIFF_MAX ? malloc(t->n_bytes > 0 ? t->n_bytes : 1) : NULL;
    if (!data) {
        abort(); /* what is fuzzed has been bounded before */
    }
    for (size_t i = 0; i < t->n_bytes; i++) {
        data[i] = t->dtype == KRS_DTYPE_I32 ? 0 : (unsigned char)(i * 37 % 64);
    }
    t->data = data;
}

static void add_tensor(fuzzed *f, const char *module, const char *suffix, const krs_tensor *tensor)
{
    if (f->n == MAX_TENSORS) {
        abort();
    }
    krs_tensor *t = &f->tensors[f->n];
    (void)snprintf(f->names[f->n], NAME_BYTES, "%s%s", module, suffix);
    *t = *tensor;
    f->n++;
    fill(t);
}

/* rank 1: columns is 0. */
static void add(fuzzed *f, const char *module, const char *suffix, krs_dtype dtype, int64_t rows,
                int64_t columns)
{
    const krs_tensor t = {.dtype = dtype, .rank = columns > 0 ? 2 : 1, .dims = {rows, columns}};
    add_tensor(f, module, suffix, &t);
}

static void add_mlx(fuzzed *f, const char *module, layout how, int64_t rows, int64_t columns)
{
    const bool is_affine = how == MLX_AFFINE;
    add(f, module, ".weight", KRS_DTYPE_U32, rows, columns / 8);
    add(f, module, ".scales", is_affine ? KRS_DTYPE_BF16 : KRS_DTYPE_U8, rows, columns / GROUP);
    if (is_affine) {
        add(f, module, ".biases", KRS_DTYPE_BF16, rows, columns / GROUP);
    }
}

static void add_columns(fuzzed *f, const char *module, layout how, int64_t rows, int64_t columns)
{
    const bool is_awq = how == AWQ;
    add(f, module, ".qweight", KRS_DTYPE_I32, is_awq ? columns : columns / 8,
        is_awq ? rows / 8 : rows);
    add(f, module, ".qzeros", KRS_DTYPE_I32, columns / GROUP, rows / 8);
    add(f, module, ".scales", KRS_DTYPE_F16, columns / GROUP, rows);
    if (!is_awq) {
        add(f, module, ".g_idx", KRS_DTYPE_I32, columns, 0);
    }
}

static void add_linear(fuzzed *f, const char *module, layout how, int64_t rows, int64_t columns)
{
    switch (how) {
    case MLX_AFFINE:
    case MLX_MXFP4:
        add_mlx(f, module, how, rows, columns);
        break;
    case GPTQ:
    case AWQ:
        add_columns(f, module, how, rows, columns);
        break;
    case FP8:
        add(f, module, ".weight", KRS_DTYPE_F8_E4M3, rows, columns);
        add(f, module, ".weight_scale_inv", KRS_DTYPE_F32, (rows + 47) / 48, (columns + 47) / 48);
        break;
    case INT8:
        add(f, module, ".weight", KRS_DTYPE_I8, rows, columns);
        add(f, module, ".weight_scale", KRS_DTYPE_F32, rows, 1);
        break;
    case PACKED:
        add(f, module, ".weight_packed", KRS_DTYPE_I32, rows, columns / 8);
        add(f, module, ".weight_scale", KRS_DTYPE_BF16, rows, columns / GROUP);
        add(f, module, ".weight_g_idx", KRS_DTYPE_I32, columns, 0);
        break;
    default:
        add(f, module, ".weight", KRS_DTYPE_BF16, rows, columns);
        break;
    }
}

/* All experts of one projection, as gpt-oss keeps them. */
static void add_blocks(fuzzed *f, const char *module, int64_t rows, int64_t columns)
{
    const krs_tensor blocks = {
        .dtype = KRS_DTYPE_U8, .rank = 4, .dims = {EXPERTS, rows, columns / GROUP, GROUP / 2}};
    const krs_tensor scales = {
        .dtype = KRS_DTYPE_U8, .rank = 3, .dims = {EXPERTS, rows, columns / GROUP}};
    add_tensor(f, module, "_blocks", &blocks);
    add_tensor(f, module, "_scales", &scales);
    add(f, module, "_bias", KRS_DTYPE_BF16, EXPERTS, rows);
}

static void add_mixture(fuzzed *f)
{
    add(f, "model.layers.0.self_attn.sinks", "", KRS_DTYPE_BF16, HIDDEN / KEY, 0);
    add(f, "model.layers.0.mlp.router", ".weight", KRS_DTYPE_BF16, EXPERTS, HIDDEN);
    add(f, "model.layers.0.mlp.router", ".bias", KRS_DTYPE_BF16, EXPERTS, 0);
    add_blocks(f, "model.layers.0.mlp.experts.gate_up_proj", 2 * (int64_t)FFN, HIDDEN);
    add_blocks(f, "model.layers.0.mlp.experts.down_proj", HIDDEN, FFN);
}

static void build_honest(fuzzed *f, layout how)
{
    static const struct {
        const char *module;
        int64_t rows;
    } linears[] = {
        {"model.layers.0.self_attn.q_proj", HIDDEN}, {"model.layers.0.self_attn.k_proj", KEY},
        {"model.layers.0.self_attn.v_proj", KEY},    {"model.layers.0.self_attn.o_proj", HIDDEN},
        {"model.layers.0.mlp.gate_proj", FFN},       {"model.layers.0.mlp.up_proj", FFN},
        {"model.layers.0.mlp.down_proj", HIDDEN},
    };
    const bool is_mlx = how == MLX_AFFINE || how == MLX_MXFP4;
    f->n = 0;
    add_linear(f, "model.embed_tokens", is_mlx ? how : DENSE, VOCAB, HIDDEN);
    add_linear(f, "lm_head", is_mlx ? how : DENSE, VOCAB, HIDDEN);
    add(f, "model.norm", ".weight", KRS_DTYPE_BF16, HIDDEN, 0);
    add(f, "model.layers.0.input_layernorm", ".weight", KRS_DTYPE_BF16, HIDDEN, 0);
    add(f, "model.layers.0.post_attention_layernorm", ".weight", KRS_DTYPE_BF16, HIDDEN, 0);
    /* Of a mixture the first four only: its experts are the rest. */
    const size_t n_linears = how == BLOCKS ? 4 : sizeof(linears) / sizeof(linears[0]);
    for (size_t i = 0; i < n_linears; i++) {
        add_linear(f, linears[i].module, how, linears[i].rows, HIDDEN);
    }
    if (how == BLOCKS) {
        add_mixture(f);
    }
}

/* One lie. */
static void edit(fuzzed *f, const uint8_t e[4])
{
    static const char *const suffixes[] = {
        ".biases", ".weight_zero_point", ".weight_scale", ".g_idx", ".bias", ".weight"};
    krs_tensor *t = &f->tensors[e[0] % f->n];
    krs_tensor changed = *t;
    char *name = f->names[e[0] % f->n];
    char *dot = strrchr(name, '.');
    unsigned char *bytes = (unsigned char *)(uintptr_t)t->data;
    switch (e[1] % 6) {
    case 0:
        name[0] = '\0'; /* gone */
        return;
    case 1:
        changed.dtype = (krs_dtype)(e[2] % KRS_DTYPE_COUNT);
        break;
    case 2:
        changed.dims[t->rank > 0 ? e[2] % t->rank : 0] = e[3];
        break;
    case 3:
        changed.rank = e[2] % 5;
        changed.dims[changed.rank > 0 ? changed.rank - 1 : 0] = e[3] % 9;
        break;
    case 4:
        if (t->n_bytes > 0) {
            bytes[(size_t)e[2] * 7 % t->n_bytes] = e[3];
        }
        return;
    default:
        if (dot && (size_t)(dot - name) + strlen(suffixes[e[2] % 6]) < NAME_BYTES) {
            memcpy(dot, suffixes[e[2] % 6], strlen(suffixes[e[2] % 6]) + 1);
        }
        return;
    }
    if (bytes_of(&changed) <= MAX_TENSOR) {
        *t = changed;
        fill(t);
    }
}

static int by_name(const void *a, const void *b)
{
    return krs_tensor_name_order(((const krs_tensor *)a)->name, ((const krs_tensor *)b)->name);
}

/* The directory a reader would leave: sorted, each name once. */
static krs_tensor_dir directory(const fuzzed *f, krs_tensor *sorted)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->names[i][0] != '\0') {
            sorted[n] = f->tensors[i];
            sorted[n++].name = krs_str_of(f->names[i]);
        }
    }
    qsort(sorted, n, sizeof(sorted[0]), by_name);
    uint32_t kept = n > 0 ? 1 : 0;
    for (uint32_t i = 1; i < n; i++) {
        if (!krs_str_equal(sorted[i].name, sorted[kept - 1].name)) {
            sorted[kept++] = sorted[i];
        }
    }
    return (krs_tensor_dir){.tensors = sorted, .n_tensors = kept};
}

/* What was bound can be read. */
static void read_rows(const krs_program *program)
{
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        const krs_matrix *m = &program->matrices[i];
        if (krs_matrix_check(m, NULL) != KRS_OK || m->n_in > MAX_ROW_FLOATS) {
            abort();
        }
        float *row = malloc((size_t)m->n_in * sizeof(*row));
        if (row) {
            krs_matrix_row(m, 0, row);
            krs_matrix_row(m, m->n_out - 1, row);
        }
        free(row);
    }
}

static void bind(const krs_model_config *config, const krs_tensor_dir *dir)
{
    const krs_family *family = krs_family_find(config->model_type);
    krs_program program;
    krs_model_stats stats = {0};
    krs_copies copies;
    krs_binder binder;
    krs_error err = KRS_ERROR_INIT;
    if (!family || config->n_layers > MAX_LAYERS ||
        config->hidden * config->n_layers > (int64_t)MAX_BYTES) {
        return;
    }
    krs_program_init(&program, NULL);
    krs_copies_init(&copies, NULL);
    krs_binder_init(&binder, family, config, dir, &program, &stats, &copies);
    if (krs_decoder_build(&binder, 64, &err) == KRS_OK) {
        read_rows(&program);
    } else if (err.message[0] == '\0') {
        abort(); /* a refusal without a reason */
    }
    krs_program_deinit(&program);
    krs_copies_deinit(&copies);
}

static bool read_config(krs_str text, krs_model_config *out)
{
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    json_t *root;
    if (krs_json_parse(text, &limits, &root, NULL) != KRS_OK) {
        return false;
    }
    const krs_status status = krs_model_config_read(root, NULL, out, NULL);
    json_decref(root);
    return status == KRS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzzed f;
    krs_tensor sorted[MAX_TENSORS];
    krs_model_config config;
    const uint8_t *nul = memchr(data, 0, size);
    const size_t n_text = nul ? (size_t)(nul - data) : size;
    if (!read_config((krs_str){(const char *)data, n_text}, &config)) {
        return 0;
    }
    size_t at = n_text + 1;
    build_honest(&f, at < size ? (layout)(data[at] % N_LAYOUTS) : DENSE);
    for (at++; at + 4 <= size; at += 4) {
        edit(&f, data + at);
    }
    const krs_tensor_dir dir = directory(&f, sorted);
    bind(&config, &dir);
    for (uint32_t i = 0; i < f.n; i++) {
        free((void *)(uintptr_t)f.tensors[i].data);
        f.tensors[i].data = NULL;
    }
    krs_model_config_deinit(&config);
    return 0;
}
