/* tests/unit/model/test_program.c - the shape of the program each family's description gives. */
#include "support/model_folder.h"

#include <math.h>

static krs_model *open_family(const char *family)
{
    krs_folder f;
    krs_folder_init(&f, family);
    return krs_folder_accept(&f);
}

static uint32_t count_ops(const krs_program *program, krs_op_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        n += program->ops[i].kind == kind;
    }
    return n;
}

static uint32_t count_biases(const krs_program *program)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        n += program->ops[i].bias != KRS_NO_MATRIX;
    }
    return n;
}

/* The nth op of a kind. */
static const krs_op *op_at(const krs_program *program, krs_op_kind kind, uint32_t nth)
{
    for (uint32_t i = 0; i < program->n_ops; i++) {
        if (program->ops[i].kind == kind && nth-- == 0) {
            return &program->ops[i];
        }
    }
    fail_msg("no such op");
    return NULL;
}

static void a_llama_layer_has_these_ops_in_this_order(void **state)
{
    (void)state;
    static const krs_op_kind layer[] = {
        KRS_OP_RMS_NORM, KRS_OP_LINEAR, KRS_OP_LINEAR,   KRS_OP_LINEAR,
        KRS_OP_ROPE,     KRS_OP_ROPE,   KRS_OP_KV_WRITE, KRS_OP_ATTENTION,
        KRS_OP_LINEAR,   KRS_OP_ADD,    KRS_OP_RMS_NORM, KRS_OP_LINEAR,
        KRS_OP_LINEAR,   KRS_OP_GLU,    KRS_OP_LINEAR,   KRS_OP_ADD,
    };
    const uint32_t n = sizeof(layer) / sizeof(layer[0]);
    krs_model *model = open_family("llama");
    const krs_program *program = krs_model_program(model);
    assert_int_equal(program->n_ops, 1 + KRS_FOLDER_LAYERS * n + 4);
    assert_int_equal(program->ops[0].kind, KRS_OP_EMBED);
    for (uint32_t i = 0; i < KRS_FOLDER_LAYERS * n; i++) {
        assert_int_equal(program->ops[1 + i].kind, layer[i % n]);
    }
    assert_int_equal(program->ops[program->n_ops - 4].kind, KRS_OP_RMS_NORM);
    assert_int_equal(program->ops[program->n_ops - 3].kind, KRS_OP_TAKE_ROWS);
    assert_int_equal(program->ops[program->n_ops - 3].out, program->hidden);
    assert_int_equal(program->ops[program->n_ops - 2].kind, KRS_OP_TAKE_ROWS);
    assert_int_equal(program->ops[program->n_ops - 1].kind, KRS_OP_LINEAR);
    krs_model_close(model);
}

static void families_differ_in_norms_and_biases_only(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        uint32_t n_norms;
        uint32_t n_biases;
    } all[] = {{"llama", 2, 0}, {"mistral", 2, 0}, {"qwen2", 2, 3}, {"qwen3", 4, 0}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        krs_model *model = open_family(all[i].family);
        const krs_program *program = krs_model_program(model);
        assert_int_equal(count_ops(program, KRS_OP_RMS_NORM),
                         KRS_FOLDER_LAYERS * all[i].n_norms + 1);
        assert_int_equal(count_biases(program), KRS_FOLDER_LAYERS * all[i].n_biases);
        assert_int_equal(count_ops(program, KRS_OP_LINEAR), KRS_FOLDER_LAYERS * 7 + 1);
        krs_model_close(model);
    }
}

static void qwen3_norms_each_head_between_projection_and_rotation(void **state)
{
    (void)state;
    krs_model *model = open_family("qwen3");
    const krs_program *program = krs_model_program(model);
    const krs_op *query_norm = op_at(program, KRS_OP_RMS_NORM, 1);
    const krs_op *key_norm = op_at(program, KRS_OP_RMS_NORM, 2);
    const krs_op *rope = op_at(program, KRS_OP_ROPE, 0);
    assert_int_equal(query_norm->norm.n_groups, KRS_FOLDER_HEADS);
    assert_int_equal(key_norm->norm.n_groups, KRS_FOLDER_KV);
    assert_int_equal(op_at(program, KRS_OP_RMS_NORM, 0)->norm.n_groups, 1);
    assert_true(key_norm + 1 == rope);
    assert_int_equal(query_norm->in, op_at(program, KRS_OP_LINEAR, 0)->out);
    assert_int_equal(rope->in, query_norm->out);
    assert_true(query_norm->norm.eps == 1e-05f);
    krs_model_close(model);
}

static void rotation_and_attention_have_the_sizes_of_the_config(void **state)
{
    (void)state;
    krs_model *model = open_family("qwen3");
    const krs_program *program = krs_model_program(model);
    const krs_op *query = op_at(program, KRS_OP_ROPE, 0);
    const krs_op *key = op_at(program, KRS_OP_ROPE, 1);
    assert_int_equal(query->rope.n_heads, KRS_FOLDER_HEADS);
    assert_int_equal(key->rope.n_heads, KRS_FOLDER_KV);
    assert_int_equal(query->rope.n_freqs, KRS_FOLDER_DIM / 2);
    assert_int_equal(query->rope.freqs, key->rope.freqs);
    for (uint32_t layer = 0; layer < KRS_FOLDER_LAYERS; layer++) {
        const krs_op *attention = op_at(program, KRS_OP_ATTENTION, layer);
        assert_int_equal(attention->attention.layer, layer);
        assert_int_equal(op_at(program, KRS_OP_KV_WRITE, layer)->attention.layer, layer);
        assert_int_equal(attention->attention.n_heads, KRS_FOLDER_HEADS);
        assert_int_equal(attention->attention.n_kv_heads, KRS_FOLDER_KV);
        assert_int_equal(attention->attention.window, 0);
        assert_true(fabsf(attention->attention.scale * sqrtf(KRS_FOLDER_DIM) - 1.0f) < 1e-6f);
    }
    krs_model_close(model);
}

