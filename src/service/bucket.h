/* service/bucket.h - so many a minute, with a burst, in one atomic number.
 *
 * The bucket is kept as the time at which it will be full again; taking n moves that time forward by what n
 * are worth. So there is nothing to refill, and threads that take at once agree without a lock. Tokens of an
 * answer are charged when they are known, which is after it was let in: charging may take the bucket
 * below empty, and then nothing is let in until the debt is paid. The debt is bounded, so that one
 * enormous answer does not shut a tenant out for a day.
 *
 * Thread: any, atomic; no clock in here.  Memory: none.
 * Source: ITU-T I.371 annex A, the generic cell rate algorithm. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KRS_BUCKET_MAX_PER_MINUTE                                                                  \
    1000000000u /* 60 ns a token: the resolution still means something */
#define KRS_BUCKET_MAX_DEBT_NS UINT64_C(600000000000) /* 10 minutes */

typedef struct krs_bucket {
    _Atomic uint64_t full_ns; /* 0: full */
} krs_bucket;

typedef struct krs_bucket_rate {
    uint32_t per_minute; /* 0: no limit */
    uint32_t burst;      /* what a full bucket holds, at least 1 */
} krs_bucket_rate;

/* Take n when they are there; otherwise take nothing and say in *retry_after_ns when they will be. */
bool krs_bucket_take(krs_bucket *bucket, krs_bucket_rate rate, uint32_t n, uint64_t now_ns,
                     uint64_t *retry_after_ns);

/* Is there at least one? */
bool krs_bucket_has_any(krs_bucket *bucket, krs_bucket_rate rate, uint64_t now_ns,
                        uint64_t *retry_after_ns);

/* Take n whether they are there or not. */
void krs_bucket_charge(krs_bucket *bucket, krs_bucket_rate rate, uint32_t n, uint64_t now_ns);
