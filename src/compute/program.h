/* compute/program.h - one step of a model, written down as a list of coarse ops over rows.
 *
 * The model describes a step once, when it is bound; a backend compiles the list once (plans memory,
 * uploads or repacks weights, fuses neighbours, captures a graph) and then runs it for every step.
 * Nothing about a particular step is in the program, which is what lets a device capture it.
 *
 * Rows are tokens: a step has n_rows of them, from any number of sequences, in any mix of prefill
 * and decode. Activations live in slots: slot s is f32 [n_rows, width(s)]; a backend may keep a slot
 * in another type where its tolerance (docs/numerics.md) allows. Ops run in list order.
 *
 * The rule every backend keeps: what an op computes for a row depends on that row, its sequence's
 * KV and the weights only; the order of every reduction is fixed by the op's shape. So a row's bytes
 * do not change with the other rows of the step, with chunking, or with the number of threads.
 *
 * Thread: built by one owner, immutable after.  Memory: krs_program owns its arrays and borrows the
 * matrices' bytes from the model's files. */
#pragma once

#include "base/alloc.h"
#include "tensor/quant.h"

#define KRS_PROGRAM_MAX_OPS      65536 /* 126 layers of about 20 ops use 2,500 */
#define KRS_PROGRAM_MAX_SLOTS    64
#define KRS_PROGRAM_MAX_MATRICES (1u << 20)
#define KRS_PROGRAM_MAX_FLOATS   (1u << 20) /* 4 MiB: a few tables of inverse frequencies */
#define KRS_PROGRAM_MAX_HEAD_DIM 1024 /* kernels keep a head's sums on the stack; models use 256 */
#define KRS_PROGRAM_MAX_STATE                                                                      \
    (INT64_C(1) << 32) /* f32 of one sequence's state: 16 GiB; the largest models have 2^25 */
#define KRS_ROUTE_MAX_EXPERTS 1024 /* kernels keep a row's scores on the stack; models use 512 */
#define KRS_CONV_MAX_KERNEL   64   /* short ones: models use 4 */
#define KRS_PROGRAM_MAX_WIDTH (1 << 24) /* elements of a row; the largest vocabularies have 2^18 */
#define KRS_NO_MATRIX         UINT32_MAX
#define KRS_NO_SLOT           UINT32_MAX

typedef uint32_t krs_slot; /* index into krs_program.slots */

typedef enum krs_rows {
    KRS_ROWS_ALL,    /* one row per token of the step */
    KRS_ROWS_LOGITS, /* one row per token whose logits are wanted */
    KRS_ROWS_HIDDEN, /* one row per token whose hidden state is wanted */
} krs_rows;

typedef struct krs_slot_shape {
    int64_t width;
    krs_rows rows;
} krs_slot_shape;

typedef enum krs_activation {
    KRS_ACT_SILU,      /* x * sigmoid(x) */
    KRS_ACT_GELU,      /* 0.5 x (1 + erf(x / sqrt 2)) */
    KRS_ACT_GELU_TANH, /* the tanh approximation */
    KRS_ACT_RELU,
    KRS_ACT_RELU2, /* relu(x)^2 */
    KRS_ACT_SIGMOID,
    KRS_ACT_TANH,
    KRS_ACT_QUICK_GELU, /* x * sigmoid(1.702 x) */
    KRS_ACT_COUNT
} krs_activation;

/* A gated activation. limit 0: act(gate) * up. limit > 0 (act SILU; gpt-oss), with gate clamped to at
 * most limit and up to +-limit: gate * sigmoid(alpha * gate) * (up + 1). */
typedef struct krs_gate {
    krs_activation act;
    float limit;
    float alpha;
} krs_gate;

typedef enum krs_route_score {
    KRS_ROUTE_SOFTMAX, /* over all logits */
    KRS_ROUTE_TOP,     /* the logits choose; weights are a softmax over the chosen */
    KRS_ROUTE_SIGMOID, /* of each logit */
} krs_route_score;

