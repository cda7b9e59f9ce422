/* compute/cpu/template/attend_merge.h - parts of softmax attention put together, in their order, and divided by
 * their weight at the end: see cpu/attend.h. Included by template/attention.h.
 *
 * Thread: pure. */

/* factors[i] of all and of state, for the LANES queries from q on; top of all becomes that of both. */
static void merge_tops(const krs_cpu_softmax *state, const krs_cpu_softmax *all, int q, float *old,
                       float *new)
{
    const vf a = vf_load(all->top + q);
    const vf b = vf_load(state->top + q);
    const vf top = vf_max(a, b);
    vf_store(old, vf_exp(a - top));
    vf_store(new, vf_exp(b - top));
}

static void merge_query(const krs_cpu_softmax *state, const krs_cpu_softmax *all, int64_t dim,
                        int q, float old, float new)
{
    float *sums = all->values + q * dim;
    const float *more = state->values + q * dim;
    all->top[q] = all->top[q] > state->top[q] ? all->top[q] : state->top[q];
    all->weight[q] = all->weight[q] * old + state->weight[q] * new;
    for (int64_t d = 0; d < dim; d += LANES) {
        vf_store(sums + d, vf_load(sums + d) * vf_set(old) + vf_load(more + d) * vf_set(new));
    }
}

static void copy_query(const krs_cpu_softmax *state, const krs_cpu_softmax *all, int64_t dim, int q)
{
    all->top[q] = state->top[q];
    all->weight[q] = state->weight[q];
    memcpy(all->values + q * dim, state->values + q * dim, (size_t)dim * sizeof(float));
}

static void merge_part(const krs_cpu_attention *op, int64_t part, const krs_cpu_softmax *state,
                       const krs_cpu_softmax *all)
{
    const int64_t dim = op->kv->padded_dim;
    float old[LANES];
    float new[LANES];
    for (int q = 0; q < op->n_queries; q++) {
        if (q % LANES == 0) {
            merge_tops(state, all, q, old, new);
        }
        const krs_cpu_query *query = &op->queries[q];
        if (query->begin / PART == part) {
            copy_query(state, all, dim, q);
        } else if (query->begin / PART < part && part * PART < query->end) {
            merge_query(state, all, dim, q, old[q % LANES], new[q % LANES]);
        }
    }
}

static float exp_of(float x)
{
    float lanes[LANES];
    vf_store(lanes, vf_exp(vf_set(x)));
    return lanes[0];
}

/* What the values are multiplied with: 1 / weight, once a sink is in it. */
static float last_factor(float top, float weight, const float *sink)
{
    if (!sink) {
        return 1 / weight;
    }
    const float both = top > *sink ? top : *sink;
    const float factor = exp_of(top - both);
    return factor / (weight * factor + exp_of(*sink - both));
}

static void finish_queries(const krs_cpu_attention *op, const krs_cpu_softmax *all)
{
    const krs_kv_layout *kv = op->kv;
    for (int q = 0; q < op->n_queries; q++) {
        const krs_cpu_query *query = &op->queries[q];
        const float *values = all->values + q * kv->padded_dim;
        const float factor =
            last_factor(all->top[q], all->weight[q], op->has_sinks ? &query->sink : NULL);
        for (int64_t d = 0; d < kv->value_dim; d++) {
            query->out[d] = values[d] * factor;
        }
    }
}
