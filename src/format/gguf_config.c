/* format/gguf_config.c - the settings of a GGUF file as the config.json they were made from.
 *
 * Most are a key renamed (gguf_arch.c). The rest is what converters fold together or leave to be seen in
 * the tensors: the vocabulary is as long as the embedding; a head without weights of its own is tied;
 * a model has the biases it has; the divisors of RoPE's frequencies that llama 3.1 and phi 3 use are
 * tensors, and longrope says exactly what they mean, with one list for both lengths where there is
 * one.
 *
 * Thread: any; pure.  Memory: jansson's heap. */
#include "format/gguf_arch.h"

#include "base/check.h"

#include <stdio.h>

#define MAX_ROPE_FACTORS  (KRS_CONFIG_MAX_HEAD_DIM / 2)
#define MAX_ROPE_KIND     32 /* bytes of rope.scaling.type */
#define DEFAULT_POSITIONS 4096
#define DEFAULT_THETA     10000.0

typedef struct maker {
    const krs_gguf *gguf;
    const gguf_arch *arch;
    json_t *doc;
    krs_error *err;
} maker;

/* Set a field, taking value over. */
static krs_status put(const maker *m, json_t *object, const char *field, json_t *value)
{
    return value && json_object_set_new(object, field, value) == 0
               ? KRS_OK
               : krs_fail(m->err, KRS_ENOMEM, "config.json: %s: out of memory", field);
}

static const krs_gguf_value *find_value(const maker *m, const char *key, char full[GGUF_KEY_BYTES])
{
    krs_gguf_arch_key(m->arch, key, full);
    return krs_gguf_find(m->gguf, full);
}

/* A list with one number for each layer is that number, if all are the same. */
static krs_status number_of(const maker *m, const char *key, const krs_gguf_value *value,
                            double *out)
{
    const krs_gguf_type item = value->item_type;
    const bool is_number = krs_gguf_type_bytes(item) > 0 && item != KRS_GGUF_BOOL;
    if (!is_number || value->n_items == 0) {
        return krs_fail(m->err, KRS_EFORMAT, "%s: %s, want a number", key,
                        krs_gguf_type_name(value->type));
    }
    *out = krs_gguf_number(value, 0);
    for (uint64_t i = 1; i < value->n_items; i++) {
        const double x = krs_gguf_number(value, i);
        if (x != *out) {
            return krs_fail(m->err, KRS_EUNSUPPORTED,
                            "%s: %g in layer 0 and %g in layer %llu; one for all is supported", key,
                            *out, x, (unsigned long long)i);
        }
    }
    return KRS_OK;
}

static krs_status read_bool(const maker *m, const gguf_field *field)
{
    char key[GGUF_KEY_BYTES];
    bool value = false;
    if (!find_value(m, field->key, key)) {
        return KRS_OK;
    }
    const krs_status status = krs_gguf_get_bool(m->gguf, key, &value, m->err);
    return status == KRS_OK ? put(m, m->doc, field->field, json_boolean(value)) : status;
}

static krs_status read_number(const maker *m, const gguf_field *field)
{
    char key[GGUF_KEY_BYTES];
    const krs_gguf_value *value = find_value(m, field->key, key);
    if (!value) {
        return KRS_OK;
    }
    double x = 0;
    const krs_status status = number_of(m, key, value, &x);
    if (status != KRS_OK) {
        return status;
    }
    json_t *number = field->kind == GGUF_FIELD_INT ? json_integer(krs_gguf_integer(value, 0))
                                                   : json_real(x); /* NULL when not finite */
    if (!number) {
        return krs_fail(m->err, KRS_EFORMAT, "%s: %g, want a finite number", key, x);
    }
    return put(m, m->doc, field->field, number);
}

static krs_status read_fields(const maker *m, const gguf_field *field)
{
    krs_status status = KRS_OK;
    for (; status == KRS_OK && field && field->key; field++) {
        status = field->kind == GGUF_FIELD_BOOL ? read_bool(m, field) : read_number(m, field);
    }
    return status;
}

static const krs_tensor *find_tensor(const maker *m, const char *name)
{
    return krs_tensor_dir_find(krs_gguf_dir(m->gguf), krs_str_of(name));
}

