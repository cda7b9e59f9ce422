/* golden/test_scalar.c - families and switches without a golden case, against a forward pass written here from
 * their published modelling code (support/scalar_net.h), in double, on random weights.
 *
 * Source: transformers 5.17, modeling_{glm4,olmo3,stablelm,gpt_neox}.py. */
#include "os/dir.h"
#include "support/one_seq.h"
#include "support/random_model.h"
#include "support/scalar_net.h"

#define N_TOKENS  20
#define TOLERANCE 1e-5 /* relative RMS: ref rounds each slot to f32 */

typedef void scalar_forward(scalar_net *net, const uint32_t *tokens, double *logits);

typedef struct scalar_case {
    const char *name;
    const char *config;
    scalar_forward *forward;
    scalar_net sizes;
} scalar_case;

#define VOCAB  96
#define LAYERS 4
#define SIZES                                                                                      \
    "\"num_hidden_layers\":4,\"num_attention_heads\":4,\"num_key_value_heads\":2,"                 \
    "\"hidden_size\":64,\"intermediate_size\":96,\"vocab_size\":96,"                               \
    "\"max_position_embeddings\":128,\"tie_word_embeddings\":false,"

static void embed(scalar_net *net, const char *name, const uint32_t *tokens)
{
    const float *w = scalar_tensor(net, name, 0);
    for (int t = 0; t < net->n_tokens; t++) {
        for (int i = 0; i < net->hidden; i++) {
            net->x[t][i] = (double)w[(int)tokens[t] * net->hidden + i];
        }
    }
}

static void add(scalar_net *net, int t, const double *y)
{
    for (int i = 0; i < net->hidden; i++) {
        net->x[t][i] += y[i];
    }
}

#define A "model.layers.#.self_attn."

/* ---- glm4: partial rotation of neighbouring pairs, four norms, gate and up in one tensor */

static void glm4_rotate(const scalar_net *net, double *heads, int n_heads, int t)
{
    const int rotary_dim = net->dim / 2;
    for (int h = 0; h < n_heads; h++) {
        for (int i = 0; i < rotary_dim / 2; i++) {
            double *pair = heads + h * net->dim + 2 * i;
            scalar_turn(pair, pair + 1, t * pow(10000.0, -2.0 * i / rotary_dim), 1.0);
        }
    }
}

static void glm4_layer(scalar_net *net, int l)
{
    const int key = net->kv_heads * net->dim;
    const int query = net->heads * net->dim;
    scalar_row h;
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_rms_norm(scalar_tensor(net, "model.layers.#.input_layernorm.weight", l), net->x[t],
                        net->hidden, net->eps, h);
        scalar_linear(scalar_tensor(net, A "q_proj.weight", l),
                      scalar_tensor(net, A "q_proj.bias", l), h, query, net->hidden, net->q[t]);
        scalar_linear(scalar_tensor(net, A "k_proj.weight", l),
                      scalar_tensor(net, A "k_proj.bias", l), h, key, net->hidden, net->k[t]);
        scalar_linear(scalar_tensor(net, A "v_proj.weight", l),
                      scalar_tensor(net, A "v_proj.bias", l), h, key, net->hidden, net->v[t]);
        glm4_rotate(net, net->q[t], net->heads, t);
        glm4_rotate(net, net->k[t], net->kv_heads, t);
    }
    scalar_attention(net, 0);
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row y;
        scalar_row gate_up;
        scalar_linear(scalar_tensor(net, A "o_proj.weight", l), NULL, net->a[t], net->hidden, query,
                      y);
        scalar_rms_norm(scalar_tensor(net, "model.layers.#.post_self_attn_layernorm.weight", l), y,
                        net->hidden, net->eps, y);
        add(net, t, y);
        scalar_rms_norm(scalar_tensor(net, "model.layers.#.post_attention_layernorm.weight", l),
                        net->x[t], net->hidden, net->eps, h);
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.gate_up_proj.weight", l), NULL, h,
                      2 * net->ffn, net->hidden, gate_up);
        for (int i = 0; i < net->ffn; i++) {
            gate_up[i] = scalar_silu(gate_up[i]) * gate_up[net->ffn + i];
        }
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.down_proj.weight", l), NULL, gate_up,
                      net->hidden, net->ffn, y);
        scalar_rms_norm(scalar_tensor(net, "model.layers.#.post_mlp_layernorm.weight", l), y,
                        net->hidden, net->eps, y);
        add(net, t, y);
    }
}

