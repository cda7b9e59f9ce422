/* tests/unit/model/test_encoder.c - encoders' folders: every spelling binds, every missing tensor is named, and
 * the program is one of whole texts without a cache or a head. */
#include "support/model_folder.h"

#define D            KRS_FOLDER_HIDDEN
#define MODULE_BYTES 64 /* leaves room in a tensor's name for what follows the module */

static void add_norm(krs_folder *f, const char *module, bool is_old)
{
    char name[KRS_FOLDER_NAME_BYTES];
    (void)snprintf(name, sizeof(name), "%s.%s", module, is_old ? "gamma" : "weight");
    krs_folder_add(f, name, KRS_DTYPE_F32, D, 0);
    (void)snprintf(name, sizeof(name), "%s.%s", module, is_old ? "beta" : "bias");
    krs_folder_add(f, name, KRS_DTYPE_F32, D, 0);
}

static void add_linear(krs_folder *f, const char *module, int64_t rows, int64_t columns)
{
    char name[KRS_FOLDER_NAME_BYTES];
    (void)snprintf(name, sizeof(name), "%s.weight", module);
    krs_folder_add(f, name, KRS_DTYPE_F32, rows, columns);
    (void)snprintf(name, sizeof(name), "%s.bias", module);
    krs_folder_add(f, name, KRS_DTYPE_F32, rows, 0);
}

static void add_layer(krs_folder *f, const char *prefix, int layer, bool is_old)
{
    static const struct {
        const char *name;
        int64_t rows;
        int64_t columns; /* 0: a norm */
    } all[] = {
        {"attention.self.query", D, D},       {"attention.self.key", D, D},
        {"attention.self.value", D, D},       {"attention.output.dense", D, D},
        {"attention.output.LayerNorm", D, 0}, {"intermediate.dense", KRS_FOLDER_FFN, D},
        {"output.dense", D, KRS_FOLDER_FFN},  {"output.LayerNorm", D, 0},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char module[MODULE_BYTES];
        (void)snprintf(module, sizeof(module), "%sencoder.layer.%d.%s", prefix, layer, all[i].name);
        if (all[i].columns > 0) {
            add_linear(f, module, all[i].rows, all[i].columns);
        } else {
            add_norm(f, module, is_old);
        }
    }
}

static void add_prefixed(krs_folder *f, const char *prefix, const char *name, int64_t rows)
{
    char full[KRS_FOLDER_NAME_BYTES];
    (void)snprintf(full, sizeof(full), "%sembeddings.%s.weight", prefix, name);
    krs_folder_add(f, full, KRS_DTYPE_F32, rows, D);
}

/* An honest folder of bert, or of roberta. is_old: norms as files of 2018 call them. */
static void init(krs_folder *f, const char *family, const char *prefix, bool is_old)
{
    char text[64];
    *f = (krs_folder){0};
    (void)snprintf(text, sizeof(text), "\"%s\"", family);
    krs_folder_set(f, "model_type", text);
    krs_folder_set(f, "vocab_size", "48");
    krs_folder_set(f, "hidden_size", "64");
    krs_folder_set(f, "intermediate_size", "128");
    krs_folder_set(f, "num_hidden_layers", "2");
    krs_folder_set(f, "num_attention_heads", "4");
    krs_folder_set(f, "max_position_embeddings", "32");
    krs_folder_set(f, "type_vocab_size", "3");
    add_prefixed(f, prefix, "word_embeddings", KRS_FOLDER_VOCAB);
    add_prefixed(f, prefix, "position_embeddings", 32);
    add_prefixed(f, prefix, "token_type_embeddings", 3);
    (void)snprintf(text, sizeof(text), "%sembeddings.LayerNorm", prefix);
    add_norm(f, text, is_old);
    for (int layer = 0; layer < KRS_FOLDER_LAYERS; layer++) {
        add_layer(f, prefix, layer, is_old);
    }
}

