/* A model as a folder and as a GGUF file: the same tokenizer, template, settings and name; and what a GGUF
 * file's settings are refused for. */
#include "model/model.h"
#include "model/source.h"
#include "os/dir.h"
#include "support/gguf_convert.h"
#include "support/synth_folder.h"

#define DEMO KRS_SOURCE_DIR "/models/demo"

typedef struct room {
    char dir[KRS_OS_PATH_BYTES];
} room;

static int make_room(void **state)
{
    static room r;
    *state = &r;
    return krs_os_dir_temporary(r.dir, NULL) == KRS_OK ? 0 : -1;
}

static int drop_room(void **state)
{
    const room *r = *state;
    return krs_os_dir_remove(r->dir, NULL) == KRS_OK ? 0 : -1;
}

static void write_as(const room *r, const char *name, krs_gguf_file *f,
                     char path[KRS_OS_PATH_BYTES])
{
    const krs_buf *file = krs_gguf_file_finish(f, 3);
    assert_int_equal(krs_os_path_join(r->dir, name, path, KRS_OS_PATH_BYTES), KRS_OK);
    assert_int_equal(krs_os_file_write(path, file->data, file->len, NULL), KRS_OK);
    krs_gguf_file_deinit(f);
}

/* The demo model's tokenizer and template inside a file. */
static void write_texts(const room *r, char path[KRS_OS_PATH_BYTES])
{
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_put_str(&f, "general.architecture", "llama");
    krs_gguf_convert_tokenizer(DEMO, "gpt-2", &f);
    krs_gguf_put_int(&f, "tokenizer.ggml.bos_token_id", 2);
    krs_gguf_put_int(&f, "tokenizer.ggml.eos_token_id", 3);
    json_t *config = krs_gguf_read_json(DEMO, "tokenizer_config.json");
    krs_gguf_put_str(&f, "tokenizer.chat_template",
                     json_string_value(json_object_get(config, "chat_template")));
    json_decref(config);
    write_as(r, "texts.gguf", &f, path);
}

static void both_forms_encode_alike(void **state)
{
    static const char *const texts[] = {"Once upon a time", "  two  spaces\n\n", "12 + 7 = 19",
                                        "\xC3\xA4\xE4\xB8\xAD\xF0\x9F\x98\x80", ""};
    char path[KRS_OS_PATH_BYTES];
    write_texts(*state, path);
    krs_tokenizer *folder = NULL;
    krs_tokenizer *file = NULL;
    krs_encoder *a = NULL;
    krs_encoder *b = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_model_source_tokenizer(DEMO, NULL, &folder, &err), KRS_OK);
    assert_int_equal(krs_model_source_tokenizer(path, NULL, &file, &err), KRS_OK);
    assert_int_equal(krs_tokenizer_vocab_size(folder), krs_tokenizer_vocab_size(file));
    assert_int_equal(krs_encoder_new(folder, &a, NULL), KRS_OK);
    assert_int_equal(krs_encoder_new(file, &b, NULL), KRS_OK);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        krs_ids x;
        krs_ids y;
        assert_int_equal(krs_encode(a, krs_str_of(texts[i]), false, &x, NULL), KRS_OK);
        assert_int_equal(krs_encode(b, krs_str_of(texts[i]), false, &y, NULL), KRS_OK);
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.ids ? x.ids : (const void *)"", y.ids ? y.ids : (const void *)"",
                            x.n * sizeof(x.ids[0]));
    }
    krs_encoder_free(a);
    krs_encoder_free(b);
    krs_tokenizer_free(folder);
    krs_tokenizer_free(file);
}

static void render(const char *path, krs_buf *out)
{
    krs_chat_template *chat = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_model_source_chat_template(path, NULL, &chat, &err) != KRS_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    json_t *inputs = json_pack("{s:[{s:s, s:s}], s:b}", "messages", "role", "user", "content", "Hi",
                               "add_generation_prompt", 1);
    const krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    krs_buf_init(out, NULL, 1u << 16);
    assert_int_equal(krs_chat_template_render(chat, inputs, &options, out, &err), KRS_OK);
    json_decref(inputs);
    krs_chat_template_free(chat);
}

static void both_forms_render_alike(void **state)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf folder;
    krs_buf file;
    write_texts(*state, path);
    render(DEMO, &folder);
    render(path, &file);
    assert_true(folder.len > 4);
    assert_true(krs_str_equal(krs_buf_view(&folder), krs_buf_view(&file)));
    krs_buf_deinit(&folder);
    krs_buf_deinit(&file);
}

static void a_file_without_texts_says_so(void **state)
{
    char path[KRS_OS_PATH_BYTES];
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_put_str(&f, "general.architecture", "llama");
    write_as(*state, "bare.gguf", &f, path);
    krs_tokenizer *t = NULL;
    krs_chat_template *chat = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_model_source_tokenizer(path, NULL, &t, &err), KRS_ENOENT);
    assert_non_null(strstr(err.message, "tokenizer.ggml.tokens"));
    assert_int_equal(krs_model_source_chat_template(path, NULL, &chat, &err), KRS_ENOENT);
    assert_null(t);
    assert_null(chat);
    krs_generation_config generation;
    assert_int_equal(krs_model_source_generation(path, &generation, &err), KRS_OK);
    assert_int_equal(generation.n_eos, 0);
    krs_pooling_files pooling;
    assert_int_equal(krs_model_source_pooling(path, &pooling, &err), KRS_OK);
    assert_int_equal(pooling.mode, KRS_POOLING_MODE_UNSET);
}