/* What only the tensors show. */
static krs_status read_from_tensors(const maker *m)
{
    static const struct {
        const char *field;
        const char *tensor; /* there: the switch is on */
    } switches[] = {
        {"attention_bias", "blk.0.attn_output.bias"},
        {"use_qkv_bias", "blk.0.attn_q.bias"},
        {"mlp_bias", "blk.0.ffn_down.bias"},
        {"qk_layernorm", "blk.0.attn_q_norm.weight"},
    };
    const krs_tensor *embedding = find_tensor(m, "token_embd.weight");
    if (!embedding || embedding->rank != 2) {
        return krs_fail(m->err, KRS_ENOENT, "no tensor token_embd.weight with two dimensions");
    }
    krs_status status = put(m, m->doc, "vocab_size", json_integer(embedding->dims[0]));
    if (status == KRS_OK) {
        const bool is_tied = !find_tensor(m, "output.weight");
        status = put(m, m->doc, "tie_word_embeddings", json_boolean(is_tied));
    }
    for (size_t i = 0; status == KRS_OK && i < sizeof(switches) / sizeof(switches[0]); i++) {
        const bool is_there = find_tensor(m, switches[i].tensor) != NULL;
        status = put(m, m->doc, switches[i].field, json_boolean(is_there));
    }
    return status;
}

static json_int_t int_of(const maker *m, const char *field)
{
    return json_integer_value(json_object_get(m->doc, field));
}

/* head_dim, or what it is when the file does not say; 0: sizes are missing, which the reader will say. */
static json_int_t head_dim_of(const maker *m)
{
    const json_int_t said = int_of(m, "head_dim");
    const json_int_t heads = int_of(m, "num_attention_heads");
    return said > 0 || heads <= 0 ? said : int_of(m, "hidden_size") / heads;
}

/* What a file may leave out means the format's own default, not that of the family's class. */
static krs_status put_defaults(const maker *m)
{
    krs_status status = KRS_OK;
    if (!json_object_get(m->doc, "num_key_value_heads")) {
        status =
            put(m, m->doc, "num_key_value_heads", json_integer(int_of(m, "num_attention_heads")));
    }
    if (status == KRS_OK && !json_object_get(m->doc, "head_dim") && head_dim_of(m) > 0) {
        status = put(m, m->doc, "head_dim", json_integer(head_dim_of(m)));
    }
    return status;
}

static krs_status put_constants(const maker *m)
{
    if (!m->arch->constants) {
        return KRS_OK;
    }
    const krs_json_limits limits = {KRS_CONFIG_MAX_BYTES, false};
    json_t *constants;
    krs_status status = krs_json_parse(krs_str_of(m->arch->constants), &limits, &constants, m->err);
    if (status == KRS_OK && json_object_update(m->doc, constants) != 0) {
        status = krs_fail(m->err, KRS_ENOMEM, "config.json: out of memory");
    }
    json_decref(constants);
    return status;
}

/* Gemma's scale of the queries, which the file leaves to its reader. */
static krs_status read_query_scalar(const maker *m)
{
    const json_int_t heads = int_of(m, "num_attention_heads");
    if (m->arch->query_scalar_layers == 0 || heads <= 0) {
        return KRS_OK;
    }
    const bool is_large = int_of(m, "num_hidden_layers") == m->arch->query_scalar_layers;
    const json_int_t scalar = is_large ? int_of(m, "hidden_size") / heads : head_dim_of(m);
    return put(m, m->doc, "query_pre_attn_scalar", json_integer(scalar));
}

/* The divisors of RoPE's frequencies in a tensor, as a list; *out NULL without the tensor. */
static krs_status read_factors(const maker *m, const char *name, json_t **out)
{
    const krs_tensor *tensor = find_tensor(m, name);
    *out = NULL;
    if (!tensor) {
        return KRS_OK;
    }
    float factors[MAX_ROPE_FACTORS];
    if (tensor->rank != 1 || tensor->dims[0] > MAX_ROPE_FACTORS ||
        tensor->quant.kind != KRS_QUANT_NONE ||
        !krs_f32_of_any(tensor->dtype, tensor->data, (size_t)tensor->dims[0], factors)) {
        return krs_fail(m->err, KRS_EFORMAT, "tensor %s: want one dimension of at most %d numbers",
                        name, MAX_ROPE_FACTORS);
    }
    json_t *list = json_array();
    for (int64_t i = 0; i < tensor->dims[0]; i++) {
        if (json_array_append_new(list, json_real((double)factors[i])) != 0) {
            json_decref(list);
            return krs_fail(m->err, KRS_EFORMAT, "tensor %s: number %lld is %g", name, (long long)i,
                            (double)factors[i]);
        }
    }
    *out = list;
    return KRS_OK;
}

