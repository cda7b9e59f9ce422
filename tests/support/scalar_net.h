/* support/scalar_net.h - the pieces of transformers, one token and one number at a time, in double.
 *
 * For families without a golden case: a test writes the family's forward pass with these, from its
 * published modelling code, naming the tensors itself. It shares no code with src/model or src/compute
 * beyond the reader of safetensors, so a wrong description has nobody to agree with.
 *
 * Thread: one owner.  Memory: fixed arrays; SCALAR_MAX_* bound the tests' models. */
#pragma once

#include "format/safetensors.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SCALAR_MAX_TOKENS 24
#define SCALAR_MAX_WIDTH  256

typedef double scalar_row[SCALAR_MAX_WIDTH];

typedef struct scalar_net {
    krs_safetensors *file; /* all F32 */
    int n_tokens;
    int hidden;
    int ffn;
    int heads;
    int kv_heads;
    int dim; /* of a head */
    double eps;
    scalar_row x[SCALAR_MAX_TOKENS]; /* the residual stream */
    scalar_row q[SCALAR_MAX_TOKENS];
    scalar_row k[SCALAR_MAX_TOKENS];
    scalar_row v[SCALAR_MAX_TOKENS];
    scalar_row a[SCALAR_MAX_TOKENS]; /* attention's output */
} scalar_net;

/* The values of a tensor; name may have one %d, for layer. */
static inline const float *scalar_tensor(const scalar_net *net, const char *name, int layer)
{
    char at[160];
    const char *mark = strchr(name, '#');
    const int before = mark ? (int)(mark - name) : (int)strlen(name);
    (void)snprintf(at, sizeof(at), "%.*s", before, name);
    if (mark) {
        (void)snprintf(at + before, sizeof(at) - (size_t)before, "%d%s", layer, mark + 1);
    }
    const krs_tensor *tensor = krs_safetensors_find(net->file, krs_str_of(at));
    if (!tensor || tensor->dtype != KRS_DTYPE_F32) {
        fail_msg("no F32 tensor %s", at);
        return NULL;
    }
    return tensor->data;
}

/* out[n_out] = w[n_out, n_in] x (+ b) */
static inline void scalar_linear(const float *w, const float *b, const double *x, int n_out,
                                 int n_in, double *out)
{
    for (int o = 0; o < n_out; o++) {
        double sum = b ? (double)b[o] : 0.0;
        for (int i = 0; i < n_in; i++) {
            sum += (double)w[o * n_in + i] * x[i];
        }
        out[o] = sum;
    }
}

/* out may be x. */
static inline void scalar_rms_norm(const float *w, const double *x, int n, double eps, double *out)
{
    double squares = 0;
    for (int i = 0; i < n; i++) {
        squares += x[i] * x[i];
    }
    const double by = 1.0 / sqrt(squares / n + eps);
    for (int i = 0; i < n; i++) {
        out[i] = (double)w[i] * x[i] * by;
    }
}

/* b NULL: none. out may be x. */
static inline void scalar_layer_norm(const float *w, const float *b, const double *x, int n,
                                     double eps, double *out)
{
    double mean = 0;
    double squares = 0;
    for (int i = 0; i < n; i++) {
        mean += x[i] / n;
    }
    for (int i = 0; i < n; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
    }
    const double by = 1.0 / sqrt(squares / n + eps);
    for (int i = 0; i < n; i++) {
        out[i] = (double)w[i] * (x[i] - mean) * by + (b ? (double)b[i] : 0.0);
    }
}

/* Turn a pair by an angle. */
static inline void scalar_turn(double *a, double *b, double angle, double scale)
{
    const double x = *a;
    const double y = *b;
    *a = scale * (x * cos(angle) - y * sin(angle));
    *b = scale * (y * cos(angle) + x * sin(angle));
}

static inline double scalar_silu(double x)
{
    return x / (1.0 + exp(-x));
}

static inline double scalar_gelu(double x)
{
    return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
}

/* a = attention of q over k and v; window 0: none. */
static inline void scalar_attention(scalar_net *net, int window)
{
    for (int t = 0; t < net->n_tokens; t++) {
        for (int h = 0; h < net->heads; h++) {
            const int key = h / (net->heads / net->kv_heads) * net->dim;
            const int first = window > 0 && t + 1 > window ? t + 1 - window : 0;
            double s[SCALAR_MAX_TOKENS];
            double sum = 0;
            for (int j = first; j <= t; j++) {
                s[j] = 0;
                for (int i = 0; i < net->dim; i++) {
                    s[j] += net->q[t][h * net->dim + i] * net->k[j][key + i];
                }
                s[j] = exp(s[j] / sqrt((double)net->dim));
                sum += s[j];
            }
            for (int i = 0; i < net->dim; i++) {
                double mixed = 0;
                for (int j = first; j <= t; j++) {
                    mixed += s[j] / sum * net->v[j][key + i];
                }
                net->a[t][h * net->dim + i] = mixed;
            }
        }
    }
}
