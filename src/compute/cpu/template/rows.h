/* compute/cpu/template/rows.h - the ops that work on one row: packing, norms, rope, add, narrowing.
 * Included after <isa>/vec.h and template/math.h. Loops in plain C here are ones that the compiler
 * turns into vectors by itself under the file's flags; each element's own arithmetic is written out,
 * so that changes nothing in the result.
 *
 * Thread: pure. */

KRS_CPU_INLINE uint16_t round_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    const uint32_t quiet_nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet_nan : rounded);
}

/* Whole blocks of x; n_vectors is a constant at every call. */
KRS_CPU_INLINE void pack_f32(const float *x, int64_t n_blocks, int n_vectors, int lanes, float *out)
{
    for (int64_t b = 0; b < n_blocks; b++) {
        for (int k = 0; k < n_vectors; k++) {
            for (int j = 0; j < lanes; j++) {
                out[k * lanes + j] = x[j * n_vectors + k];
            }
        }
        x += n_vectors * lanes;
        out += n_vectors * lanes;
    }
}

static void pack_blocks(const krs_cpu_packing *packing, const float *x, int64_t n_blocks,
                        float *out)
{
    if (packing->n_vectors == 1) {
        memcpy(out, x, (size_t)(n_blocks * packing->block) * sizeof(*x));
    } else {
        pack_f32(x, n_blocks, 2, LANES, out);
    }
}

static void pack(const krs_cpu_packing *packing, const float *x, int64_t n, unsigned char *out)
{
    enum { MAX_BLOCK = 2 * KRS_CPU_MAX_LANES };
    const int64_t n_blocks = n / packing->block;
    const int64_t n_left = n - n_blocks * packing->block;
    float *packed = (float *)(void *)out;
    pack_blocks(packing, x, n_blocks, packed);
    if (n_left > 0) {
        float tail[MAX_BLOCK] = {0};
        memcpy(tail, x + n_blocks * packing->block, (size_t)n_left * sizeof(*x));
        pack_blocks(packing, tail, 1, packed + n_blocks * packing->block);
    }
}

/* Sum of (x - mean)^2; two running sums of whole vectors, then what is left. */
KRS_CPU_INLINE float sum_of_squares(const float *x, int64_t n, float mean)
{
    const vf centre = vf_set(mean);
    vf even = vf_set(0);
    vf odd = vf_set(0);
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const vf a = vf_load(x + i) - centre;
        const vf b = vf_load(x + i + LANES) - centre;
        even = vf_fma(a, a, even);
        odd = vf_fma(b, b, odd);
    }
    float squares = vf_sum(even + odd);
    for (; i < n; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
    }
    return squares;
}

static float mean_of(const float *x, int64_t n)
{
    vf even = vf_set(0);
    vf odd = vf_set(0);
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        even = even + vf_load(x + i);
        odd = odd + vf_load(x + i + LANES);
    }
    float sum = vf_sum(even + odd);
    for (; i < n; i++) {
        sum += x[i];
    }
    return sum / (float)n;
}

/* out = (offset + weight) * out + bias, as far as there are such. */
static void apply_norm(const krs_cpu_norm *op, int64_t n, float *out)
{
    for (int64_t i = 0; op->weight && i < n; i++) {
        out[i] *= op->offset + op->weight[i];
    }
    for (int64_t i = 0; op->bias && i < n; i++) {
        out[i] += op->bias[i];
    }
}

static void rms_norm(const krs_cpu_norm *op, const float *x, int64_t n, float *out)
{
    const float factor = 1.0f / sqrtf(sum_of_squares(x, n, 0) / (float)n + op->eps);
    if (op->weight && op->offset == 0) { /* the common one, in one pass */
        for (int64_t i = 0; i < n; i++) {
            out[i] = x[i] * factor * op->weight[i];
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = x[i] * factor;
    }
    apply_norm(op, n, out);
}

static void layer_norm(const krs_cpu_norm *op, const float *x, int64_t n, float *out)
{
    const float mean = mean_of(x, n);
    const float factor = 1.0f / sqrtf(sum_of_squares(x, n, mean) / (float)n + op->eps);
    for (int64_t i = 0; i < n; i++) {
        out[i] = (x[i] - mean) * factor;
    }
    apply_norm(op, n, out);
}

static void rope(float *head, const float *cosines, const float *sines, int64_t n)
{
    float *high = head + n;
    for (int64_t i = 0; i < n; i++) {
        const float a = head[i];
        const float b = high[i];
        head[i] = a * cosines[i] - b * sines[i];
        high[i] = b * cosines[i] + a * sines[i];
    }
}

/* Pairs (2 i, 2 i + 1). */
static void rope_pairs(float *head, const float *cosines, const float *sines, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float a = head[2 * i];
        const float b = head[2 * i + 1];
        head[2 * i] = a * cosines[i] - b * sines[i];
        head[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
}

static void add(const float *a, const float *b, float factor, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = a[i] + factor * b[i];
    }
}

static void narrow_f16(const float *x, int64_t n, uint16_t *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store_f16(out + i, vf_load(x + i));
    }
    for (; i < n; i++) {
        out[i] = krs_f16_of_f32(x[i]); /* rounds as the vector form does */
    }
}

static void narrow(krs_dtype dtype, const float *x, int64_t n, void *out)
{
    if (dtype == KRS_DTYPE_F32) {
        memcpy(out, x, (size_t)n * sizeof(*x));
    } else if (dtype == KRS_DTYPE_F16) {
        narrow_f16(x, n, out);
    } else {
        uint16_t *bits = out;
        for (int64_t i = 0; i < n; i++) {
            bits[i] = round_to_bf16(x[i]);
        }
    }
}

static float quantise(const float *x, int64_t n, int8_t *codes)
{
    return krs_kv_quantise(x, n, codes);
}
