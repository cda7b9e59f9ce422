/* compute/cpu/template/attend_jobs.h - what the products of attention work on: q and weights of a tile
 * beside K and V of a part. See cpu/attend.h for tiles and parts, attend_f32.h for the products.
 *
 * Queries go through the products in runs of 8, 4, 2 or 1, as many sums at once as registers hold: MAX_SUMS, and
 * at most MAX_RUN queries. What a sum is does not depend on it.
 *
 * Included after <isa>/vec.h.  Thread: pure. */

enum { BLOCK = KRS_KV_BLOCK_TOKENS, PART = KRS_CPU_PART_TOKENS, PART_BLOCKS = PART / BLOCK };
enum { CHUNK_BLOCKS = KRS_CPU_CHUNK_BLOCKS, CHUNK_VALUES = KRS_CPU_CHUNK_VALUES };
enum { VECTORS = BLOCK / LANES }; /* of a block's positions */
enum { MAX_VALUE_VECTORS = 4 };

_Static_assert(BLOCK % LANES == 0 && PART % BLOCK == 0, "parts are whole blocks of whole vectors");

typedef struct score_job {
    float *q; /* of a run that begins at query i: from i * q_stride on, packed by pack_run */
    int64_t q_stride;
    int64_t dim;
    float scale;   /* of q */
    float *scores; /* [query][PART] */
} score_job;

typedef struct value_job {
    const float *weights; /* [query][PART], put by put_weights */
    /* Element 0 of each block's rows. Elements v_from .. are there, rows v_stride elements apart. */
    const unsigned char *const *v;
    int64_t v_stride;
    int64_t v_from;
    float *sums; /* [query][sums_stride] */
    int64_t sums_stride;
} value_job;

/* Queries [first, first + n) by n_vectors vectors of V; constants at every call, but for first. */
typedef struct tile_of_values {
    int n;
    int n_vectors;
    int first;
} tile_of_values;

/* The positions [from, to) of a part, and the elements [d, d_end) of V. */
typedef struct value_span {
    const value_job *job;
    int64_t d;
    int64_t d_end;
    int64_t from;
    int64_t to;
} value_span;

/* Blocks of positions that a run of n scores at once. */
KRS_CPU_INLINE int blocks_of(int n)
{
    const int most = MAX_SUMS / (n * VECTORS);
    return most > CHUNK_BLOCKS ? CHUNK_BLOCKS : most > 0 ? most : 1;
}

/* Vectors of V that a run of n sums at once. */
KRS_CPU_INLINE int vectors_of(int n)
{
    return MAX_SUMS / n > MAX_VALUE_VECTORS ? MAX_VALUE_VECTORS : MAX_SUMS / n;
}
