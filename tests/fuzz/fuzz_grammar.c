/* Any bytes as a grammar in GBNF or Lark: an error that says something, or one that may be followed. */
#include "base/check.h"
#include "grammar/ebnf.h"
#include "grammar/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const krs_grammar_limits limits = {1u << 15, 8u << 20, 1u << 15};
    krs_grammar_builder *b;
    krs_error err = KRS_ERROR_INIT;
    krs_expr root;
    KRS_CHECK(krs_grammar_builder_new(&limits, NULL, &b) == KRS_OK);
    const krs_status status = krs_grammar_ebnf(b, (krs_str){(const char *)data, size}, &root, &err);
    if (status != KRS_OK) {
        KRS_CHECK((status == KRS_EINVAL || status == KRS_ENOMEM) && err.message[0]);
        krs_grammar_builder_free(b);
        return 0;
    }
    krs_grammar *grammar;
    if (krs_grammar_build(b, root, &grammar, &err) != KRS_OK) {
        KRS_CHECK(err.message[0]);
        return 0;
    }
    krs_automaton *a;
    if (krs_automaton_new(&grammar, NULL, NULL, NULL, &a, &err) != KRS_OK) {
        krs_grammar_free(grammar);
        return 0;
    }
    static const char *const texts[] = {"", "a", "ab(1+2)", "\"x\", -1.5"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        (void)!krs_automaton_match(a, krs_str_of(texts[i]), &err);
    }
    krs_automaton_free(a);
    return 0;
}
