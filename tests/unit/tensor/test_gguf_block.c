/* GGUF block types: blocks made by hand with known values, and random blocks against a second reading
 * of the published layouts, written the way they are published: packed structs walked by pointers. */
#include "tensor/gguf_block.h"

#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N_BLOCKS     64
#define MAX_ELEMENTS 256
#define MAX_BYTES    256

static const int8_t iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

static float f16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof(h));
    return krs_f32_of_f16(h);
}

static void ref_q4_0(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    const uint8_t *qs = b + 2;
    for (int j = 0; j < 16; ++j) {
        const int x0 = (qs[j] & 0x0F) - 8;
        const int x1 = (qs[j] >> 4) - 8;
        y[j] = (float)x0 * d;
        y[j + 16] = (float)x1 * d;
    }
}

static void ref_q4_1(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    const float m = f16_at(b + 2);
    const uint8_t *qs = b + 4;
    for (int j = 0; j < 16; ++j) {
        y[j] = (float)(qs[j] & 0x0F) * d + m;
        y[j + 16] = (float)(qs[j] >> 4) * d + m;
    }
}

static void ref_q5_0(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    uint32_t qh;
    memcpy(&qh, b + 2, sizeof(qh));
    const uint8_t *qs = b + 6;
    for (int j = 0; j < 16; ++j) {
        const uint32_t xh_0 = ((qh >> j) << 4) & 0x10;
        const uint32_t xh_1 = (qh >> (j + 12)) & 0x10;
        const int x0 = (int)((qs[j] & 0x0Fu) | xh_0) - 16;
        const int x1 = (int)((uint32_t)(qs[j] >> 4) | xh_1) - 16;
        y[j] = (float)x0 * d;
        y[j + 16] = (float)x1 * d;
    }
}

static void ref_q5_1(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    const float m = f16_at(b + 2);
    uint32_t qh;
    memcpy(&qh, b + 4, sizeof(qh));
    const uint8_t *qs = b + 8;
    for (int j = 0; j < 16; ++j) {
        const uint32_t x0 = (qs[j] & 0x0Fu) | (((qh >> j) << 4) & 0x10);
        const uint32_t x1 = (uint32_t)(qs[j] >> 4) | ((qh >> (j + 12)) & 0x10);
        y[j] = (float)x0 * d + m;
        y[j + 16] = (float)x1 * d + m;
    }
}

static void ref_q8_0(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    const int8_t *qs = (const int8_t *)(b + 2);
    for (int j = 0; j < 32; ++j) {
        y[j] = (float)qs[j] * d;
    }
}

static void ref_q2_k(const uint8_t *b, float *y)
{
    const uint8_t *scales = b;
    const uint8_t *q = b + 16;
    const float d = f16_at(b + 80);
    const float min = f16_at(b + 82);
    int is = 0;
    for (int n = 0; n < 256; n += 128) {
        int shift = 0;
        for (int j = 0; j < 4; ++j) {
            uint8_t sc = scales[is++];
            float dl = d * (float)(sc & 0xF);
            float ml = min * (float)(sc >> 4);
            for (int l = 0; l < 16; ++l) {
                *y++ = dl * (float)((q[l] >> shift) & 3) - ml;
            }
            sc = scales[is++];
            dl = d * (float)(sc & 0xF);
            ml = min * (float)(sc >> 4);
            for (int l = 0; l < 16; ++l) {
                *y++ = dl * (float)((q[l + 16] >> shift) & 3) - ml;
            }
            shift += 2;
        }
        q += 32;
    }
}

