/* front/writer.c - see writer.h. */
#include "front/writer.h"

#include <math.h>
#include <stdio.h>

#define DECIMAL_BYTES 20 /* of the largest uint64_t */
#define REAL_BYTES    32 /* "-1.7976931348623157e+308" and to spare */

void krs_put_number(krs_writer *w, uint64_t n)
{
    char digits[DECIMAL_BYTES];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    krs_put(w, (krs_str){digits + first, sizeof(digits) - first});
}

void krs_put_real(krs_writer *w, double x, int n_digits)
{
    char text[REAL_BYTES];
    const int n = isfinite(x) ? snprintf(text, sizeof(text), "%.*g", n_digits, x) : 0;
    krs_put(w, n > 0 ? (krs_str){text, (size_t)n} : KRS_STR("null"));
}
