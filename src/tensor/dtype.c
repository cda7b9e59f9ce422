/* tensor/dtype.c - see dtype.h.
 * The conversions work on bits, not through compiler half types, so that every compiler, flag and
 * CPU gives the same result and the rounding can be read off the page. Sixteen-bit values are stored
 * little-endian in files; every machine kr-serve runs on is little-endian too. */
#include "tensor/dtype.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are little-endian");

#define F32_SIGN     0x80000000u
#define F32_INFINITY 0x7F800000u
#define F32_QUIET    0x00400000u /* the bit that makes a NaN quiet */

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
#define KRS_DTYPE(name, text, bytes) {text, bytes},
#include "tensor/dtype.def"
#undef KRS_DTYPE
};

size_t krs_dtype_bytes(krs_dtype dtype)
{
    return dtype < KRS_DTYPE_COUNT ? dtypes[dtype].bytes : 0;
}

const char *krs_dtype_name(krs_dtype dtype)
{
    return dtype < KRS_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

krs_dtype krs_dtype_of_name(krs_str name)
{
    unsigned i = 0;
    while (i < KRS_DTYPE_COUNT && !krs_str_equal(name, krs_str_of(dtypes[i].name))) {
        i++;
    }
    return (krs_dtype)i;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* value >> shift, rounded to nearest, ties to even. shift: 1 .. 31. */
static uint32_t shift_right_even(uint32_t value, unsigned shift)
{
    const uint32_t half = 1u << (shift - 1);
    const uint32_t rest = value & ((half << 1) - 1);
    const uint32_t whole = value >> shift;
    return whole + (rest > half || (rest == half && (whole & 1u)));
}

uint16_t krs_bf16_of_f32(float x)
{
    const uint32_t bits = bits_of(x);
    if ((bits & ~F32_SIGN) > F32_INFINITY) {
        return (uint16_t)((bits | F32_QUIET) >> 16); /* a payload in the low half must not vanish */
    }
    /* The carry out of the mantissa is the next exponent, and from the largest one, infinity. */
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

float krs_f32_of_f16(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16;
    const uint32_t exponent = x >> 10 & 0x1Fu;
    const uint32_t mantissa = x & 0x3FFu;
    if (exponent == 0x1F) {
        const uint32_t quiet = mantissa ? F32_QUIET : 0;
        return float_of(sign | F32_INFINITY | quiet | mantissa << 13);
    }
    if (exponent == 0) { /* subnormal: mantissa * 2^-24, exact in f32 */
        const float magnitude = (float)mantissa * 0x1p-24f;
        return float_of(sign | bits_of(magnitude));
    }
    return float_of(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}

uint16_t krs_f16_of_f32(float x)
{
    const uint32_t bits = bits_of(x);
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & ~F32_SIGN;
    if (magnitude > F32_INFINITY) {
        return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    }
    if (magnitude >= 0x477FF000u) { /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00u);
    }
    if (magnitude >= 0x38800000u) { /* 2^-14 and above: normal; a carry moves up the exponent */
        const uint32_t rebased = magnitude - ((127u - 15u) << 23);
        return (uint16_t)(sign | shift_right_even(rebased, 13));
    }
    if (magnitude <= 0x33000000u) { /* 2^-25 and below: zero, the tie included */
        return (uint16_t)sign;
    }
    const uint32_t exponent = magnitude >> 23;
    const uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    return (uint16_t)(sign | shift_right_even(mantissa, 126 - exponent));
}

static float from_f32(const unsigned char *in)
{
    float x;
    memcpy(&x, in, sizeof(x));
    return x;
}

static float from_f16(const unsigned char *in)
{
    uint16_t x;
    memcpy(&x, in, sizeof(x));
    return krs_f32_of_f16(x);
}

static float from_bf16(const unsigned char *in)
{
    uint16_t x;
    memcpy(&x, in, sizeof(x));
    return krs_f32_of_bf16(x);
}

static float from_f64(const unsigned char *in)
{
    double x;
    memcpy(&x, in, sizeof(x));
    return (float)x;
}

bool krs_f32_of_any(krs_dtype dtype, const void *in, size_t n, float *out)
{
    float (*convert)(const unsigned char *) = NULL;
    switch (dtype) {
    case KRS_DTYPE_F32:
        convert = from_f32;
        break;
    case KRS_DTYPE_F16:
        convert = from_f16;
        break;
    case KRS_DTYPE_BF16:
        convert = from_bf16;
        break;
    case KRS_DTYPE_F64:
        convert = from_f64;
        break;
    default:
        return false;
    }
    const unsigned char *bytes = in;
    const size_t step = krs_dtype_bytes(dtype);
    for (size_t i = 0; i < n; i++) {
        out[i] = convert(bytes + i * step);
    }
    return true;
}
