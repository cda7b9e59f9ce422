/* Schemas, patterns and grammars when memory runs out: an error, and nothing is held. */
#include "grammar/ebnf.h"
#include "grammar/grammar.h"
#include "grammar/schema.h"
#include "support/oom.h"

static const char schema_text[] =
    "{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\","
    "\"minimum\":-3,"
    "\"maximum\":40},\"next\":{\"$ref\":\"#/$defs/node\"}},\"required\":[\"v\"],"
    "\"patternProperties\":{\"^x\":{\"type\":\"string\"}},\"additionalProperties\":false}},"
    "\"oneOf\":[{\"$ref\":\"#/$defs/"
    "node\"},{\"type\":\"array\",\"prefixItems\":[{\"const\":[1,{\"a\":null}]}],"
    "\"contains\":{\"enum\":[\"a\",2]}},{\"type\":\"string\",\"format\":\"date\",\"maxLength\":12},"
    "{\"required\":[\"k\"],\"not\":{\"required\":[\"v\"]}}]}";

static krs_status finish(krs_grammar_builder *b, krs_status status, krs_expr root)
{
    if (status != KRS_OK) {
        krs_grammar_builder_free(b);
        return status;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_grammar *grammar = NULL;
    status = krs_grammar_build(b, root, &grammar, &err);
    krs_grammar_free(grammar);
    return status;
}

static krs_status compile_schema(const krs_alloc *alloc, void *ctx)
{
    krs_grammar_builder *b;
    krs_status status = krs_grammar_builder_new(NULL, alloc, &b);
    if (status != KRS_OK) {
        return status;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_expr root;
    status = krs_grammar_schema(b, ctx, NULL, &root, &err);
    return finish(b, status, root);
}

static krs_status compile_grammar(const krs_alloc *alloc, void *ctx)
{
    krs_grammar_builder *b;
    krs_status status = krs_grammar_builder_new(NULL, alloc, &b);
    if (status != KRS_OK) {
        return status;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_expr root;
    status = krs_grammar_ebnf(b, krs_str_of(ctx), &root, &err);
    return finish(b, status, root);
}

static void a_schema_without_memory_is_an_error(void **state)
{
    (void)state;
    json_t *schema = json_loads(schema_text, 0, NULL);
    assert_non_null(schema);
    krs_oom_sweep(compile_schema, schema);
    json_decref(schema);
}

static void a_grammar_without_memory_is_an_error(void **state)
{
    (void)state;
    char text[] = "start: [\"-\"] NUMBER | \"a\"i | /(?=a)[^\\p{Lu}]+x?/\n"
                  "%import common.NUMBER\n%import common.WS\n%ignore WS\n";
    krs_oom_sweep(compile_grammar, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_without_memory_is_an_error),
        cmocka_unit_test(a_grammar_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