/* norm and head, as most have them */
static void rms_head(scalar_net *net, double *logits)
{
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row h;
        scalar_rms_norm(scalar_tensor(net, "model.norm.weight", 0), net->x[t], net->hidden,
                        net->eps, h);
        scalar_linear(scalar_tensor(net, "lm_head.weight", 0), NULL, h, VOCAB, net->hidden,
                      logits + t * VOCAB);
    }
}

static void glm4(scalar_net *net, const uint32_t *tokens, double *logits)
{
    embed(net, "model.embed_tokens.weight", tokens);
    for (int l = 0; l < LAYERS; l++) {
        glm4_layer(net, l);
    }
    rms_head(net, logits);
}

/* ---- olmo3: norms after the blocks and over all heads, windows in three of four layers, YaRN in the fourth
 * only */

#define OLMO3_THETA    500000.0
#define OLMO3_FACTOR   8.0
#define OLMO3_ORIGINAL 16.0
#define OLMO3_WINDOW   7

/* YaRN's frequency of pair i, from the paper's formulas with integer bounds. */
static double olmo3_yarn(int i, int dim)
{
    const double base = 2 * log(OLMO3_THETA);
    const double two_pi = 2 * 3.14159265358979323846;
    const double low = floor(dim * log(OLMO3_ORIGINAL / (32 * two_pi)) / base);
    const double high = ceil(dim * log(OLMO3_ORIGINAL / two_pi) / base);
    const double from = low > 0 ? low : 0;
    const double ramp = fmin(fmax((i - from) / (fmin(high, dim - 1) - from), 0), 1);
    const double freq = pow(OLMO3_THETA, -2.0 * i / dim);
    return freq / OLMO3_FACTOR * ramp + freq * (1 - ramp);
}

static void olmo3_rotate(const scalar_net *net, double *heads, int n_heads, int t, bool is_full)
{
    const double scale = is_full ? 0.1 * log(OLMO3_FACTOR) + 1 : 1;
    for (int h = 0; h < n_heads; h++) {
        for (int i = 0; i < net->dim / 2; i++) {
            double *low = heads + h * net->dim + i;
            const double freq =
                is_full ? olmo3_yarn(i, net->dim) : pow(OLMO3_THETA, -2.0 * i / net->dim);
            scalar_turn(low, low + net->dim / 2, t * freq, scale);
        }
    }
}

