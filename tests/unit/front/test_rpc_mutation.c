/* unit/front/test_rpc_mutation.c - ten thousand requests that are almost right, in lines and packed: what comes
 * out is JSON-RPC, whoever is owed an answer gets one, and nothing is left behind. The seed is printed. */
#include "os/random.h"
#include "rpc_fixture.h"
#include "wire/msgpack.h"

#define N_MUTATIONS 10000
#define MAX_BYTES   1024

static const char *const seeds[] = {
    "{\"jsonrpc\":\"2.0\",\"method\":\"generate\",\"params\":{\"model_id\":\"fake\",\"prompt\":"
    "\"hi\","
    "\"stream_id\":\"s\",\"max_tokens\":5,\"temperature\":0.5,\"stop_sequences\":[\"a\",\"b\"],"
    "\"stop_token_ids\":[1,2],\"seed\":7,\"streaming\":true},\"id\":1}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"batch_generate\",\"params\":{\"requests\":[{\"model_id\":"
    "\"fake\","
    "\"prompt\":\"p\",\"stream_id\":\"a\"},{\"model_id\":\"fake\",\"prompt_tokens\":[1,2],"
    "\"stream_id\":\"b\",\"credit\":3}]},\"id\":2}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"batch_tokenize\",\"params\":{\"requests\":[{\"model_id\":"
    "\"fake\","
    "\"text\":\"\\u00e9\\ud83d\\ude00\"}]},\"id\":\"three\"}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"chat\",\"params\":{\"model_id\":\"fake\",\"messages\":[{"
    "\"role\":"
    "\"user\",\"content\":\"hi\"}],\"logprobs\":true,\"top_logprobs\":2},\"id\":4}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"load_model\",\"params\":{\"model_id\":\"x/"
    "y\",\"local_path\":\"/x\","
    "\"context_length\":5,\"revision\":\"main\",\"draft\":false},\"id\":5}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"embeddings\",\"params\":{\"model_id\":\"fake\",\"input\":["
    "\"a\"]},"
    "\"id\":6}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"check_draft\",\"params\":{\"primary_id\":\"fake\",\"draft_"
    "id\":"
    "\"fake\"},\"id\":7}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"stream.credit\",\"params\":{\"stream_id\":\"s\",\"n\":5},"
    "\"id\":8}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"events.subscribe\",\"params\":{\"topics\":[\"model.*\"]},"
    "\"id\":9}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"runtime/info\",\"id\":\"readiness-probe\"}",
};

#define N_SEEDS (sizeof(seeds) / sizeof(seeds[0]))

static uint64_t random_state;

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

/* A few changes of a kind that people, bugs and attackers make. Returns the new length. */
static size_t mutate(char *text, size_t n)
{
    static const char *const words[] = {"null", "true",  "-1", "1e999", "\"\"", "[]",
                                        "{}",   "99999", "\\", "\"",    "\xFF", "\x00\x01"};
    for (size_t k = below(3) + 1; k > 0; k--) {
        const size_t i = below(n);
        const char *word = words[below(sizeof(words) / sizeof(words[0]))];
        const size_t n_word = strlen(word);
        switch (below(4)) {
        case 0:
            text[i] = (char)next_random();
            break;
        case 1: /* cut out */
            if (n > 2) {
                const size_t n_cut = below(n - i) % (n - 1);
                memmove(text + i, text + i + n_cut, n - i - n_cut);
                n -= n_cut;
            }
            break;
        case 2: /* put in */
            if (n + n_word < MAX_BYTES) {
                memmove(text + i + n_word, text + i, n - i);
                memcpy(text + i, word, n_word);
                n += n_word;
            }
            break;
        default: /* repeat */
            if (n + (n - i) < MAX_BYTES) {
                memcpy(text + n, text + i, n - i);
                n += n - i;
            }
            break;
        }
    }
    return n;
}

/* Everything said is a message with an answer or a method. */
static void check_output(fixture *f)
{
    for (const json_t *m = next_message(f); m; m = next_message(f)) {
        const bool is_reply = json_object_get(m, "result") || json_object_get(m, "error");
        assert_int_equal(is_reply, !json_object_get(m, "method"));
        assert_int_equal(is_reply, json_object_get(m, "id") != NULL);
    }
    sent_all(f);
}

static void end_all(fixture *f)
{
    for (uint32_t i = 0; i < f->n_opened; i++) {
        if (f->streams[i].task) {
            tell_end(f, i, below(2) ? KRS_FINISH_ERROR : KRS_FINISH_CANCELLED);
        }
        krs_request_free(f->streams[i].request);
    }
    f->n_opened = 0;
}

static void mutated_lines_get_clean_answers(void **state)
{
    fixture *f = *state;
    random_state = krs_os_random_u64();
    print_message("seed %llu\n", (unsigned long long)random_state);
    for (int k = 0; k < N_MUTATIONS; k++) {
        char text[MAX_BYTES + 1];
        const char *seed = seeds[below(N_SEEDS)];
        memcpy(text, seed, strlen(seed));
        const size_t n = mutate(text, strlen(seed));
        text[n] = '\n';
        krs_rpc_feed(f->session, (krs_str){text, n + 1}, f->now_ns += MS);
        check_output(f);
        if (f->n_opened > MAX_OPENED / 2) {
            end_all(f);
            check_output(f);
        }
    }
    end_all(f);
    check_output(f);
    ask(f, "runtime/state", "{}"); /* and goes on */
    assert_int_equal(int_at(expect_result(f), "active_streams"), 0);
    assert_int_equal(krs_rpc_unanswered(f->session), 0);
}

static void mutated_packages_get_clean_answers(void **state)
{
    fixture *f = *state;
    random_state = krs_os_random_u64();
    print_message("seed %llu\n", (unsigned long long)random_state);
    f->session->framer.encoding = f->session->next_encoding = KRS_ENCODING_MSGPACK;
    for (int k = 0; k < N_MUTATIONS; k++) {
        krs_buf packed;
        krs_buf_init(&packed, NULL, MAX_BYTES + 1);
        json_t *tree = json_loads(seeds[below(N_SEEDS)], 0, NULL);
        assert_int_equal(krs_msgpack_put_tree(&packed, tree), KRS_OK);
        json_decref(tree);
        char text[MAX_BYTES + 4];
        memcpy(text + 4, packed.data, packed.len);
        const size_t n = mutate(text + 4, packed.len);
        krs_buf_deinit(&packed);
        text[0] = text[1] = 0;
        text[2] = (char)(n >> 8);
        text[3] = (char)n;
        krs_rpc_feed(f->session, (krs_str){text, n + 4}, f->now_ns += MS);
        assert_false(krs_rpc_is_broken(f->session));
        sent_all(f);
        if (f->n_opened > MAX_OPENED / 2) {
            end_all(f);
        }
        if (f->session->framer.encoding == KRS_ENCODING_JSON) { /* it may have asked for that */
            f->session->framer.encoding = f->session->next_encoding = KRS_ENCODING_MSGPACK;
        }
    }
    end_all(f);
    sent_all(f);
    assert_int_equal(krs_rpc_unanswered(f->session), 0);
    assert_int_equal(krs_rpc_streams(f->session), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mutated_lines_get_clean_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mutated_packages_get_clean_answers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