/* A real setting under another name inside `rope`. */
static krs_status copy_real(const maker *m, json_t *rope, const char *key, const char *field)
{
    char full[GGUF_KEY_BYTES];
    double x = 0;
    if (!find_value(m, key, full)) {
        return KRS_OK;
    }
    const krs_status status = krs_gguf_get_double(m->gguf, full, &x, m->err);
    return status == KRS_OK ? put(m, rope, field, json_real(x)) : status;
}

static krs_status copy_int(const maker *m, json_t *rope, const char *key, const char *field)
{
    char full[GGUF_KEY_BYTES];
    int64_t n = 0;
    if (!find_value(m, key, full)) {
        return KRS_OK;
    }
    const krs_status status = krs_gguf_get_int(m->gguf, full, 0, INT64_MAX, &n, m->err);
    return status == KRS_OK && n > 0 ? put(m, rope, field, json_integer(n)) : status;
}

/* Divisors: short ones for both lengths when the file has one list. */
static krs_status put_factors(const maker *m, json_t *rope, json_t *all, json_t *few, json_t *many)
{
    json_t *shorter = all ? all : few;
    json_t *longer = all ? all : many;
    if (!shorter || !longer) {
        return krs_fail(m->err, KRS_EFORMAT,
                        "rope_factors_short.weight and rope_factors_long.weight: one is missing");
    }
    krs_status status = put(m, rope, "rope_type", json_string("longrope"));
    if (status == KRS_OK) {
        status = put(m, rope, "short_factor", json_incref(shorter));
    }
    if (status == KRS_OK) {
        status = put(m, rope, "long_factor", json_incref(longer));
    }
    if (status == KRS_OK && all) {
        status = put(m, rope, "attention_factor", json_real(1.0));
    }
    if (status == KRS_OK && all) {
        status = put(m, rope, "original_max_position_embeddings",
                     json_integer(int_of(m, "max_position_embeddings")));
    }
    return status;
}

static krs_status read_factor_tensors(const maker *m, json_t *rope, bool *has_any)
{
    json_t *all = NULL;
    json_t *few = NULL;
    json_t *many = NULL;
    krs_status status = read_factors(m, "rope_freqs.weight", &all);
    if (status == KRS_OK) {
        status = read_factors(m, "rope_factors_short.weight", &few);
    }
    if (status == KRS_OK) {
        status = read_factors(m, "rope_factors_long.weight", &many);
    }
    *has_any = all || few || many;
    if (status == KRS_OK && *has_any) {
        status = put_factors(m, rope, all, few, many);
    }
    json_decref(all);
    json_decref(few);
    json_decref(many);
    return status;
}

/* rope.scaling.type: none, linear, yarn; longrope is the tensors'. */
static krs_status read_stretch(const maker *m, json_t *rope)
{
    char key[GGUF_KEY_BYTES];
    krs_str kind = KRS_STR("none");
    krs_gguf_arch_key(m->arch, "rope.scaling.type", key);
    krs_status status = krs_gguf_get_str(m->gguf, key, MAX_ROPE_KIND, &kind, m->err);
    if (status != KRS_OK || krs_str_equal(kind, KRS_STR("none"))) {
        return status;
    }
    const bool is_yarn = krs_str_equal(kind, KRS_STR("yarn"));
    if (!is_yarn && !krs_str_equal(kind, KRS_STR("linear"))) {
        return krs_fail(m->err, KRS_EUNSUPPORTED, "%s: %.*s, want none, linear or yarn", key,
                        KRS_STR_ARGS(kind));
    }
    status = put(m, rope, "rope_type", json_string(is_yarn ? "yarn" : "linear"));
    if (status == KRS_OK) {
        status = copy_real(m, rope, "rope.scaling.factor", "factor");
    }
    if (status == KRS_OK && is_yarn) {
        status = copy_real(m, rope, "rope.scaling.yarn_beta_fast", "beta_fast");
    }
    if (status == KRS_OK && is_yarn) {
        status = copy_real(m, rope, "rope.scaling.yarn_beta_slow", "beta_slow");
    }
    return status == KRS_OK && m->arch->is_yarn_untruncated ? put(m, rope, "truncate", json_false())
                                                            : status;
}

