/* Any JSON as a schema: an error that says something, or a grammar, for answers and for checking, that can be
 * followed; and what the one for answers leads to, the one for checking accepts. */
#include "base/check.h"
#include "grammar/matcher.h"
#include "grammar/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that a run is quick: a bomb meets them sooner. */
static const krs_grammar_limits limits = {1u << 15, 8u << 20, 1u << 15};

static krs_automaton *automaton_of(const json_t *schema, const krs_schema_options *options)
{
    krs_grammar_builder *b;
    krs_error err = KRS_ERROR_INIT;
    krs_expr root;
    KRS_CHECK(krs_grammar_builder_new(&limits, NULL, &b) == KRS_OK);
    const krs_status status = krs_grammar_schema(b, schema, options, &root, &err);
    if (status != KRS_OK) {
        KRS_CHECK(status == KRS_EINVAL && err.message[0]);
        krs_grammar_builder_free(b);
        return NULL;
    }
    krs_grammar *grammar;
    if (krs_grammar_build(b, root, &grammar, &err) != KRS_OK) {
        KRS_CHECK(err.message[0]);
        return NULL;
    }
    krs_automaton *a;
    if (krs_automaton_new(&grammar, NULL, NULL, NULL, &a, &err) != KRS_OK) {
        krs_grammar_free(grammar);
        return NULL;
    }
    return a;
}

/* Walk where the seed leads, up to 48 bytes; bytes go to text. Returns how many. */
static size_t follow(krs_automaton *a, uint32_t seed, char text[64])
{
    krs_matcher *m;
    size_t n = 0;
    if (krs_matcher_new(a, &m) != KRS_OK) {
        return 0;
    }
    for (; n < 48 && !krs_matcher_is_finished(m); n++) {
        static const char likely[] = "\"}]{[,:0a1etrun.-lsfi";
        bool is_found = false;
        for (uint32_t i = 0; i < sizeof(likely) - 1 && !is_found; i++) {
            seed = seed * 1664525u + 1013904223u;
            const char c = likely[(seed >> 16) % (sizeof(likely) - 1)];
            is_found = krs_matcher_accept_bytes(m, (krs_str){&c, 1}) == KRS_OK;
            text[n] = c;
        }
        if (!is_found) {
            break;
        }
    }
    n = krs_matcher_is_accepting(m) ? n : 0;
    krs_matcher_free(m);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *schema = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!schema) {
        return 0;
    }
    const krs_schema_options checking = {KRS_JSON_SPACE_FLEXIBLE, 2, KRS_SCHEMA_DIALECT_AUTO, true,
                                         true};
    const krs_schema_options plain = {KRS_JSON_SPACE_NONE, 0, KRS_SCHEMA_DIALECT_AUTO, false,
                                      false};
    krs_automaton *check = automaton_of(schema, &checking);
    krs_automaton *answer = automaton_of(schema, &plain);
    for (uint32_t seed = 1; answer && check && seed < 5; seed++) {
        char text[64];
        const size_t n = follow(answer, seed, text);
        krs_error err = KRS_ERROR_INIT;
        if (n > 0) {
            const krs_status status = krs_automaton_match(check, (krs_str){text, n}, &err);
            KRS_CHECK(status == KRS_OK || status == KRS_ETOOLARGE);
        }
    }
    krs_automaton_free(answer);
    krs_automaton_free(check);
    json_decref(schema);
    return 0;
}
