/* tensor/quant.c - see quant.h: the table of kinds, and what all of them share. */
#include "tensor/quant.h"

#include "base/check.h"
#include "tensor/quant_priv.h"

static const struct {
    const char *name;
    const krs_quant_layout *layout;
} kinds[] = {
    {"none", NULL},
#define KRS_QUANT(name, text, layout) {text, &(layout)},
#include "tensor/quant.def"
#undef KRS_QUANT
};

/* NULL for dense. */
static const krs_quant_layout *layout_of(krs_quant_kind kind)
{
    KRS_CHECK((unsigned)kind < KRS_QUANT_COUNT);
    return kinds[kind].layout;
}

const char *krs_quant_name(krs_quant_kind kind)
{
    return (unsigned)kind < KRS_QUANT_COUNT ? kinds[kind].name : "unknown";
}

krs_quant_kind krs_quant_kind_of_name(krs_str name)
{
    unsigned i = 0;
    while (i < KRS_QUANT_COUNT && !krs_str_equal(name, krs_str_of(kinds[i].name))) {
        i++;
    }
    return (krs_quant_kind)i;
}

krs_status krs_quant_check(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    if (quant->kind == KRS_QUANT_NONE) {
        return KRS_OK;
    }
    if ((unsigned)quant->kind >= KRS_QUANT_COUNT) {
        return krs_fail(err, KRS_EUNSUPPORTED, "quantisation kind %d is not known",
                        (int)quant->kind);
    }
    const krs_status status = layout_of(quant->kind)->check(quant, n_in, err);
    if (status != KRS_OK) {
        return status;
    }
    const bool may_end_short = layout_of(quant->kind)->may_end_short;
    if (n_in <= 0 || quant->group <= 0 || (n_in % quant->group != 0 && !may_end_short)) {
        return krs_fail(err, KRS_EFORMAT, "%lld columns do not divide into groups of %d",
                        (long long)n_in, quant->group);
    }
    return KRS_OK;
}

bool krs_quant_has_scales(krs_quant_kind kind)
{
    return kind != KRS_QUANT_NONE && layout_of(kind)->has_scales;
}

bool krs_quant_has_biases(krs_quant_kind kind)
{
    return kind != KRS_QUANT_NONE && layout_of(kind)->has_biases;
}

bool krs_quant_takes_scales(krs_quant_kind kind, krs_dtype dtype)
{
    if (!krs_quant_has_scales(kind)) {
        return false;
    }
    const krs_quant_layout *layout = layout_of(kind);
    return layout->takes_scales ? layout->takes_scales(dtype) : krs_is_dense_float(dtype);
}

/* Are the tables there that the kind has? */
static bool has_tables(const krs_matrix *m)
{
    const krs_quant_layout *layout = layout_of(m->quant.kind);
    return m->data &&
           (!layout || ((!layout->has_scales || m->scales) && (!layout->has_biases || m->biases) &&
                        (!layout->has_group_of || m->group_of)));
}

krs_status krs_matrix_check(const krs_matrix *m, krs_error *err)
{
    const krs_status status = krs_quant_check(&m->quant, m->n_in, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_quant_kind kind = m->quant.kind;
    if (!has_tables(m)) {
        return krs_fail(err, KRS_EINVAL, "%s matrix without its data, scales or biases",
                        krs_quant_name(kind));
    }
    if (kind == KRS_QUANT_NONE && !krs_is_dense_float(m->dtype)) {
        return krs_fail(err, KRS_EUNSUPPORTED, "matrix of %s, want F32, F16 or BF16",
                        krs_dtype_name(m->dtype));
    }
    if (krs_quant_has_scales(kind) && !krs_quant_takes_scales(kind, m->scale_dtype)) {
        return krs_fail(err, KRS_EUNSUPPORTED, "%s scales of %s", krs_quant_name(kind),
                        krs_dtype_name(m->scale_dtype));
    }
    return KRS_OK;
}

size_t krs_quant_stream_bytes(const krs_quant *quant, int64_t n_in)
{
    return (size_t)n_in / 8 * (size_t)quant->bits; /* groups are multiples of 8 */
}

size_t krs_matrix_row_bytes(const krs_matrix *m)
{
    const krs_quant_layout *layout = layout_of(m->quant.kind);
    return layout ? layout->row_bytes(&m->quant, m->n_in)
                  : (size_t)m->n_in * krs_dtype_bytes(m->dtype);
}

size_t krs_matrix_data_bytes(const krs_matrix *m)
{
    return (size_t)m->n_out * krs_matrix_row_bytes(m);
}

size_t krs_matrix_scale_bytes(const krs_matrix *m)
{
    const krs_quant_layout *layout = layout_of(m->quant.kind);
    if (!layout || !layout->has_scales) {
        return 0;
    }
    const size_t n = (size_t)m->n_out * (size_t)krs_matrix_n_groups(m);
    return (layout->has_biases ? 2 : 1) * n * krs_dtype_bytes(m->scale_dtype);
}

void krs_matrix_row(const krs_matrix *m, int64_t row, float *out)
{
    KRS_CHECK(row >= 0 && row < m->n_out);
    const krs_quant_layout *layout = layout_of(m->quant.kind);
    if (layout) {
        layout->row(m, row, out);
        return;
    }
    const unsigned char *data =
        (const unsigned char *)m->data + (size_t)row * krs_matrix_row_bytes(m);
    KRS_CHECK(krs_f32_of_any(m->dtype, data, (size_t)m->n_in, out));
}

krs_status krs_quantise(const float *w, krs_dtype w_dtype, const krs_matrix *shape, void *packed,
                        void *scales, void *biases, krs_error *err)
{
    const krs_quant *quant = &shape->quant;
    const krs_status status = krs_quant_check(quant, shape->n_in, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_quant_layout *layout = layout_of(quant->kind);
    if (!layout || !layout->quantise) {
        return krs_fail(err, KRS_EUNSUPPORTED, "%s matrices are read here, not made",
                        krs_quant_name(quant->kind));
    }
    if (!krs_is_dense_float(w_dtype) || !krs_quant_takes_scales(quant->kind, shape->scale_dtype)) {
        return krs_fail(err, KRS_EINVAL, "%s quantisation of %s into scales of %s",
                        krs_quant_name(quant->kind), krs_dtype_name(w_dtype),
                        krs_dtype_name(shape->scale_dtype));
    }
    layout->quantise(w, w_dtype, shape, packed, scales, biases);
    return KRS_OK;
}

krs_status krs_quant_affine(const float *w, const krs_matrix *shape, void *packed, void *scales,
                            void *biases, krs_error *err)
{
    if (shape->quant.kind != KRS_QUANT_AFFINE) {
        return krs_fail(err, KRS_EINVAL, "affine quantisation of a %s matrix",
                        krs_quant_name(shape->quant.kind));
    }
    return krs_quantise(w, KRS_DTYPE_F32, shape, packed, scales, biases, err);
}