static krs_status read_rope(const maker *m)
{
    json_t *rope = json_object();
    bool has_factors = false;
    krs_status status = put(m, m->doc, "rope_parameters", rope); /* freed with the document */
    if (status == KRS_OK) {
        status = put(m, rope, "rope_type", json_string("default"));
    }
    if (status == KRS_OK) {
        status = put(m, rope, "rope_theta", json_real(DEFAULT_THETA));
    }
    if (status == KRS_OK) {
        status = copy_real(m, rope, "rope.freq_base", "rope_theta");
    }
    if (status == KRS_OK) {
        status = copy_int(m, rope, "rope.scaling.original_context_length",
                          "original_max_position_embeddings");
    }
    if (status == KRS_OK) {
        status = copy_real(m, rope, "rope.scaling.attn_factor", "attention_factor");
    }
    if (status == KRS_OK) {
        status = read_factor_tensors(m, rope, &has_factors);
    }
    return status == KRS_OK && !has_factors ? read_stretch(m, rope) : status;
}

/* A head is rotated whole unless the file says otherwise. */
static krs_status read_rotated(const maker *m)
{
    char key[GGUF_KEY_BYTES];
    int64_t rotated = 0;
    krs_gguf_arch_key(m->arch, "rope.dimension_count", key);
    krs_status status =
        krs_gguf_get_int(m->gguf, key, 0, KRS_CONFIG_MAX_HEAD_DIM, &rotated, m->err);
    const json_int_t head_dim = head_dim_of(m);
    if (status != KRS_OK || rotated == 0 || head_dim <= 0 || rotated == head_dim) {
        return status;
    }
    return put(m, m->doc, "partial_rotary_factor", json_real((double)rotated / (double)head_dim));
}

/* Token ids that end a turn or a text; all of them stop a generation. */
static krs_status read_stops(const maker *m)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    json_t *list = json_array();
    krs_status status = put(m, m->doc, "eos_token_id", list);
    for (size_t i = 0; status == KRS_OK && i < sizeof(keys) / sizeof(keys[0]); i++) {
        int64_t id = -1;
        status = krs_gguf_get_int(m->gguf, keys[i], 0, KRS_CONFIG_MAX_VOCAB - 1, &id, m->err);
        if (status == KRS_OK && id >= 0 && json_array_append_new(list, json_integer(id)) != 0) {
            return krs_fail(m->err, KRS_ENOMEM, "config.json: eos_token_id: out of memory");
        }
    }
    int64_t bos = -1;
    if (status == KRS_OK) {
        status = krs_gguf_get_int(m->gguf, "tokenizer.ggml.bos_token_id", 0,
                                  KRS_CONFIG_MAX_VOCAB - 1, &bos, m->err);
    }
    return status == KRS_OK && bos >= 0 ? put(m, m->doc, "bos_token_id", json_integer(bos))
                                        : status;
}

static krs_status make(const maker *m)
{
    static krs_status (*const parts[])(const maker *) = {
        read_from_tensors, put_defaults, put_constants, read_query_scalar,
        read_rotated,      read_rope,    read_stops};
    krs_status status = put(m, m->doc, "model_type", json_string(m->arch->model_type));
    if (status == KRS_OK) {
        status = put(m, m->doc, "architectures", json_pack("[s]", m->arch->name));
    }
    if (status == KRS_OK) {
        status = put(m, m->doc, "max_position_embeddings", json_integer(DEFAULT_POSITIONS));
    }
    if (status == KRS_OK) {
        status = read_fields(m, krs_gguf_arch_fields(m->arch, true));
    }
    if (status == KRS_OK) {
        status = read_fields(m, krs_gguf_arch_fields(m->arch, false));
    }
    for (size_t i = 0; status == KRS_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        status = parts[i](m);
    }
    return status;
}

krs_status krs_gguf_config(const krs_gguf *gguf, json_t **out, krs_weight_changes *changes,
                           krs_error *err)
{
    *out = NULL;
    *changes = (krs_weight_changes){0};
    maker m = {.gguf = gguf, .err = err};
    krs_status status = krs_gguf_arch_find(gguf, &m.arch, err);
    if (status != KRS_OK) {
        return status;
    }
    m.doc = json_object();
    status = m.doc ? make(&m) : krs_fail(err, KRS_ENOMEM, "config.json: out of memory");
    if (status != KRS_OK) {
        json_decref(m.doc);
        return status;
    }
    *changes = m.arch->changes;
    *out = m.doc;
    return KRS_OK;
}

krs_status krs_gguf_pooling(const krs_gguf *gguf, int64_t *out, krs_error *err)
{
    const gguf_arch *arch = NULL;
    char key[GGUF_KEY_BYTES];
    *out = 0;
    const krs_status status = krs_gguf_arch_find(gguf, &arch, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_gguf_arch_key(arch, "pooling_type", key);
    return krs_gguf_get_int(gguf, key, 0, INT32_MAX, out, err);
}
