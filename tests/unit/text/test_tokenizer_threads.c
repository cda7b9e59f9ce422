/* text/tokenizer: one tokenizer, several threads, each with its own encoder: what the preparation threads do
 * with a batch. Every kind of model gives on each thread what it gives on one alone; the thread sanitizer
 * looks on where it is built in. */
#include "os/thread.h"
#include "support/tokenizers.h"

#define N_THREADS 4
#define N_TEXTS   120 /* of the vectors, the first and shortest */

typedef struct worker {
    const krs_tokenizer *t;
    const json_t *cases;
    size_t first; /* threads begin at different texts */
    size_t n_wrong;
    krs_status status;
} worker;

static bool is_same(const krs_ids *got, const json_t *want)
{
    bool is_equal = got->n == json_array_size(want);
    for (size_t i = 0; is_equal && i < got->n; i++) {
        is_equal = (json_int_t)got->ids[i] == json_integer_value(json_array_get(want, i));
    }
    return is_equal;
}

/* No cmocka in here: an assert must not leave a thread. */
static void work(void *arg)
{
    worker *w = arg;
    krs_encoder *e = NULL;
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_TEST_TEXT_BYTES);
    w->status = krs_encoder_new(w->t, &e, NULL);
    for (size_t k = 0; w->status == KRS_OK && k < N_TEXTS; k++) {
        const json_t *c = json_array_get(w->cases, (w->first + k) % N_TEXTS);
        const json_t *in = json_object_get(c, "text");
        const json_t *out = json_object_get(c, "decoded");
        krs_ids ids;
        w->status = krs_encode(e, (krs_str){json_string_value(in), json_string_length(in)}, false,
                               &ids, NULL);
        krs_buf_reset(&text);
        if (w->status == KRS_OK) {
            w->status = krs_decode(w->t, ids.ids, ids.n, false, &text, NULL);
        }
        const krs_str want = {json_string_value(out), json_string_length(out)};
        w->n_wrong += w->status != KRS_OK || !is_same(&ids, json_object_get(c, "ids")) ||
                      !krs_str_equal(krs_buf_view(&text), want);
    }
    krs_buf_deinit(&text);
    krs_encoder_free(e);
}

static void threads_agree_on_every_kind_of_model(void **state)
{
    static const char *const names[] = {"gpt-2", "phi-3", "clip", "bert-base-uncased", "t5-small"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char folder[KRS_OS_PATH_BYTES];
        (void)snprintf(folder, sizeof(folder), "%s/%s", KRS_TEST_TOKENIZERS, names[i]);
        krs_tokenizer *t = krs_test_tokenizer_at(folder);
        json_t *root = krs_test_vectors(folder);
        const json_t *cases = json_object_get(root, "cases");
        worker workers[N_THREADS];
        krs_os_thread *threads[N_THREADS];
        assert_true(json_array_size(cases) >= N_TEXTS);
        for (size_t k = 0; k < N_THREADS; k++) {
            workers[k] = (worker){t, cases, k * (N_TEXTS / N_THREADS), 0, KRS_OK};
            assert_int_equal(krs_os_thread_start("tokens", work, &workers[k], &threads[k], NULL),
                             KRS_OK);
        }
        for (size_t k = 0; k < N_THREADS; k++) {
            krs_os_thread_join(threads[k]);
            assert_int_equal(workers[k].status, KRS_OK);
            assert_int_equal(workers[k].n_wrong, 0);
        }
        json_decref(root);
        krs_tokenizer_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_agree_on_every_kind_of_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
