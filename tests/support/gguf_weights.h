/* support/gguf_weights.h - the numbers of a hub folder's tensors as the public converter writes them into
 * GGUF files: the order of q and k rows, gpt2's matrices turned, gemma's norms with their 1, experts
 * stacked; in any type that support/gguf_quantise.h can make.
 *
 * Types: 0 F32, 1 F16, 30 BF16, and those of gguf_quantise.h. KRS_GGUF_WIDENED | type: the numbers that the
 * blocks stand for, as F32.
 *
 * Thread: the test's own.  Memory: none is kept. */
#pragma once

#include "format/safetensors.h"
#include "support/gguf_file.h"
#include "support/gguf_quantise.h"
#include "support/gguf_rules.h"
#include "wire/json.h"

#define KRS_GGUF_WIDENED     0x10000u
#define KRS_GGUF_MAX_ELEMENT (4u << 20) /* of one tensor of a test's model */

/* Rows [head][half][i] of q and k become [head][i][half]. */
static inline void krs_gguf_permute(float *w, int64_t rows, int64_t columns, int64_t n_heads)
{
    float *was = malloc((size_t)(rows * columns) * sizeof(*was));
    assert_non_null(was);
    memcpy(was, w, (size_t)(rows * columns) * sizeof(*was));
    const int64_t d = rows / n_heads;
    for (int64_t row = 0; row < rows; row++) {
        const int64_t from = row / d * d + row % 2 * (d / 2) + row % d / 2;
        memcpy(w + row * columns, was + from * columns, (size_t)columns * sizeof(*w));
    }
    free(was);
}

/* gpt2's Conv1D is [in, out]; like gets the other shape. */
static inline void krs_gguf_turn(float *w, krs_tensor *like)
{
    const int64_t rows = like->dims[0];
    const int64_t columns = like->dims[1];
    float *was = malloc((size_t)(rows * columns) * sizeof(*was));
    assert_non_null(was);
    memcpy(was, w, (size_t)(rows * columns) * sizeof(*was));
    for (int64_t i = 0; i < rows * columns; i++) {
        w[i % columns * rows + i / columns] = was[i];
    }
    like->dims[0] = columns;
    like->dims[1] = rows;
    free(was);
}

static inline void krs_gguf_put_numbers(krs_gguf_file *f, const char *name, const krs_tensor *like,
                                        const float *w, size_t n, uint32_t type)
{
    unsigned char *bytes = malloc(n * sizeof(*w));
    assert_non_null(bytes);
    const size_t size = type == 0 ? 4 : 2;
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = type == 1 ? krs_f16_of_f32(w[i]) : krs_bf16_of_f32(w[i]);
        memcpy(bytes + i * size, type == 0 ? (const void *)&w[i] : (const void *)&half, size);
    }
    krs_gguf_put_tensor(f, name, type, like->rank, like->dims, bytes, n * size);
    free(bytes);
}

static inline void krs_gguf_put_blocks(krs_gguf_file *f, const char *name, const krs_tensor *like,
                                       float *w, size_t n, uint32_t type)
{
    const krs_gguf_type_info *info = krs_gguf_type_find(type & 0xFFFF);
    const size_t n_blocks = n / info->n_elements;
    unsigned char *bytes = malloc(n_blocks * info->n_bytes);
    assert_non_null(bytes);
    for (size_t i = 0; i < n_blocks; i++) {
        assert_true(
            krs_gguf_make_block(info->id, w + i * info->n_elements, bytes + i * info->n_bytes));
    }
    if (type & KRS_GGUF_WIDENED) {
        const krs_matrix m = {.n_out = 1,
                              .n_in = (int64_t)n,
                              .quant = info->quant,
                              .dtype = KRS_DTYPE_U8,
                              .data = bytes};
        krs_matrix_row(&m, 0, w);
        krs_gguf_put_numbers(f, name, like, w, n, 0);
    } else {
        krs_gguf_put_tensor(f, name, type, like->rank, like->dims, bytes, n_blocks * info->n_bytes);
    }
    free(bytes);
}

/* Number of the expert in a name; -1: none. */
static inline int krs_gguf_expert_of(krs_str name)
{
    const size_t at = krs_str_find(name, KRS_STR(".experts."), 0);
    return at == SIZE_MAX ? -1 : (int)strtol(name.ptr + at + strlen(".experts."), NULL, 10);
}

/* The numbers of a tensor; of expert 0, those of all experts one after the other, and their shape in
 * like. */
static inline float *krs_gguf_gather(const krs_safetensors *st, krs_tensor *like, size_t *n)
{
    const size_t one = like->n_bytes / krs_dtype_bytes(like->dtype);
    const size_t at = krs_str_find(like->name, KRS_STR(".experts."), 0);
    float *w = malloc(KRS_GGUF_MAX_ELEMENT * sizeof(*w));
    assert_non_null(w);
    *n = 0;
    for (int expert = 0; expert == 0 || at != SIZE_MAX; expert++) {
        char name[192];
        const krs_str head = {like->name.ptr, at == SIZE_MAX ? like->name.len : at};
        (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(head));
        if (at != SIZE_MAX) {
            const size_t tail = krs_str_find(like->name, KRS_STR("."), at + strlen(".experts."));
            (void)snprintf(name, sizeof(name), "%.*s.experts.%d%.*s", KRS_STR_ARGS(head), expert,
                           (int)(like->name.len - tail), like->name.ptr + tail);
        }
        const krs_tensor *part = krs_safetensors_find(st, krs_str_of(name));
        if (!part) {
            like->dims[2] = like->dims[1];
            like->dims[1] = like->dims[0];
            like->dims[0] = expert;
            like->rank = 3;
            break;
        }
        assert_true(*n + one <= KRS_GGUF_MAX_ELEMENT);
        assert_true(krs_f32_of_any(part->dtype, part->data, one, w + *n));
        *n += one;
    }
    return w;
}

