/* tests/unit/text/test_chat_template.c - a model folder's template: where it and its tokens come from. */
#include "os/clock.h"
#include "os/file.h"
#include "support/cmocka.h"
#include "text/chat_template.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (16u << 20)

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(dir, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, text, strlen(text), NULL), KRS_OK);
}

static void render_chat(const krs_chat_template *chat, const char *inputs_text, const char *want)
{
    json_t *inputs = json_loads(inputs_text, 0, NULL);
    krs_buf out;
    krs_buf_init(&out, NULL, FILE_MAX_BYTES);
    assert_int_equal(krs_chat_template_render(chat, inputs, NULL, &out, NULL), KRS_OK);
    assert_string_equal(out.data ? out.data : "", want);
    krs_buf_deinit(&out);
    json_decref(inputs);
}

static krs_chat_template *load_chat(const char *dir)
{
    krs_chat_template *chat = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_chat_template_load(dir, NULL, &chat, &err);
    if (status != KRS_OK) {
        print_error("%s: %s\n", dir, err.message);
    }
    assert_int_equal(status, KRS_OK);
    return chat;
}

static void fresh_folder(char out[64])
{
    static unsigned n;
    (void)snprintf(out, 64, "/tmp/krs-test-chat-%llx-%u", (unsigned long long)krs_os_wall_ns(),
                   n++);
    assert_int_equal(krs_os_dir_make(out, NULL), KRS_OK);
}

static void a_folder_without_template_is_enoent(void **state)
{
    (void)state;
    char dir[64];
    krs_chat_template *chat = NULL;
    krs_error err = KRS_ERROR_INIT;
    fresh_folder(dir);
    assert_int_equal(krs_chat_template_load(dir, NULL, &chat, &err), KRS_ENOENT);
    assert_null(chat);
    write_file(dir, "tokenizer_config.json", "{\"bos_token\": \"<s>\"}");
    assert_int_equal(krs_chat_template_load(dir, NULL, &chat, &err), KRS_ENOENT);
    assert_non_null(strstr(err.message, "no chat template"));
}

static void tokens_come_from_the_folder_unless_given(void **state)
{
    (void)state;
    char dir[64];
    fresh_folder(dir);
    write_file(dir, "tokenizer_config.json",
               "{\"bos_token\": {\"content\": \"<b>\"}, \"eos_token\": \"<e>\","
               " \"chat_template\": \"{{ bos_token }}{{ x }}{{ eos_token }}\"}");
    krs_chat_template *chat = load_chat(dir);
    render_chat(chat, "{\"x\": 1}", "<b>1<e>");
    render_chat(chat, "{\"x\": 1, \"bos_token\": \"!\"}", "!1<e>");
    krs_chat_template_free(chat);
}

static void a_list_of_templates_has_one_for_tools(void **state)
{
    (void)state;
    char dir[64];
    fresh_folder(dir);
    write_file(dir, "tokenizer_config.json",
               "{\"chat_template\": [{\"name\": \"default\", \"template\": \"plain\"},"
               " {\"name\": \"tool_use\", \"template\": \"tools\"}]}");
    krs_chat_template *chat = load_chat(dir);
    render_chat(chat, "{\"tools\": null}", "plain");
    render_chat(chat, "{\"tools\": [1]}", "tools");
    krs_chat_template_free(chat);
}

static void a_jinja_file_wins_over_the_config(void **state)
{
    (void)state;
    char dir[64];
    fresh_folder(dir);
    write_file(dir, "tokenizer_config.json",
               "{\"chat_template\": \"config\", \"eos_token\": \"<e>\"}");
    write_file(dir, "chat_template.jinja", "file{{ eos_token }}\n");
    krs_chat_template *chat = load_chat(dir);
    render_chat(chat, "{}", "file<e>");
    krs_chat_template_free(chat);
}

static void a_broken_folder_says_which_file(void **state)
{
    (void)state;
    char dir[64];
    krs_chat_template *chat = NULL;
    krs_error err = KRS_ERROR_INIT;
    fresh_folder(dir);
    write_file(dir, "tokenizer_config.json", "{\"chat_template\": \"{{ \"}");
    assert_int_equal(krs_chat_template_load(dir, NULL, &chat, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "tokenizer_config.json"));
    write_file(dir, "tokenizer_config.json", "[");
    assert_int_equal(krs_chat_template_load(dir, NULL, &chat, &err), KRS_EFORMAT);
    write_file(dir, "tokenizer_config.json", "{\"chat_template\": 5}");
    assert_int_equal(krs_chat_template_load(dir, NULL, &chat, &err), KRS_EFORMAT);
    write_file(dir, "tokenizer_config.json", "{\"chat_template\": [{\"name\": 1}]}");
    assert_int_equal(krs_chat_template_load(dir, NULL, &chat, &err), KRS_EFORMAT);
    assert_null(chat);
}

/* As DeepSeek's first templates are: "..." + arguments. */
static void arguments_are_text_where_a_template_joins_them(void **state)
{
    (void)state;
    char dir[64];
    fresh_folder(dir);
    write_file(dir, "chat_template.jinja",
               "{% for m in messages %}{% for c in m.tool_calls or [] %}"
               "{{ '<' + c.function.arguments + '>' }}{% endfor %}{{ m.content }}{% endfor %}");
    krs_chat_template *chat = load_chat(dir);
    render_chat(
        chat,
        "{\"messages\":[{\"content\":\"a\"},{\"content\":\"b\",\"tool_calls\":[{\"function\":{"
        "\"arguments\":{\"x\":1,\"y\":\"é\"}}},{\"function\":{\"arguments\":\"{}\"}}]}]}",
        "a<{\"x\": 1, \"y\": \"é\"}><{}>b");
    /* What fails either way fails with the first words. */
    krs_error err = KRS_ERROR_INIT;
    krs_buf out;
    krs_buf_init(&out, NULL, FILE_MAX_BYTES);
    json_t *inputs = json_loads("{\"messages\":[{\"content\":\"\",\"tool_calls\":[{\"function\":{"
                                "\"arguments\":{}}},{\"function\":{\"arguments\":7}}]}]}",
                                0, NULL);
    assert_int_equal(krs_chat_template_render(chat, inputs, NULL, &out, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "dict"));
    assert_int_equal(out.len, 0);
    json_decref(inputs);
    krs_buf_deinit(&out);
    krs_chat_template_free(chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_without_template_is_enoent),
        cmocka_unit_test(tokens_come_from_the_folder_unless_given),
        cmocka_unit_test(a_list_of_templates_has_one_for_tools),
        cmocka_unit_test(a_jinja_file_wins_over_the_config),
        cmocka_unit_test(a_broken_folder_says_which_file),
        cmocka_unit_test(arguments_are_text_where_a_template_joins_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
