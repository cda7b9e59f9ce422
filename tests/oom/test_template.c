/* Parsing, rendering and loading of chat templates, with each allocation failing once. */
#include "os/file.h"
#include "support/cmocka.h"
#include "support/oom.h"
#include "text/chat_template.h"

/* Touches every kind of value, filter and block that allocates. */
static const char source[] =
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{{ caller() if caller else '' }}"
    "{% endmacro %}{% set ns = namespace(s='', l=[]) %}"
    "{% for k, v in d.items() if v %}{{ loop.index }}{{ loop.last }}{{ k ~ v }}"
    "{% set ns.s = ns.s + k %}{% set ns.l = ns.l + [v] %}{% endfor %}"
    "{% call m(1, 2, 3, c=4) %}body{% endcall %}{% filter upper %}x{{ ns.s }}{% endfilter %}"
    "{% set block | trim %} a {% endset %}{{ block }}{{ d|tojson(indent=2, sort_keys=true) }}"
    "{{ l|sort|map('string')|join('-') }}{{ l|unique|list }}{{ 'a b c'.split() }}"
    "{{ '%s-%05d'|format('a', 3) }}{{ '{:>8}'.format('b') }}{{ 'xay'|replace('a', 'b') }}"
    "{{ 'a\nb'|indent(2) }}{{ range(20)|list }}{{ 'abc'[::-1] }}{{ l[1:] }}{{ l|groupby(0)|list }}"
    "{{ {'a': 1, 'b': 2, 'c': 3, 'd': 4, 'e': 5, 'f': 6, 'g': 7, 'h': 8, 'i': 9}.i }}"
    "{{ missing is defined }}{{ cycler(1, 2).next() }}{{ strftime_now('%F') }}{{ 'x' * 99999 }}";

static const char inputs_text[] =
    "{\"d\": {\"a\": 1, \"b\": {\"c\": [1, 2.5, null]}, \"z\": false},"
    " \"l\": [\"b\", \"A\", \"a\"]}";

static krs_status parse_and_render(const krs_alloc *alloc, void *ctx)
{
    const json_t *inputs = ctx;
    krs_template *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_buf out;
    krs_buf_init(&out, alloc, 1u << 20);
    krs_status status = krs_template_parse(KRS_STR(source), alloc, &t, &err);
    assert_true((status == KRS_OK) == (t != NULL));
    if (status == KRS_OK) {
        status = krs_template_render(t, inputs, NULL, &out, &err);
        assert_true(status == KRS_OK || out.len == 0);
    }
    if (status != KRS_OK && status != KRS_ENOMEM) {
        print_error("%s\n", err.message);
    }
    krs_template_free(t);
    krs_buf_deinit(&out);
    return status;
}

static krs_status load_folder(const krs_alloc *alloc, void *ctx)
{
    krs_chat_template *chat = NULL;
    krs_buf out;
    krs_buf_init(&out, alloc, 1u << 20);
    json_t *inputs = json_pack("{s:[{s:s,s:s}]}", "messages", "role", "user", "content", "hi");
    krs_status status = krs_chat_template_load(ctx, alloc, &chat, NULL);
    assert_true((status == KRS_OK) == (chat != NULL));
    if (status == KRS_OK) {
        status = krs_chat_template_render(chat, inputs, NULL, &out, NULL);
    }
    krs_chat_template_free(chat);
    json_decref(inputs);
    krs_buf_deinit(&out);
    return status;
}

static void parsing_and_rendering_survive_any_failed_allocation(void **state)
{
    (void)state;
    json_t *inputs = json_loads(inputs_text, 0, NULL);
    assert_non_null(inputs);
    assert_true(krs_oom_sweep(parse_and_render, inputs) > 5);
    json_decref(inputs);
}

static void loading_a_folder_survives_any_failed_allocation(void **state)
{
    (void)state;
    static char dir[] = "/tmp/krs-test-oom-template";
    static const char config[] =
        "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}, \"chat_template\":"
        " [{\"name\": \"default\", \"template\": \"{{ bos_token }}{{ messages }}{{ eos_token }}\"},"
        " {\"name\": \"tool_use\", \"template\": \"{{ tools }}\"}]}";
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_dir_make(dir, NULL), KRS_OK);
    assert_int_equal(krs_os_path_join(dir, "tokenizer_config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, config, sizeof(config) - 1, NULL), KRS_OK);
    assert_true(krs_oom_sweep(load_folder, dir) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_and_rendering_survive_any_failed_allocation),
        cmocka_unit_test(loading_a_folder_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