static void ref_q3_k(const uint8_t *b, float *y)
{
    const uint32_t kmask1 = 0x03030303;
    const uint32_t kmask2 = 0x0f0f0f0f;
    const uint8_t *hm = b;
    const uint8_t *q = b + 32;
    const float d_all = f16_at(b + 108);
    uint32_t aux[4];
    int8_t scales[16];
    memcpy(aux, b + 96, 12);
    const uint32_t tmp = aux[2];
    aux[2] = ((aux[0] >> 4) & kmask2) | (((tmp >> 4) & kmask1) << 4);
    aux[3] = ((aux[1] >> 4) & kmask2) | (((tmp >> 6) & kmask1) << 4);
    aux[0] = (aux[0] & kmask2) | (((tmp >> 0) & kmask1) << 4);
    aux[1] = (aux[1] & kmask2) | (((tmp >> 2) & kmask1) << 4);
    memcpy(scales, aux, 16);
    uint8_t m = 1;
    int is = 0;
    for (int n = 0; n < 256; n += 128) {
        int shift = 0;
        for (int j = 0; j < 4; ++j) {
            for (int part = 0; part < 32; part += 16) {
                const float dl = d_all * (float)(scales[is++] - 32);
                for (int l = part; l < part + 16; ++l) {
                    *y++ = dl * (float)(((q[l] >> shift) & 3) - ((hm[l] & m) ? 0 : 4));
                }
            }
            shift += 2;
            m = (uint8_t)(m << 1);
        }
        q += 32;
    }
}

static void scale_min_k4(int j, const uint8_t *q, uint8_t *d, uint8_t *m)
{
    if (j < 4) {
        *d = q[j] & 63;
        *m = q[j + 4] & 63;
    } else {
        *d = (uint8_t)((q[j + 4] & 0xF) | ((q[j - 4] >> 6) << 4));
        *m = (uint8_t)((q[j + 4] >> 4) | ((q[j - 0] >> 6) << 4));
    }
}

static void ref_q4_k(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    const float min = f16_at(b + 2);
    const uint8_t *q = b + 16;
    int is = 0;
    for (int j = 0; j < 256; j += 64) {
        uint8_t sc;
        uint8_t m;
        scale_min_k4(is + 0, b + 4, &sc, &m);
        const float d1 = d * (float)sc;
        const float m1 = min * (float)m;
        scale_min_k4(is + 1, b + 4, &sc, &m);
        const float d2 = d * (float)sc;
        const float m2 = min * (float)m;
        for (int l = 0; l < 32; ++l) {
            *y++ = d1 * (float)(q[l] & 0xF) - m1;
        }
        for (int l = 0; l < 32; ++l) {
            *y++ = d2 * (float)(q[l] >> 4) - m2;
        }
        q += 32;
        is += 2;
    }
}

static void ref_q5_k(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    const float min = f16_at(b + 2);
    const uint8_t *qh = b + 16;
    const uint8_t *ql = b + 48;
    int is = 0;
    unsigned u1 = 1;
    unsigned u2 = 2;
    for (int j = 0; j < 256; j += 64) {
        uint8_t sc;
        uint8_t m;
        scale_min_k4(is + 0, b + 4, &sc, &m);
        const float d1 = d * (float)sc;
        const float m1 = min * (float)m;
        scale_min_k4(is + 1, b + 4, &sc, &m);
        const float d2 = d * (float)sc;
        const float m2 = min * (float)m;
        for (int l = 0; l < 32; ++l) {
            *y++ = d1 * (float)((ql[l] & 0xF) + (qh[l] & u1 ? 16 : 0)) - m1;
        }
        for (int l = 0; l < 32; ++l) {
            *y++ = d2 * (float)((ql[l] >> 4) + (qh[l] & u2 ? 16 : 0)) - m2;
        }
        ql += 32;
        is += 2;
        u1 <<= 2;
        u2 <<= 2;
    }
}

