/* compute/cpu/template/recurrent.h - experts' scores, short convolution and the gated delta rule.
 * Included after <isa>/vec.h and template/math.h.
 *
 * Thread: pure. */

static void exps(const float *x, float top, int64_t n, float *out)
{
    const vf tops = vf_set(top);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(out + i, vf_exp(vf_load(x + i) - tops));
    }
    if (i < n) { /* the same arithmetic for the rest, in a padded copy */
        float rest[LANES] = {0};
        memcpy(rest, x + i, (size_t)(n - i) * sizeof(*rest));
        vf_store(rest, vf_exp(vf_load(rest) - tops));
        memcpy(out + i, rest, (size_t)(n - i) * sizeof(*rest));
    }
}

static void conv(const krs_cpu_conv *op, int64_t n, float *out)
{
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES) {
        vf sum = op->bias ? vf_load(op->bias + c) : vf_set(0);
        for (int32_t k = 0; k < op->kernel; k++) {
            sum = vf_fma(vf_load(op->weights + k * n + c), vf_load(op->rows[k] + c), sum);
        }
        vf_store(out + c, sum);
    }
    for (; c < n; c++) {
        float sum = op->bias ? op->bias[c] : 0;
        for (int32_t k = 0; k < op->kernel; k++) {
            sum += op->weights[k * n + c] * op->rows[k][c];
        }
        out[c] = sum;
    }
}

enum { DELTA_VECTORS = 4 }; /* columns in flight: hides the latency of their sums over k */

/* n_vectors whole vectors of columns from j on; a constant at every call. Columns of the state do not
 * meet, so how many go at once changes nothing. */
KRS_CPU_INLINE void delta_columns(const krs_cpu_delta *op, int64_t j, int n_vectors)
{
    const vf decay = vf_set(op->decay);
    const vf beta = vf_set(op->beta);
    vf sums[DELTA_VECTORS];
    vf news[DELTA_VECTORS];
    for (int c = 0; c < n_vectors; c++) {
        sums[c] = news[c] = vf_set(0);
    }
    for (int64_t i = 0; i < op->k_dim; i++) {
        const float *row = op->state + i * op->v_dim + j;
        const vf k = vf_set(op->k[i]);
        for (int c = 0; c < n_vectors; c++) {
            news[c] = vf_fma(vf_load(row + c * LANES) * decay, k, news[c]);
        }
    }
    for (int c = 0; c < n_vectors; c++) {
        news[c] = beta * (vf_load(op->v + j + c * LANES) - news[c]);
    }
    for (int64_t i = 0; i < op->k_dim; i++) {
        float *row = op->state + i * op->v_dim + j;
        const vf k = vf_set(op->k[i]);
        const vf q = vf_set(op->q[i]);
        for (int c = 0; c < n_vectors; c++) {
            const vf s = vf_fma(k, news[c], vf_load(row + c * LANES) * decay);
            vf_store(row + c * LANES, s);
            sums[c] = vf_fma(s, q, sums[c]);
        }
    }
    for (int c = 0; c < n_vectors; c++) {
        vf_store(op->out + j + c * LANES, sums[c]);
    }
}

static void delta_column(const krs_cpu_delta *op, int64_t j)
{
    float known = 0;
    float sum = 0;
    for (int64_t i = 0; i < op->k_dim; i++) {
        known += op->state[i * op->v_dim + j] * op->decay * op->k[i];
    }
    const float news = op->beta * (op->v[j] - known);
    for (int64_t i = 0; i < op->k_dim; i++) {
        float *s = &op->state[i * op->v_dim + j];
        *s = *s * op->decay + op->k[i] * news;
        sum += *s * op->q[i];
    }
    op->out[j] = sum;
}

static void delta(const krs_cpu_delta *op)
{
    int64_t j = 0;
    for (; j + DELTA_VECTORS * LANES <= op->v_dim; j += DELTA_VECTORS * LANES) {
        delta_columns(op, j, DELTA_VECTORS);
    }
    for (; j + LANES <= op->v_dim; j += LANES) {
        delta_columns(op, j, 1);
    }
    for (; j < op->v_dim; j++) {
        delta_column(op, j);
    }
}

/* out = factor * x / sqrt(sum x^2 + eps) */
static void unit(const float *x, int64_t n, float eps, float factor, float *out)
{
    vf squares = vf_set(0);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf a = vf_load(x + i);
        squares = vf_fma(a, a, squares);
    }
    float sum = vf_sum(squares);
    for (; i < n; i++) {
        sum += x[i] * x[i];
    }
    const float scale = factor / sqrtf(sum + eps);
    for (i = 0; i < n; i++) {
        out[i] = x[i] * scale;
    }
}
