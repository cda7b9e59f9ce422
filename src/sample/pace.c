/* sample/pace.c - see pace.h.
 *
 * The chance is a mean that forgets: one outcome moves it by 1 / MEMORY of what is missing to 1 or to 0. The line
 * is least squares over sums that fade; while all recent steps were of one size they say nothing about its
 * slope, and the last one known stands.
 *
 * Thread: values.  Memory: none. */
#include "sample/pace.h"

#define MEMORY     8.0 /* outcomes: a copied passage is noticed within a few tokens, and its end too */
#define MIN_CHANCE 0.01 /* so that it can grow, and shrink, again */
#define FADE       0.98 /* a step ago; some 50 steps count */
#define MIN_SPREAD 0.05 /* rows squared, of the mean: below it the slope is noise */

krs_pace krs_pace_start(void)
{
    return (krs_pace){.chance = 0.5};
}

uint32_t krs_pace_length(krs_pace *pace, const krs_pace_step *step, uint32_t max)
{
    double tokens = step->n_tokens;
    double time = step->base;
    double chance = pace->chance;
    uint32_t n = 0;
    while (n < max && chance * time > step->row * tokens) {
        tokens += chance;
        time += step->row;
        chance *= pace->chance;
        n++;
    }
    if (n == 0 && max > 0 && ++pace->n_skipped >= KRS_PACE_PROBE) {
        n = 1;
    }
    pace->n_skipped = n > 0 ? 0 : pace->n_skipped;
    return n;
}

static void note(krs_pace *pace, double outcome)
{
    const double chance = pace->chance + (outcome - pace->chance) / MEMORY;
    pace->chance = chance < MIN_CHANCE ? MIN_CHANCE : chance;
    pace->chance = pace->chance > 1.0 - MIN_CHANCE ? 1.0 - MIN_CHANCE : pace->chance;
}

void krs_pace_learn(krs_pace *pace, uint32_t n_proposed, uint32_t n_accepted)
{
    for (uint32_t i = 0; i < n_accepted; i++) {
        note(pace, 1.0);
    }
    if (n_accepted < n_proposed) { /* those behind the first wrong one were never asked */
        note(pace, 0.0);
    }
}

void krs_pace_cost_learn(krs_pace_cost *cost, uint32_t n_rows, uint64_t ns)
{
    const double x = n_rows;
    const double y = (double)ns;
    cost->weight = cost->weight * FADE + 1.0;
    cost->rows = cost->rows * FADE + x;
    cost->ns = cost->ns * FADE + y;
    cost->rows_rows = cost->rows_rows * FADE + x * x;
    cost->rows_ns = cost->rows_ns * FADE + x * y;
    const double mean_rows = cost->rows / cost->weight;
    const double mean_ns = cost->ns / cost->weight;
    const double spread = cost->rows_rows / cost->weight - mean_rows * mean_rows;
    if (spread < MIN_SPREAD) {
        return;
    }
    const double slope = (cost->rows_ns / cost->weight - mean_rows * mean_ns) / spread;
    const double one = mean_ns - slope * (mean_rows - 1.0); /* a step of one row */
    const double row = one > 0.0 ? slope / one : 1.0;
    cost->row = row < KRS_PACE_MIN_ROW ? KRS_PACE_MIN_ROW : row > 1.0 ? 1.0 : row;
}

double krs_pace_cost_row(const krs_pace_cost *cost)
{
    return cost->row > 0.0 ? cost->row : KRS_PACE_ANY_ROW;
}

double krs_pace_cost_one(const krs_pace_cost *cost)
{
    if (!(cost->weight > 0.0)) {
        return 0.0;
    }
    const double more = cost->rows / cost->weight - 1.0;
    return cost->ns / cost->weight / (1.0 + krs_pace_cost_row(cost) * more);
}
