/* service/bucket.c - see bucket.h. The atomics are relaxed: a bucket orders nothing but itself. */
#include "service/bucket.h"

#define NS_PER_MINUTE UINT64_C(60000000000)

/* What n are worth; fits, for n and the worth of one are below 2^32 and 2^36. */
static uint64_t worth_of(krs_bucket_rate rate, uint32_t n)
{
    const uint64_t each_ns = NS_PER_MINUTE / rate.per_minute;
    const uint64_t most = UINT64_MAX / 4 / each_ns;
    return each_ns * (n < most ? n : most);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t latest_of(krs_bucket_rate rate, uint64_t now_ns)
{
    return now_ns + worth_of(rate, rate.burst) + KRS_BUCKET_MAX_DEBT_NS;
}

/* When it will be full. The rate may have got another burst meanwhile: what the old one allowed to be spent is no
 * debt beyond the bound. */
static uint64_t full_ns_of(krs_bucket *bucket, krs_bucket_rate rate, uint64_t now_ns)
{
    const uint64_t latest_ns = latest_of(rate, now_ns);
    uint64_t full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
    while (full_ns > latest_ns) {
        if (atomic_compare_exchange_weak_explicit(&bucket->full_ns, &full_ns, latest_ns,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            full_ns = latest_ns;
        }
    }
    return full_ns;
}

bool krs_bucket_take(krs_bucket *bucket, krs_bucket_rate rate, uint32_t n, uint64_t now_ns,
                     uint64_t *retry_after_ns)
{
    *retry_after_ns = 0;
    if (rate.per_minute == 0) {
        return true;
    }
    const uint64_t holds_ns = worth_of(rate, rate.burst);
    const uint64_t takes_ns = worth_of(rate, n);
    uint64_t full_ns = full_ns_of(bucket, rate, now_ns);
    uint64_t next_ns;
    do {
        next_ns = later(full_ns, now_ns) + takes_ns;
        if (next_ns > now_ns + holds_ns) {
            *retry_after_ns = next_ns - holds_ns - now_ns;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&bucket->full_ns, &full_ns, next_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool krs_bucket_has_any(krs_bucket *bucket, krs_bucket_rate rate, uint64_t now_ns,
                        uint64_t *retry_after_ns)
{
    *retry_after_ns = 0;
    if (rate.per_minute == 0) {
        return true;
    }
    const uint64_t full_ns = full_ns_of(bucket, rate, now_ns);
    const uint64_t next_ns = later(full_ns, now_ns) + worth_of(rate, 1);
    const uint64_t holds_ns = worth_of(rate, rate.burst);
    if (next_ns <= now_ns + holds_ns) {
        return true;
    }
    *retry_after_ns = next_ns - holds_ns - now_ns;
    return false;
}

void krs_bucket_charge(krs_bucket *bucket, krs_bucket_rate rate, uint32_t n, uint64_t now_ns)
{
    if (rate.per_minute == 0 || n == 0) {
        return;
    }
    const uint64_t takes_ns = worth_of(rate, n);
    const uint64_t latest_ns = latest_of(rate, now_ns);
    uint64_t full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
    uint64_t next_ns;
    do {
        next_ns = later(full_ns, now_ns) + takes_ns;
        next_ns = next_ns < latest_ns ? next_ns : latest_ns;
    } while (!atomic_compare_exchange_weak_explicit(&bucket->full_ns, &full_ns, next_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
}