static void the_name_is_the_stem(void **state)
{
    const room *r = *state;
    static const struct {
        const char *file;
        const char *name;
    } cases[] = {
        {"qwen3-8b-q4_k.gguf", "qwen3-8b-q4_k"},
        {"big-00001-of-00003.gguf", "big"},
        {"odd-0001-of-00003.gguf", "odd-0001-of-00003"},
        {".gguf", ".gguf"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[KRS_OS_PATH_BYTES];
        char room_for[KRS_OS_PATH_BYTES];
        const char *name = NULL;
        assert_int_equal(krs_os_path_join(r->dir, cases[i].file, path, sizeof(path)), KRS_OK);
        assert_int_equal(krs_os_file_write(path, "x", 1, NULL), KRS_OK);
        assert_int_equal(krs_model_source_name(path, room_for, &name, NULL), KRS_OK);
        assert_string_equal(name, cases[i].name);
    }
    char room_for[KRS_OS_PATH_BYTES];
    const char *name = NULL;
    assert_int_equal(krs_model_source_name(DEMO "/.", room_for, &name, NULL), KRS_OK);
    assert_string_equal(name, "demo");
    assert_int_equal(krs_model_source_name("/nonexistent.gguf", room_for, &name, NULL), KRS_ENOENT);
    assert_null(name);
}

/* --- settings --- */

/* A small llama with one setting changed by `change`; what opening it says. */
static void refuse(const room *r, void (*change)(krs_gguf_file *f), krs_status want,
                   const char *words)
{
    static const float zeros[64 * 8];
    char path[KRS_OS_PATH_BYTES];
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    change(&f);
    krs_gguf_put_int(&f, "llama.block_count", 1);
    krs_gguf_put_int(&f, "llama.embedding_length", 8);
    krs_gguf_put_int(&f, "llama.feed_forward_length", 8);
    krs_gguf_put_real(&f, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    krs_gguf_put_tensor(&f, "token_embd.weight", 0, 2, (int64_t[]){16, 8}, zeros, 16 * 8 * 4);
    write_as(r, "bad.gguf", &f, path);
    krs_model *model = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_model_open(path, NULL, NULL, &model, &err);
    if (status != want || !strstr(err.message, words)) {
        fail_msg("status %d, want %d: \"%s\" lacks \"%s\"", (int)status, (int)want, err.message,
                 words);
    }
    assert_null(model);
}

static void no_architecture(krs_gguf_file *f)
{
    krs_gguf_put_int(f, "llama.attention.head_count", 2);
}

static void unknown_architecture(krs_gguf_file *f)
{
    krs_gguf_put_str(f, "general.architecture", "falcon");
}

static void no_heads(krs_gguf_file *f)
{
    krs_gguf_put_str(f, "general.architecture", "llama");
}

static void heads_that_do_not_divide(krs_gguf_file *f)
{
    no_heads(f);
    krs_gguf_put_int(f, "llama.attention.head_count", 4);
    krs_gguf_put_int(f, "llama.attention.head_count_kv", 3);
}

static void heads_as_text(krs_gguf_file *f)
{
    no_heads(f);
    krs_gguf_put_str(f, "llama.attention.head_count", "4");
}

static void heads_by_layer(krs_gguf_file *f)
{
    no_heads(f);
    krs_gguf_put_list(f, "llama.attention.head_count", 4, 2);
    krs_gguf_put_u32(&f->values, 4);
    krs_gguf_put_u32(&f->values, 2);
}

static void odd_scaling(krs_gguf_file *f)
{
    no_heads(f);
    krs_gguf_put_int(f, "llama.attention.head_count", 2);
    krs_gguf_put_str(f, "llama.rope.scaling.type", "ntk");
}

static void no_weights(krs_gguf_file *f)
{
    no_heads(f);
    krs_gguf_put_int(f, "llama.attention.head_count", 2);
}

static void settings_that_lie_are_refused(void **state)
{
    const room *r = *state;
    refuse(r, no_architecture, KRS_EFORMAT, "no general.architecture");
    refuse(r, unknown_architecture, KRS_EUNSUPPORTED, "\"falcon\" is not known here (llama, ");
    refuse(r, no_heads, KRS_EFORMAT, "num_attention_heads: missing");
    refuse(r, heads_that_do_not_divide, KRS_EFORMAT, "3 does not divide");
    refuse(r, heads_as_text, KRS_EFORMAT, "llama.attention.head_count: string, want a number");
    refuse(r, heads_by_layer, KRS_EUNSUPPORTED, "4 in layer 0 and 2 in layer 1");
    refuse(r, odd_scaling, KRS_EUNSUPPORTED, "ntk, want none, linear or yarn");
    refuse(r, no_weights, KRS_ENOENT, "missing tensor model.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_forms_encode_alike, make_room, drop_room),
        cmocka_unit_test_setup_teardown(both_forms_render_alike, make_room, drop_room),
        cmocka_unit_test_setup_teardown(a_file_without_texts_says_so, make_room, drop_room),
        cmocka_unit_test_setup_teardown(the_name_is_the_stem, make_room, drop_room),
        cmocka_unit_test_setup_teardown(settings_that_lie_are_refused, make_room, drop_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