static void ref_q6_k(const uint8_t *b, float *y)
{
    const uint8_t *ql = b;
    const uint8_t *qh = b + 128;
    const int8_t *sc = (const int8_t *)(b + 192);
    const float d = f16_at(b + 208);
    for (int n = 0; n < 256; n += 128) {
        for (int l = 0; l < 32; ++l) {
            const int is = l / 16;
            const int q1 = ((ql[l + 0] & 0xF) | (((qh[l] >> 0) & 3) << 4)) - 32;
            const int q2 = ((ql[l + 32] & 0xF) | (((qh[l] >> 2) & 3) << 4)) - 32;
            const int q3 = ((ql[l + 0] >> 4) | (((qh[l] >> 4) & 3) << 4)) - 32;
            const int q4 = ((ql[l + 32] >> 4) | (((qh[l] >> 6) & 3) << 4)) - 32;
            y[l + 0] = d * (float)sc[is + 0] * (float)q1;
            y[l + 32] = d * (float)sc[is + 2] * (float)q2;
            y[l + 64] = d * (float)sc[is + 4] * (float)q3;
            y[l + 96] = d * (float)sc[is + 6] * (float)q4;
        }
        y += 128;
        ql += 64;
        qh += 32;
        sc += 8;
    }
}

static void ref_iq4_nl(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    for (int j = 0; j < 16; ++j) {
        y[j] = d * (float)iq4[b[2 + j] & 0xf];
        y[j + 16] = d * (float)iq4[b[2 + j] >> 4];
    }
}

static void ref_iq4_xs(const uint8_t *b, float *y)
{
    const float d = f16_at(b);
    uint16_t scales_h;
    memcpy(&scales_h, b + 2, sizeof(scales_h));
    const uint8_t *scales_l = b + 4;
    const uint8_t *qs = b + 8;
    for (int ib = 0; ib < 8; ++ib) {
        const int ls =
            ((scales_l[ib / 2] >> 4 * (ib % 2)) & 0xf) | (((scales_h >> 2 * ib) & 3) << 4);
        const float dl = d * (float)(ls - 32);
        for (int j = 0; j < 16; ++j) {
            y[j] = dl * (float)iq4[qs[j] & 0xf];
            y[j + 16] = dl * (float)iq4[qs[j] >> 4];
        }
        y += 32;
        qs += 16;
    }
}

static void ref_mxfp4(const uint8_t *b, float *y)
{
    static const float e2m1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                   -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    for (int j = 0; j < 16; ++j) {
        y[j] = ldexpf(e2m1[b[1 + j] & 0xf], b[0] - 127);
        y[j + 16] = ldexpf(e2m1[b[1 + j] >> 4], b[0] - 127);
    }
}

/* Numbers and sizes as published, not as our table has them. */
static const struct type {
    uint32_t id;
    const char *name;
    uint32_t n_elements;
    uint32_t n_bytes;
    void (*ref)(const uint8_t *b, float *y);
    int n_halves; /* f16 fields, kept finite in random blocks */
    int halves[2];
} types[] = {
    {2, "Q4_0", 32, 18, ref_q4_0, 1, {0, 0}},      {3, "Q4_1", 32, 20, ref_q4_1, 2, {0, 2}},
    {6, "Q5_0", 32, 22, ref_q5_0, 1, {0, 0}},      {7, "Q5_1", 32, 24, ref_q5_1, 2, {0, 2}},
    {8, "Q8_0", 32, 34, ref_q8_0, 1, {0, 0}},      {10, "Q2_K", 256, 84, ref_q2_k, 2, {80, 82}},
    {11, "Q3_K", 256, 110, ref_q3_k, 1, {108, 0}}, {12, "Q4_K", 256, 144, ref_q4_k, 2, {0, 2}},
    {13, "Q5_K", 256, 176, ref_q5_k, 2, {0, 2}},   {14, "Q6_K", 256, 210, ref_q6_k, 1, {208, 0}},
    {20, "IQ4_NL", 32, 18, ref_iq4_nl, 1, {0, 0}}, {23, "IQ4_XS", 256, 136, ref_iq4_xs, 1, {0, 0}},
    {39, "MXFP4", 32, 17, ref_mxfp4, 0, {0, 0}},
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static void the_table_has_the_published_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TYPES; i++) {
        const krs_gguf_type_info *info = krs_gguf_type_find(types[i].id);
        assert_non_null(info);
        assert_string_equal(info->name, types[i].name);
        assert_int_equal(info->n_elements, types[i].n_elements);
        assert_int_equal(info->n_bytes, types[i].n_bytes);
        assert_int_equal(info->quant.group, types[i].n_elements);
        assert_ptr_equal(krs_gguf_type_of_kind(info->quant.kind), info);
    }
    assert_int_equal(krs_gguf_type_find(0)->dtype, KRS_DTYPE_F32);
    assert_int_equal(krs_gguf_type_find(1)->dtype, KRS_DTYPE_F16);
    assert_int_equal(krs_gguf_type_find(30)->dtype, KRS_DTYPE_BF16);
    assert_int_equal(krs_gguf_type_find(30)->n_bytes, 2);
    assert_null(krs_gguf_type_find(1000));
    assert_null(krs_gguf_type_of_kind(KRS_QUANT_NONE));
    assert_null(krs_gguf_type_of_kind(KRS_QUANT_AFFINE));
    assert_int_equal(krs_gguf_type_find(19)->n_bytes, 0); /* IQ1_S: by name only */
}