static void olmo3_layer(scalar_net *net, int l)
{
    const int key = net->kv_heads * net->dim;
    const int query = net->heads * net->dim;
    const bool is_full = l % 4 == 3;
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_linear(scalar_tensor(net, A "q_proj.weight", l), NULL, net->x[t], query, net->hidden,
                      net->q[t]);
        scalar_linear(scalar_tensor(net, A "k_proj.weight", l), NULL, net->x[t], key, net->hidden,
                      net->k[t]);
        scalar_linear(scalar_tensor(net, A "v_proj.weight", l), NULL, net->x[t], key, net->hidden,
                      net->v[t]);
        scalar_rms_norm(scalar_tensor(net, A "q_norm.weight", l), net->q[t], query, net->eps,
                        net->q[t]);
        scalar_rms_norm(scalar_tensor(net, A "k_norm.weight", l), net->k[t], key, net->eps,
                        net->k[t]);
        olmo3_rotate(net, net->q[t], net->heads, t, is_full);
        olmo3_rotate(net, net->k[t], net->kv_heads, t, is_full);
    }
    scalar_attention(net, is_full ? 0 : OLMO3_WINDOW);
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row y;
        scalar_row gate;
        scalar_row up;
        scalar_linear(scalar_tensor(net, A "o_proj.weight", l), NULL, net->a[t], net->hidden, query,
                      y);
        scalar_rms_norm(scalar_tensor(net, "model.layers.#.post_attention_layernorm.weight", l), y,
                        net->hidden, net->eps, y);
        add(net, t, y);
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.gate_proj.weight", l), NULL, net->x[t],
                      net->ffn, net->hidden, gate);
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.up_proj.weight", l), NULL, net->x[t],
                      net->ffn, net->hidden, up);
        for (int i = 0; i < net->ffn; i++) {
            up[i] *= scalar_silu(gate[i]);
        }
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.down_proj.weight", l), NULL, up,
                      net->hidden, net->ffn, y);
        scalar_rms_norm(scalar_tensor(net, "model.layers.#.post_feedforward_layernorm.weight", l),
                        y, net->hidden, net->eps, y);
        add(net, t, y);
    }
}

static void olmo3(scalar_net *net, const uint32_t *tokens, double *logits)
{
    embed(net, "model.embed_tokens.weight", tokens);
    for (int l = 0; l < LAYERS; l++) {
        olmo3_layer(net, l);
    }
    rms_head(net, logits);
}

/* ---- stablelm with use_parallel_residual and qk_layernorm */

static void stablelm_heads(const scalar_net *net, const char *side, int l, double *heads,
                           int n_heads, int t)
{
    const int rotary_dim = net->dim / 4;
    for (int h = 0; h < n_heads; h++) {
        char name[96];
        double *head = heads + h * net->dim;
        (void)snprintf(name, sizeof(name), A "%s_layernorm.norms.%d.weight", side, h);
        scalar_layer_norm(scalar_tensor(net, name, l), NULL, head, net->dim, net->eps, head);
        for (int i = 0; i < rotary_dim / 2; i++) {
            scalar_turn(head + i, head + i + rotary_dim / 2,
                        t * pow(10000.0, -2.0 * i / rotary_dim), 1.0);
        }
    }
}

static void stablelm_layer(scalar_net *net, int l)
{
    const int key = net->kv_heads * net->dim;
    const int query = net->heads * net->dim;
    static scalar_row h[SCALAR_MAX_TOKENS];
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_layer_norm(scalar_tensor(net, "model.layers.#.input_layernorm.weight", l),
                          scalar_tensor(net, "model.layers.#.input_layernorm.bias", l), net->x[t],
                          net->hidden, net->eps, h[t]);
        scalar_linear(scalar_tensor(net, A "q_proj.weight", l), NULL, h[t], query, net->hidden,
                      net->q[t]);
        scalar_linear(scalar_tensor(net, A "k_proj.weight", l), NULL, h[t], key, net->hidden,
                      net->k[t]);
        scalar_linear(scalar_tensor(net, A "v_proj.weight", l), NULL, h[t], key, net->hidden,
                      net->v[t]);
        stablelm_heads(net, "q", l, net->q[t], net->heads, t);
        stablelm_heads(net, "k", l, net->k[t], net->kv_heads, t);
    }
    scalar_attention(net, 0);
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row y;
        scalar_row gate;
        scalar_row up;
        scalar_linear(scalar_tensor(net, A "o_proj.weight", l), NULL, net->a[t], net->hidden, query,
                      y);
        add(net, t, y);
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.gate_proj.weight", l), NULL, h[t],
                      net->ffn, net->hidden, gate);
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.up_proj.weight", l), NULL, h[t],
                      net->ffn, net->hidden, up);
        for (int i = 0; i < net->ffn; i++) {
            up[i] *= scalar_silu(gate[i]);
        }
        scalar_linear(scalar_tensor(net, "model.layers.#.mlp.down_proj.weight", l), NULL, up,
                      net->hidden, net->ffn, y);
        add(net, t, y);
    }
}

