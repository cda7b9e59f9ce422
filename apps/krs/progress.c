/* apps/krs/progress.c - see progress.h. */
#include "progress.h"

#include "os/clock.h"
#include "os/term.h"

#include <stdio.h>

#define STDERR_FD     2
#define REDRAW_NS     (100 * KRS_NS_PER_MS) /* ten a second: smooth to the eye, free for the work */
#define QUIET_NS      (300 * KRS_NS_PER_MS) /* shorter work shows no bar at all */
#define MAX_BAR       40                    /* cells; longer bars say no more */
#define COLUMNS_OTHER 24                    /* percent, time left and spaces beside label and bar */

void krs_progress_start(krs_progress *progress, const krs_config *config, const char *label,
                        uint64_t total)
{
    *progress = (krs_progress){.label = label, .total = total ? total : 1};
    progress->is_shown =
        krs_os_is_terminal(STDERR_FD) && !krs_config_bool(config, KRS_OPTION_QUIET);
    progress->started_ns = progress->shown_ns = krs_os_now_ns();
}

static void draw(const krs_progress *progress, uint64_t done, uint64_t now_ns)
{
    const double share = (double)done / (double)progress->total;
    const double spent_s = (double)(now_ns - progress->started_ns) / 1e9;
    const double left_s = share > 0 ? spent_s * (1 - share) / share : 0;
    const uint32_t columns = krs_os_terminal_columns(STDERR_FD);
    const size_t used = strlen(progress->label) + COLUMNS_OTHER;
    const size_t room = columns > used ? columns - used : 0;
    const int n_bar = (int)(room < MAX_BAR ? room : MAX_BAR);
    const int n_full = (int)(share * n_bar);
    char bar[MAX_BAR + 1];
    for (int i = 0; i < n_bar; i++) {
        bar[i] = i < n_full ? '#' : '.';
    }
    bar[n_bar] = '\0';
    (void)fprintf(stderr, "\r%s %s %3.0f %% %5.0f s left ", progress->label, bar, share * 100,
                  left_s);
    (void)fflush(stderr);
}

void krs_progress_set(krs_progress *progress, uint64_t done)
{
    const uint64_t now_ns = krs_os_now_ns();
    if (progress->is_shown && now_ns - progress->shown_ns >= REDRAW_NS &&
        now_ns - progress->started_ns >= QUIET_NS) {
        progress->shown_ns = now_ns;
        draw(progress, done, now_ns);
    }
}

void krs_progress_end(krs_progress *progress)
{
    if (progress->is_shown && progress->shown_ns != progress->started_ns) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    progress->is_shown = false;
}
