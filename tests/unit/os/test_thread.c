/* os/thread: a pinned thread is where it was put, and a CPU that is not ours is refused. */
#include "os/clock.h"
#include "os/cpu.h"
#include "os/thread.h"
#include "support/cmocka.h"

#include <stdatomic.h>

typedef struct place {
    _Atomic bool is_pinned;
    uint32_t n_allowed; /* CPUs its thread may use */
    uint32_t first;
} place;

static void look(void *arg)
{
    place *p = arg;
    uint32_t cpus[KRS_OS_MAX_CPUS];
    while (!atomic_load(&p->is_pinned)) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    p->n_allowed = krs_os_allowed_cpus(cpus, KRS_OS_MAX_CPUS);
    p->first = cpus[0];
}

static void a_pinned_thread_keeps_to_its_cpu(void **state)
{
    (void)state;
    uint32_t cpus[KRS_OS_MAX_CPUS];
    const uint32_t n = krs_os_allowed_cpus(cpus, KRS_OS_MAX_CPUS);
    for (uint32_t i = 0; i < n && i < 4; i++) {
        place p = {.is_pinned = false};
        krs_os_thread *thread = NULL;
        assert_int_equal(krs_os_thread_start("look", look, &p, &thread, NULL), KRS_OK);
        assert_int_equal(krs_os_thread_pin(thread, cpus[i]), KRS_OK);
        assert_int_equal(krs_os_thread_pin(thread, KRS_OS_MAX_CPUS - 1), KRS_EINVAL);
        atomic_store(&p.is_pinned, true);
        krs_os_thread_join(thread);
        assert_int_equal(p.n_allowed, 1);
        assert_int_equal(p.first, cpus[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pinned_thread_keeps_to_its_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