static void stablelm(scalar_net *net, const uint32_t *tokens, double *logits)
{
    embed(net, "model.embed_tokens.weight", tokens);
    for (int l = 0; l < LAYERS; l++) {
        stablelm_layer(net, l);
    }
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row h;
        scalar_layer_norm(scalar_tensor(net, "model.norm.weight", 0),
                          scalar_tensor(net, "model.norm.bias", 0), net->x[t], net->hidden,
                          net->eps, h);
        scalar_linear(scalar_tensor(net, "lm_head.weight", 0), NULL, h, VOCAB, net->hidden,
                      logits + t * VOCAB);
    }
}

/* ---- gpt_neox without use_parallel_residual */

#define L "gpt_neox.layers.#."

static void neox_project(scalar_net *net, int l, int t)
{
    const int rotary_dim = net->dim / 4;
    double qkv[3 * 64];
    scalar_row h;
    scalar_layer_norm(scalar_tensor(net, L "input_layernorm.weight", l),
                      scalar_tensor(net, L "input_layernorm.bias", l), net->x[t], net->hidden,
                      net->eps, h);
    scalar_linear(scalar_tensor(net, L "attention.query_key_value.weight", l),
                  scalar_tensor(net, L "attention.query_key_value.bias", l), h, 3 * net->hidden,
                  net->hidden, qkv);
    for (int i = 0; i < net->hidden; i++) {
        const double *of_head = qkv + 3 * (i / net->dim * net->dim) + i % net->dim;
        net->q[t][i] = of_head[0];
        net->k[t][i] = of_head[net->dim];
        net->v[t][i] = of_head[2 * net->dim];
    }
    for (int i = 0; i < net->heads * rotary_dim / 2; i++) {
        const int pair = i % (rotary_dim / 2);
        const int at = i / (rotary_dim / 2) * net->dim + pair;
        const double angle = t * pow(10000.0, -2.0 * pair / rotary_dim);
        scalar_turn(&net->q[t][at], &net->q[t][at + rotary_dim / 2], angle, 1.0);
        scalar_turn(&net->k[t][at], &net->k[t][at + rotary_dim / 2], angle, 1.0);
    }
}

static void neox_layer(scalar_net *net, int l)
{
    for (int t = 0; t < net->n_tokens; t++) {
        neox_project(net, l, t);
    }
    scalar_attention(net, 0);
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row y;
        scalar_row h;
        scalar_row up;
        scalar_linear(scalar_tensor(net, L "attention.dense.weight", l),
                      scalar_tensor(net, L "attention.dense.bias", l), net->a[t], net->hidden,
                      net->hidden, y);
        add(net, t, y);
        scalar_layer_norm(scalar_tensor(net, L "post_attention_layernorm.weight", l),
                          scalar_tensor(net, L "post_attention_layernorm.bias", l), net->x[t],
                          net->hidden, net->eps, h);
        scalar_linear(scalar_tensor(net, L "mlp.dense_h_to_4h.weight", l),
                      scalar_tensor(net, L "mlp.dense_h_to_4h.bias", l), h, net->ffn, net->hidden,
                      up);
        for (int i = 0; i < net->ffn; i++) {
            up[i] = scalar_gelu(up[i]);
        }
        scalar_linear(scalar_tensor(net, L "mlp.dense_4h_to_h.weight", l),
                      scalar_tensor(net, L "mlp.dense_4h_to_h.bias", l), up, net->hidden, net->ffn,
                      y);
        add(net, t, y);
    }
}