/* A new kind goes before the count, with a row in program_check.c and in each backend's table. */
typedef enum krs_op_kind {
    /* out[r] = embed.scale * matrix row token[r] */
    KRS_OP_EMBED,
    /* RMS norm: in is cut into norm.n_groups equal parts, each divided by sqrt(mean(x^2) + eps) and
     * multiplied by norm.weight_offset + the vector (width of one part, or of the row: then each part
     * has its own). n_groups 1: the whole row; n_heads: qk-norm. No matrix: no multiplication. */
    KRS_OP_RMS_NORM,
    /* out[r] = matrix * in[r] (+ bias) */
    KRS_OP_LINEAR,
    /* Rotate, in place, 2 * n_freqs elements of each head of in, from rope.offset on: pairs
     * (i, i + n_freqs), the "half" layout of HF, or (2 i, 2 i + 1) when rope.is_interleaved;
     * angle = position * inv_freq[i] in f32, cos and sin times rope.scale. */
    KRS_OP_ROPE,
    /* Append K (in) and V (in2) of every row to its sequence's KV of attention.layer. */
    KRS_OP_KV_WRITE,
    /* out = softmax(s) V per head, s = scale * q K^T, over positions (p - window, p] of the row's own
     * sequence (window 0: all up to p); q in `in`, K and V from the KV of attention.layer. softcap > 0:
     * s = softcap * tanh(scale * q K^T / softcap). matrix (a vector of n_heads, or KRS_NO_MATRIX): the
     * head's sink, one more s in the softmax, whose value is zero. */
    KRS_OP_ATTENTION,
    /* out = the gate op.glu of in by in2; out may be either. SIGMOID: gated attention. */
    KRS_OP_GLU,
    /* out = in + add.scale * in2; out may be in */
    KRS_OP_ADD,
    /* out (a KRS_ROWS_LOGITS or KRS_ROWS_HIDDEN slot) = the rows of in that its kind of rows names. Two
     * of these after the last norm keep the vocabulary projection off rows wanted as embeddings. */
    KRS_OP_TAKE_ROWS,
    /* As RMS_NORM, with the part's mean taken off first, and the bias (shaped as the matrix; or
     * KRS_NO_MATRIX) added last. */
    KRS_OP_LAYER_NORM,
    /* out = scale.factor * in; softcap > 0: softcap * tanh(factor * in / softcap). out may be in */
    KRS_OP_SCALE,
    /* out = act(in); out may be in */
    KRS_OP_ACTIVATE,
    /* out[r] = in[r] + matrix row (position[r] + embed.offset): learned positions. out may be in */
    KRS_OP_ADD_POSITION,
    /* out[r] = in[r] + the vector. out may be in */
    KRS_OP_ADD_VECTOR,
    /* in and out are each cut into copy.n_groups equal parts; elements [out_at, out_at + n) of each
     * part of out = elements [in_at, in_at + n) of that of in. Splits fused projections, joins parts. A
     * slot that only COPYs write is written once those of one n_groups cover it. */
    KRS_OP_COPY,
    /* out part h = M_h * in part h, for head_linear.n_heads parts; M_h = rows
     * [h * n_out_of_a_head, ...) of the matrix [n_heads * n_out_of_a_head, n_in_of_a_head] */
    KRS_OP_HEAD_LINEAR,
    /* The router of a mixture: route.top_k of the experts (the width of in, their logits) for each row.
     * s = route.score of the logits; experts are chosen by s + bias (a vector, or KRS_NO_MATRIX), the
     * lowest index first among equals. n_groups > 1: only from the top_groups best of n_groups runs
     * of experts, a run being as good as the sum of its best two. out [2 * top_k]: their indices, the
     * best first, then their weights: s, divided by the sum of the chosen when is_normalised, times
     * route.scale. */
    KRS_OP_ROUTE,
    /* out = sum over the routing in2 (of a ROUTE over as many experts), in its order, of
     * weight * down(gated(gate(in), up(in))), each a linear with the expert's matrix and bias. */
    KRS_OP_EXPERTS,
    /* Causal convolution over a sequence's rows, each channel by itself: out[c] = act(sum over k of
     * matrix[c][k] * x[c] (+ bias[c])), x the row of in that is kernel - 1 - k before this one. Rows
     * before the step's first are in the state: [kernel - 1][width], oldest first. */
    KRS_OP_CONV,
    /* The gated delta rule, row after row: in = q and k of delta.n_k_heads heads of k_dim, then v of
     * n_v_heads of v_dim; in2 = b, in3 = a, one for each v head h, which reads k head
     * h / (n_v_heads / n_k_heads). With q and k divided by sqrt(sum x^2 + eps), q times delta.scale:
     *   S = exp(-exp(matrix[h]) * softplus(a + bias[h])) * S
     *   S = S + k (sigmoid(b) * (v - S^T k))^T;  out = S^T q
     * S [k_dim][v_dim] of every v head is the state. matrix and bias: vectors of n_v_heads. */
    KRS_OP_DELTA,
    /* out = softmax(scale * q K^T + bias) V per head, over the rows of the same sequence in this step that
     * are at most attention.window rows before or after it (window 0: all of them); q in `in`, K in in2, V in
     * in3, head h reading KV head h * n_kv_heads / n_heads. Nothing is kept: a text is one step. matrix, or
     * KRS_NO_MATRIX: relative position bias [n_buckets, n_heads]; key j adds to query i the element of bucket
     * krs_relative_bucket(j - i) (relative.h). attention.layer is not read. */
    KRS_OP_ATTEND_ROWS,
    KRS_OP_KIND_COUNT
} krs_op_kind;