static void every_spelling_binds(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        const char *prefix;
        int64_t positions;
    } all[] = {{"bert", "", 32},
               {"bert", "bert.", 32},
               {"roberta", "", 30},
               {"roberta", "roberta.", 30},
               {"xlm-roberta", "roberta.", 30}};
    for (size_t i = 0; i < 2 * sizeof(all) / sizeof(all[0]); i++) {
        krs_folder f;
        init(&f, all[i / 2].family, all[i / 2].prefix, i % 2);
        add_linear(&f, "pooler.dense", D, D); /* no part of it */
        krs_model *model = krs_folder_accept(&f);
        const krs_program *program = krs_model_program(model);
        assert_true(program->is_whole);
        assert_int_equal(program->logits, KRS_NO_SLOT);
        assert_int_equal(program->n_kv_layers, 0);
        assert_int_equal(program->max_positions, all[i / 2].positions);
        assert_int_equal(krs_model_stats_of(model).kv_bytes_per_token_f16, 0);
        krs_model_close(model);
    }
}

static void every_single_missing_tensor_is_named(void **state)
{
    (void)state;
    krs_folder f;
    init(&f, "bert", "bert.", false);
    for (uint32_t t = 0; t < f.n_tensors; t++) {
        krs_folder without = f;
        without.tensors[t].name[0] = '\0';
        /* Without its embedding the file has none of the known prefixes. */
        const char *name = t == 0 ? "embeddings.word_embeddings" : f.tensors[t].name;
        krs_folder_refuse(&without, KRS_ENOENT, "missing tensor", name);
    }
}

static void every_single_wrong_shape_shows_the_tensor(void **state)
{
    (void)state;
    krs_folder f;
    init(&f, "roberta", "", false);
    for (uint32_t t = 0; t < f.n_tensors; t++) {
        krs_folder wrong = f;
        wrong.tensors[t].dims[wrong.tensors[t].rank - 1] += 1;
        krs_folder_refuse(&wrong, KRS_EFORMAT, f.tensors[t].name, "shape [");
    }
}

static void positions_and_types_that_lie_show_both_numbers(void **state)
{
    (void)state;
    krs_folder f;
    init(&f, "bert", "", false);
    krs_folder_set(&f, "max_position_embeddings", "64");
    krs_folder_refuse(&f, KRS_EFORMAT, "position_embeddings.weight: shape [32, 64]",
                      "asks for [64, 64]");
    init(&f, "bert", "", false);
    krs_folder_set(&f, "type_vocab_size", "2");
    krs_folder_refuse(&f, KRS_EFORMAT, "token_type_embeddings.weight: shape [3, 64]",
                      "asks for [2, 64]");
}

static uint32_t count_ops(const krs_program *program, krs_op_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        n += program->ops[i].kind == kind;
    }
    return n;
}

/* The architecture says whether the head is missing or was left out. */
static void a_bare_decoder_gives_states_alone(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_folder_drop(&f, "lm_head.weight");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor", "lm_head");
    krs_folder_set(&f, "architectures", "[\"Qwen3Model\"]");
    krs_model *model = krs_folder_accept(&f);
    const krs_program *program = krs_model_program(model);
    assert_int_equal(program->logits, KRS_NO_SLOT);
    assert_true(program->hidden != KRS_NO_SLOT && !program->is_whole);
    assert_int_equal(program->n_kv_layers, KRS_FOLDER_LAYERS);
    assert_int_equal(count_ops(program, KRS_OP_TAKE_ROWS), 1);
    krs_model_close(model);
    krs_folder_set(&f, "tie_word_embeddings", "true"); /* then the head is there all the same */
    model = krs_folder_accept(&f);
    assert_true(krs_model_program(model)->logits != KRS_NO_SLOT);
    krs_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_binds),
        cmocka_unit_test(every_single_missing_tensor_is_named),
        cmocka_unit_test(every_single_wrong_shape_shows_the_tensor),
        cmocka_unit_test(positions_and_types_that_lie_show_both_numbers),
        cmocka_unit_test(a_bare_decoder_gives_states_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