static void gpt_neox(scalar_net *net, const uint32_t *tokens, double *logits)
{
    embed(net, "gpt_neox.embed_in.weight", tokens);
    for (int l = 0; l < LAYERS; l++) {
        neox_layer(net, l);
    }
    for (int t = 0; t < net->n_tokens; t++) {
        scalar_row h;
        scalar_layer_norm(scalar_tensor(net, "gpt_neox.final_layer_norm.weight", 0),
                          scalar_tensor(net, "gpt_neox.final_layer_norm.bias", 0), net->x[t],
                          net->hidden, net->eps, h);
        scalar_linear(scalar_tensor(net, "embed_out.weight", 0), NULL, h, VOCAB, net->hidden,
                      logits + t * VOCAB);
    }
}

static double distance(const float *got, const double *want, size_t n)
{
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        power += want[i] * want[i];
    }
    return sqrt(error / power);
}

static void answers_as_the_scalar_network(void **state)
{
    const scalar_case *c = *state;
    static double want[N_TOKENS * VOCAB];
    static float got[N_TOKENS * VOCAB];
    static scalar_net net;
    char dir[KRS_OS_PATH_BYTES];
    uint32_t tokens[N_TOKENS];
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    krs_one_seq seq;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    krs_random_model(c->config, dir);
    for (uint32_t i = 0; i < N_TOKENS; i++) {
        tokens[i] = (i * 37 + 11) % VOCAB;
    }
    net = c->sizes;
    net.n_tokens = N_TOKENS;
    krs_one_seq_must(krs_safetensors_open(dir, KRS_OS_MAP_SHARED_PAGES, NULL, &net.file, &err),
                     &err);
    c->forward(&net, tokens, want);
    krs_safetensors_close(net.file);
    krs_one_seq_must(krs_model_open(dir, NULL, NULL, &model, &err), &err);
    krs_one_seq_open(&seq, "ref", NULL, KRS_DTYPE_F32, krs_model_program(model));
    krs_one_seq_feed(&seq, tokens, N_TOKENS, got);
    const double away = distance(got, want, N_TOKENS * VOCAB);
    print_message("%s: relative RMS %.2e (at most %.0e)\n", c->name, away, TOLERANCE);
    assert_true(away <= TOLERANCE);
    krs_one_seq_close(&seq);
    krs_model_close(model);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

#define WITH(heads_, kv_heads_, eps_)                                                              \
    {                                                                                              \
        .hidden = 64, .ffn = 96, .heads = heads_, .kv_heads = kv_heads_, .dim = 16, .eps = eps_    \
    }

int main(void)
{
    static scalar_case cases[] = {
        {"glm4", "{\"model_type\":\"glm4\"," SIZES "\"head_dim\":16,\"rms_norm_eps\":1e-6}", glm4,
         WITH(4, 2, 1e-6)},
        {"olmo3",
         "{\"model_type\":\"olmo3\"," SIZES "\"sliding_window\":7,\"rms_norm_eps\":1e-6,"
         "\"rope_theta\":500000,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":8,"
         "\"original_max_position_embeddings\":16}}",
         olmo3, WITH(4, 2, 1e-6)},
        {"stablelm, parallel, head norms",
         "{\"model_type\":\"stablelm\"," SIZES "\"use_parallel_residual\":true,"
         "\"qk_layernorm\":true,\"layer_norm_eps\":1e-5}",
         stablelm, WITH(4, 2, 1e-5)},
        {"gpt_neox, one block after the other",
         "{\"model_type\":\"gpt_neox\",\"num_hidden_layers\":4,\"num_attention_heads\":4,"
         "\"hidden_size\":64,\"intermediate_size\":96,\"vocab_size\":96,"
         "\"use_parallel_residual\":false,\"layer_norm_eps\":1e-5}",
         gpt_neox, WITH(4, 4, 1e-5)},
    };
    struct CMUnitTest tests[sizeof(cases) / sizeof(cases[0])];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, answers_as_the_scalar_network, NULL, NULL,
                                       &cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