/* doc: every row of every type is what the published layout says, to the last bit. */
static void random_rows_are_what_the_layout_says(void **state)
{
    (void)state;
    unsigned seed = 20240229;
    (void)printf("seed %u\n", seed);
    for (size_t t = 0; t < N_TYPES; t++) {
        const struct type *type = &types[t];
        unsigned char data[N_BLOCKS * MAX_BYTES];
        float want[N_BLOCKS * MAX_ELEMENTS];
        float got[N_BLOCKS * MAX_ELEMENTS / 2];
        for (size_t i = 0; i < sizeof(data); i++) {
            seed = seed * 1664525u + 1013904223u;
            data[i] = (unsigned char)(seed >> 24);
        }
        for (size_t b = 0; b < N_BLOCKS; b++) {
            for (int h = 0; h < type->n_halves; h++) {
                data[b * type->n_bytes + (size_t)type->halves[h] + 1] &=
                    0xBB; /* no infinity or NaN */
            }
            type->ref(data + b * type->n_bytes, want + b * type->n_elements);
        }
        const int64_t n_in = (int64_t)type->n_elements * N_BLOCKS / 2;
        const krs_matrix m = {.n_out = 2,
                              .n_in = n_in,
                              .quant = krs_gguf_type_find(type->id)->quant,
                              .dtype = KRS_DTYPE_U8,
                              .data = data};
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_matrix_check(&m, &err), KRS_OK);
        assert_int_equal(krs_matrix_data_bytes(&m), (size_t)N_BLOCKS * type->n_bytes);
        assert_int_equal(krs_matrix_scale_bytes(&m), 0);
        for (int64_t row = 0; row < 2; row++) {
            krs_matrix_row(&m, row, got);
            for (int64_t i = 0; i < n_in; i++) {
                if (got[i] != want[row * n_in + i]) {
                    fail_msg("%s row %d element %d: %a, want %a", type->name, (int)row, (int)i,
                             (double)got[i], (double)want[row * n_in + i]);
                }
            }
        }
    }
}

static void read_one(uint32_t id, const unsigned char *block, float *out)
{
    const krs_gguf_type_info *info = krs_gguf_type_find(id);
    const krs_matrix m = {.n_out = 1,
                          .n_in = info->n_elements,
                          .quant = info->quant,
                          .dtype = KRS_DTYPE_U8,
                          .data = block};
    krs_matrix_row(&m, 0, out);
}