typedef struct krs_op {
    krs_op_kind kind;
    krs_slot in;
    krs_slot in2;
    krs_slot in3; /* of ops that read three */
    krs_slot out;
    uint32_t matrix; /* index into krs_program.matrices, or KRS_NO_MATRIX */
    uint32_t bias;   /* the same, a vector (n_out = 1), or KRS_NO_MATRIX */
    /* LINEAR, HEAD_LINEAR, EXPERTS: rows keep twice the bits where a backend would round them before they
     * meet the matrix; ATTENTION: nothing is rounded beyond the cache's type: for what later steps amplify
     * (a router's choice, a state). */
    bool is_exact;
    union {
        struct {
            float scale;
            int32_t offset; /* of ADD_POSITION, not negative: roberta's positions begin at 2 */
        } embed;
        struct {
            float eps;
            int32_t n_groups;
            float weight_offset; /* gemma: 1; with a matrix only */
        } norm;                  /* also of LAYER_NORM */
        struct {
            int32_t n_heads;
            int32_t head_dim;
            int32_t n_freqs; /* rotated elements / 2, at most head_dim / 2 */
            uint32_t freqs;  /* first of n_freqs values in krs_program.floats */
            float scale;     /* YaRN's attention factor; 1 otherwise */
            bool is_interleaved;
            int32_t offset; /* first rotated element of a head */
        } rope;
        struct {
            int32_t layer;
            int32_t n_heads;
            int32_t n_kv_heads;
            int32_t head_dim; /* of q and K; V and out have krs_program_value_dim() */
            int32_t window;   /* tokens, 0 = all */
            float scale;      /* usually 1 / sqrt(head_dim) */
            float softcap;    /* 0 = none */
            /* ATTEND_ROWS with a bias: rows this far apart, and farther, share a bucket. */
            int32_t max_distance;
        } attention; /* KV_WRITE reads layer, n_kv_heads and head_dim */
        krs_gate glu;
        struct {
            krs_activation act;
        } activate;
        struct {
            float scale; /* 1 unless the model multiplies its residuals; never 0 */
        } add;
        struct {
            float factor;
            float softcap; /* 0 = none */
        } scale;
        struct {
            int32_t n_groups;
            int64_t in_at;
            int64_t out_at;
            int64_t n;
        } copy;
        struct {
            int32_t n_heads; /* of HEAD_LINEAR */
        } head_linear;
        struct {
            krs_route_score score;
            int32_t top_k;
            int32_t n_groups;   /* 1: all experts are one */
            int32_t top_groups; /* not read with one group */
            bool is_normalised;
            float scale; /* usually 1 */
        } route;
        struct {
            /* Each the first of n_experts consecutive matrices of one layout: gate and up
             * [ffn, width], down [width, ffn]. up KRS_NO_MATRIX: gate's are [2 * ffn, width], rows of
             * gate and up in turn (gpt-oss). Biases likewise, each KRS_NO_MATRIX when there are none. */
            uint32_t gate;
            uint32_t up;
            uint32_t down;
            uint32_t gate_bias;
            uint32_t up_bias;
            uint32_t down_bias;
            int32_t n_experts;
            krs_gate gated;
        } experts;
        struct {
            int32_t kernel; /* rows a channel sees, itself included */
            krs_activation act;
            int64_t state; /* first element in the sequence's state */
        } conv;
        struct {
            int32_t n_k_heads;
            int32_t n_v_heads; /* a multiple of n_k_heads */
            int32_t k_dim;
            int32_t v_dim;
            float scale; /* usually 1 / sqrt(k_dim) */
            float eps;
            int64_t state; /* first element in the sequence's state */
        } delta;
    };
} krs_op;