static void windows_are_per_layer(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_folder_set(&f, "use_sliding_window", "true");
    krs_folder_set(&f, "sliding_window", "8");
    krs_folder_set(&f, "layer_types", "[\"full_attention\", \"sliding_attention\"]");
    krs_model *model = krs_folder_accept(&f);
    assert_int_equal(op_at(krs_model_program(model), KRS_OP_ATTENTION, 0)->attention.window, 0);
    assert_int_equal(op_at(krs_model_program(model), KRS_OP_ATTENTION, 1)->attention.window, 8);
    krs_model_close(model);
}

static void a_window_of_the_whole_context_is_none(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "mistral");
    krs_folder_set(&f, "sliding_window", "64");
    krs_model *model = krs_folder_accept(&f);
    assert_int_equal(op_at(krs_model_program(model), KRS_OP_ATTENTION, 0)->attention.window, 0);
    krs_model_close(model);
}

static void llama_has_no_window_whatever_the_file_says(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_set(&f, "sliding_window", "8");
    krs_model *model = krs_folder_accept(&f);
    assert_int_equal(op_at(krs_model_program(model), KRS_OP_ATTENTION, 0)->attention.window, 0);
    krs_model_close(model);
}

static void activations_come_from_the_config(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        krs_activation act;
    } all[] = {{"\"silu\"", KRS_ACT_SILU},
               {"\"gelu\"", KRS_ACT_GELU},
               {"\"gelu_pytorch_tanh\"", KRS_ACT_GELU_TANH}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        krs_folder f;
        krs_folder_init(&f, "llama");
        krs_folder_set(&f, "hidden_act", all[i].name);
        krs_model *model = krs_folder_accept(&f);
        assert_int_equal(op_at(krs_model_program(model), KRS_OP_GLU, 0)->glu.act, all[i].act);
        krs_model_close(model);
    }
}

static void stats_add_up(void **state)
{
    (void)state;
    krs_model *model = open_family("qwen2");
    const krs_model_stats stats = krs_model_stats_of(model);
    const uint64_t head = (uint64_t)KRS_FOLDER_VOCAB * KRS_FOLDER_HIDDEN;
    const uint64_t query = KRS_FOLDER_HEADS * KRS_FOLDER_DIM;
    const uint64_t key = KRS_FOLDER_KV * KRS_FOLDER_DIM;
    const uint64_t attention =
        KRS_FOLDER_LAYERS * ((2 * query + 2 * key) * KRS_FOLDER_HIDDEN + query + 2 * key);
    const uint64_t ffn = (uint64_t)KRS_FOLDER_LAYERS * 3 * KRS_FOLDER_HIDDEN * KRS_FOLDER_FFN;
    const uint64_t norm = (2 * KRS_FOLDER_LAYERS + 1) * KRS_FOLDER_HIDDEN;
    assert_int_equal(stats.embedding_bytes, 2 * head);
    assert_int_equal(stats.head_bytes, 2 * head);
    assert_int_equal(stats.attention_bytes, 2 * attention);
    assert_int_equal(stats.ffn_bytes, 2 * ffn);
    assert_int_equal(stats.norm_bytes, 2 * norm);
    assert_int_equal(stats.n_parameters, 2 * head + attention + ffn + norm);
    assert_int_equal(stats.kv_bytes_per_token_f16, 2 * 2 * key * KRS_FOLDER_LAYERS);
    assert_true(stats.file_bytes > 2 * stats.n_parameters);
    krs_model_close(model);
}

static void the_demo_model_has_its_published_size(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    assert_int_equal(krs_model_open(KRS_SOURCE_DIR "/models/demo", NULL, NULL, &model, &err),
                     KRS_OK);
    const krs_model_stats stats = krs_model_stats_of(model);
    assert_int_equal(stats.n_parameters / 100000, 68); /* 6.8 million */
    assert_int_equal(stats.head_bytes, 0);
    /* 4 bits and two bf16 per group of 64 */
    assert_int_equal(stats.embedding_bytes, 2048 * (256 / 2 + 256 / 64 * 4));
    krs_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_layer_has_these_ops_in_this_order),
        cmocka_unit_test(families_differ_in_norms_and_biases_only),
        cmocka_unit_test(qwen3_norms_each_head_between_projection_and_rotation),
        cmocka_unit_test(rotation_and_attention_have_the_sizes_of_the_config),
        cmocka_unit_test(windows_are_per_layer),
        cmocka_unit_test(a_window_of_the_whole_context_is_none),
        cmocka_unit_test(llama_has_no_window_whatever_the_file_says),
        cmocka_unit_test(activations_come_from_the_config),
        cmocka_unit_test(stats_add_up),
        cmocka_unit_test(the_demo_model_has_its_published_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