static void small_blocks_made_by_hand_have_their_values(void **state)
{
    (void)state;
    float y[256];
    /* d = 0.5 (0x3800); byte 0 holds code 9 for element 0 and code 3 for element 16. */
    const unsigned char q4_0[18] = {0x00, 0x38, 0x39};
    read_one(2, q4_0, y);
    assert_true(y[0] == 0.5f && y[16] == -2.5f && y[1] == -4.0f);
    /* d = 2 (0x4000), m = -1 (0xBC00). */
    const unsigned char q4_1[20] = {0x00, 0x40, 0x00, 0xBC, 0xF2};
    read_one(3, q4_1, y);
    assert_true(y[0] == 3.0f && y[16] == 29.0f && y[5] == -1.0f);
    /* d = 1 (0x3C00); fifth bits of elements 0 and 31. */
    const unsigned char q5_0[22] = {0x00, 0x3C, 0x01, 0, 0, 0x80, 0x03};
    read_one(6, q5_0, y);
    assert_true(y[0] == 3.0f && y[31] == 0.0f && y[1] == -16.0f);
    /* d = 0.25 (0x3400), codes 127 and -128. */
    const unsigned char q8_0[34] = {0x00, 0x34, 127, 0x80};
    read_one(8, q8_0, y);
    assert_true(y[0] == 31.75f && y[1] == -32.0f && y[2] == 0.0f);
}

static void super_blocks_made_by_hand_have_their_values(void **state)
{
    (void)state;
    float y[256];
    /* Q4_K: d = 1, dmin = 2. Group 0: scale 5, minimum 3. Group 4: scale 0x21 = 33, minimum 0x12 = 18. */
    unsigned char q4_k[144] = {0x00, 0x3C, 0x00, 0x40};
    q4_k[4] = 5 | 2 << 6;
    q4_k[8] = 3 | 1 << 6;
    q4_k[12] = 0x21;
    q4_k[16] = 0x07;      /* group 0, element 0: 7 */
    q4_k[16 + 64] = 0x0A; /* group 4, element 0: 10 */
    read_one(12, q4_k, y);
    assert_true(y[0] == 5.0f * 7.0f - 6.0f);
    assert_true(y[1] == -6.0f);
    assert_true(y[128] == 33.0f * 10.0f - 36.0f);
    /* Q6_K: d = 1; scale 0 is -2; element 0 has low nibble 5 and high bits 3: 53 - 32. */
    unsigned char q6_k[210] = {0};
    q6_k[0] = 0x05;
    q6_k[128] = 0x03;
    q6_k[192] = 0xFE;
    q6_k[209] = 0x3C;
    read_one(14, q6_k, y);
    assert_true(y[0] == -42.0f && y[1] == 64.0f && y[16] == 0.0f);
}

static void rows_of_broken_blocks_are_refused(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    const krs_quant q4_k = krs_gguf_type_find(12)->quant;
    assert_int_equal(krs_quant_check(&q4_k, 256, &err), KRS_OK);
    assert_int_equal(krs_quant_check(&q4_k, 128, &err), KRS_EFORMAT);
    krs_quant odd = q4_k;
    odd.group = 32;
    assert_int_equal(krs_quant_check(&odd, 256, &err), KRS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "Q4_K"));
}

static void the_list_of_types_is_cut_where_it_ends(void **state)
{
    (void)state;
    char all[256];
    krs_gguf_type_list(all, sizeof(all));
    assert_non_null(strstr(all, "Q6_K"));
    assert_null(strstr(all, "IQ1_S"));
    for (size_t n = 1; n < 20; n++) {
        char some[20];
        krs_gguf_type_list(some, n);
        assert_true(strlen(some) < n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_the_published_sizes),
        cmocka_unit_test(random_rows_are_what_the_layout_says),
        cmocka_unit_test(small_blocks_made_by_hand_have_their_values),
        cmocka_unit_test(super_blocks_made_by_hand_have_their_values),
        cmocka_unit_test(rows_of_broken_blocks_are_refused),
        cmocka_unit_test(the_list_of_types_is_cut_where_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