typedef struct krs_program {
    const krs_alloc *alloc;
    krs_op *ops;
    uint32_t n_ops;
    uint32_t cap_ops;
    krs_slot_shape slots[KRS_PROGRAM_MAX_SLOTS];
    uint32_t n_slots;
    krs_matrix *matrices;
    uint32_t n_matrices;
    uint32_t cap_matrices;
    /* Mapped files that matrices may lie in, borrowed like their bytes: a backend that has made its own of
     * one may forget its pages (os/file.h). NULL: none are known. */
    const struct krs_os_map *maps;
    uint32_t n_maps;
    float *floats; /* small constant tables (inverse frequencies) */
    uint32_t n_floats;
    int32_t n_kv_layers; /* layers that keep KV; attention.layer is below it */
    int32_t n_kv_heads;
    int32_t head_dim;  /* of K */
    int32_t value_dim; /* of V; 0: head_dim too */
    /* f32 of state that a sequence carries from row to row, all layers together; 0: none. It lies in a
     * slot of the exec (backend.h); ops name their part by its first element. */
    int64_t state_floats;
    int64_t max_positions; /* tokens of one sequence, 1 .. UINT32_MAX */
    krs_slot logits;       /* a KRS_ROWS_LOGITS slot of width vocab, or KRS_NO_SLOT: no head */
    krs_slot hidden; /* a KRS_ROWS_HIDDEN slot, or KRS_NO_SLOT: hidden states are not offered */
    /* Set by krs_program_add_op with the first ATTEND_ROWS: rows see rows after them, so a step must have
     * every row of each of its sequences, and none before (n_past 0). */
    bool is_whole;
} krs_program;

void krs_program_init(krs_program *program, const krs_alloc *alloc);
void krs_program_deinit(krs_program *program);

/* The builders. Errors: KRS_ETOOLARGE (a ceiling above), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_program_add_slot(krs_program *program, int64_t width, krs_rows rows,
                                             krs_slot *out);
KRS_MUST_USE krs_status krs_program_add_matrix(krs_program *program, const krs_matrix *matrix,
                                               uint32_t *out);
KRS_MUST_USE krs_status krs_program_add_floats(krs_program *program, const float *values,
                                               uint32_t n, uint32_t *out);
KRS_MUST_USE krs_status krs_program_add_op(krs_program *program, const krs_op *op);
/* n more elements of a sequence's state, for one op; *first: where they begin. */
KRS_MUST_USE krs_status krs_program_add_state(krs_program *program, int64_t n, int64_t *first);

/* Elements of one head of V, and of attention's output. */
static inline int32_t krs_program_value_dim(const krs_program *program)
{
    return program->value_dim > 0 ? program->value_dim : program->head_dim;
}

/* Elements of state that a CONV, and a DELTA, has. */
static inline int64_t krs_conv_state_floats(const krs_program *program, const krs_op *op)
{
    return (op->conv.kernel - 1) * program->slots[op->in].width;
}

static inline int64_t krs_delta_state_floats(const krs_op *op)
{
    return (int64_t)op->delta.n_v_heads * op->delta.k_dim * op->delta.v_dim;
}

/* "linear", "rms norm", ...: for messages. */
const char *krs_op_name(krs_op_kind kind);

/* Is every op's every index and shape consistent? A model bug otherwise: KRS_EINTERNAL, naming the op.
 * Backends call it once, so their kernels need not check. */
KRS_MUST_USE krs_status krs_program_check(const krs_program *program, krs_error *err);