static inline void krs_gguf_put_any(krs_gguf_file *f, const char *name, const krs_tensor *like,
                                    float *w, size_t n, uint32_t type)
{
    const krs_gguf_type_info *info = krs_gguf_type_find(type & 0xFFFF);
    if (like->rank < 2 || like->dims[like->rank - 1] % info->n_elements != 0) {
        krs_gguf_put_numbers(f, name, like, w, n, 0);
    } else if (info->quant.kind == KRS_QUANT_NONE) {
        krs_gguf_put_numbers(f, name, like, w, n, type);
    } else {
        krs_gguf_put_blocks(f, name, like, w, n, type);
    }
}

/* One of `every` interleaved parts of gpt-oss's expert tensors, [experts, in, every * out] or the biases
 * [experts, every * out]; weights are turned to [experts, out, in]. */
static inline void krs_gguf_put_experts(krs_gguf_file *f, const char *name, const krs_tensor *from,
                                        int64_t part, int64_t every, uint32_t type)
{
    const bool is_bias = from->rank == 2;
    const int64_t n_experts = from->dims[0];
    const int64_t n_in = is_bias ? 1 : from->dims[1];
    const int64_t n_out = from->dims[from->rank - 1] / every;
    const size_t n = (size_t)(n_experts * n_in * n_out);
    float *w = malloc(n * (size_t)every * sizeof(*w));
    float *out = malloc(n * sizeof(*out));
    assert_true(w && out);
    assert_true(krs_f32_of_any(from->dtype, from->data, n * (size_t)every, w));
    for (int64_t e = 0; e < n_experts; e++) {
        for (int64_t i = 0; i < n_in; i++) {
            for (int64_t o = 0; o < n_out; o++) {
                out[(e * n_out + o) * n_in + i] = w[((e * n_in + i) * n_out + o) * every + part];
            }
        }
    }
    krs_tensor like = {.rank = is_bias ? 2 : 3, .dims = {n_experts, n_out, n_in}};
    krs_gguf_put_any(f, name, &like, out, n, is_bias ? 0 : type);
    free(out);
    free(w);
}

/* gpt-oss's experts; false: it is another tensor. */
static inline bool krs_gguf_convert_stack(krs_gguf_file *f, const krs_tensor *from, uint32_t type)
{
    static const struct {
        const char *hub;
        const char *gguf;
        int64_t part;
        int64_t every;
    } parts[] = {
        {".mlp.experts.gate_up_proj", "ffn_gate_exps.weight", 0, 2},
        {".mlp.experts.gate_up_proj", "ffn_up_exps.weight", 1, 2},
        {".mlp.experts.gate_up_proj_bias", "ffn_gate_exps.bias", 0, 2},
        {".mlp.experts.gate_up_proj_bias", "ffn_up_exps.bias", 1, 2},
        {".mlp.experts.down_proj", "ffn_down_exps.weight", 0, 1},
        {".mlp.experts.down_proj_bias", "ffn_down_exps.bias", 0, 1},
    };
    bool is_stack = false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (krs_str_ends_with(from->name, krs_str_of(parts[i].hub))) {
            char name[128];
            const int layer = (int)strtol(from->name.ptr + strlen("model.layers."), NULL, 10);
            (void)snprintf(name, sizeof(name), "blk.%d.%s", layer, parts[i].gguf);
            krs_gguf_put_experts(f, name, from, parts[i].part, parts[i].every, type);
            is_stack = true;
        }
    }
    return is_stack;
}

static inline void krs_gguf_convert_tensor(krs_gguf_file *f, const krs_gguf_style *style,
                                           const json_t *config, const krs_safetensors *st,
                                           const krs_tensor *from, uint32_t type)
{
    char name[128];
    krs_tensor like = *from;
    krs_tensor *tensor = &like;
    if (krs_gguf_convert_stack(f, from, type) || krs_gguf_expert_of(from->name) > 0) {
        return; /* done, or done with the first one */
    }
    krs_gguf_rename(style, tensor->name, name);
    size_t n;
    float *w = krs_gguf_gather(st, tensor, &n);
    if (tensor->rank == 2 && tensor->dims[0] == 1) { /* converters drop dimensions of 1 */
        tensor->rank = 1;
        tensor->dims[0] = tensor->dims[1];
    }
    const bool is_q = strstr(name, "attn_q.") != NULL;
    const bool is_k = strstr(name, "attn_k.") != NULL;
    if (style->is_permuted && (is_q || is_k)) {
        const char *heads = is_q ? "num_attention_heads" : "num_key_value_heads";
        krs_gguf_permute(w, tensor->dims[0], (int64_t)n / tensor->dims[0],
                         json_integer_value(json_object_get(config, heads)));
    }
    if (strcmp(style->arch, "gpt2") == 0 && tensor->rank == 2 && strncmp(name, "blk", 3) == 0) {
        krs_gguf_turn(w, tensor);
    }
    for (size_t i = 0; strstr(name, "norm.weight") && i < n; i++) {
        w[i] += style->norm_added;
    }
    krs_gguf_put_any(f, name, tensor, w, n, type);
    free(w);
}
