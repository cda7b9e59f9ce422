/* format/gguf_config.c - the settings of a GGUF file as the config.json they were made from.
 *
 * Most are a key renamed (gguf_arch.c). The rest is what converters fold together or leave to be seen in
 * the tensors: the vocabulary is as long as the embedding; a head without weights of its own is tied;
 * a model has the biases it has. Rotary settings are gguf_config_rope.c's.
 *
 * Thread: any; pure.  Memory: jansson's heap. */
#include "format/gguf_config_priv.h"

#define DEFAULT_POSITIONS 4096

/* Set a field of the document, taking value over. */
static krs_status put(const gguf_maker *m, const char *field, json_t *value)
{
    return krs_gguf_maker_put(m, m->doc, field, value);
}

/* A list with one number for each layer is that number, if all are the same. */
static krs_status number_of(const gguf_maker *m, const char *key, const krs_gguf_value *value,
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

static krs_status read_bool(const gguf_maker *m, const gguf_field *field)
{
    char key[GGUF_KEY_BYTES];
    bool value = false;
    if (!krs_gguf_maker_find(m, field->key, key)) {
        return KRS_OK;
    }
    const krs_status status = krs_gguf_get_bool(m->gguf, key, &value, m->err);
    return status == KRS_OK ? put(m, field->field, json_boolean(value)) : status;
}

static krs_status read_number(const gguf_maker *m, const gguf_field *field)
{
    char key[GGUF_KEY_BYTES];
    const krs_gguf_value *value = krs_gguf_maker_find(m, field->key, key);
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
    return put(m, field->field, number);
}

static krs_status read_fields(const gguf_maker *m, const gguf_field *field)
{
    krs_status status = KRS_OK;
    for (; status == KRS_OK && field && field->key; field++) {
        status = field->kind == GGUF_FIELD_BOOL ? read_bool(m, field) : read_number(m, field);
    }
    return status;
}

/* What only the tensors show. */
static krs_status read_from_tensors(const gguf_maker *m)
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
    const krs_tensor *embedding = krs_gguf_maker_tensor(m, "token_embd.weight");
    if (!embedding || embedding->rank != 2) {
        return krs_fail(m->err, KRS_ENOENT, "no tensor token_embd.weight with two dimensions");
    }
    krs_status status = put(m, "vocab_size", json_integer(embedding->dims[0]));
    if (status == KRS_OK) {
        const bool is_tied = !krs_gguf_maker_tensor(m, "output.weight");
        status = put(m, "tie_word_embeddings", json_boolean(is_tied));
    }
    for (size_t i = 0; status == KRS_OK && i < sizeof(switches) / sizeof(switches[0]); i++) {
        const bool is_there = krs_gguf_maker_tensor(m, switches[i].tensor) != NULL;
        status = put(m, switches[i].field, json_boolean(is_there));
    }
    return status;
}

/* head_dim, or what it is when the file does not say; 0: sizes are missing, which the reader will say. */
static json_int_t head_dim_of(const gguf_maker *m)
{
    const json_int_t said = krs_gguf_maker_int(m, "head_dim");
    const json_int_t heads = krs_gguf_maker_int(m, "num_attention_heads");
    return said > 0 || heads <= 0 ? said : krs_gguf_maker_int(m, "hidden_size") / heads;
}

/* What a file may leave out means the format's own default, not that of the family's class. */
static krs_status put_defaults(const gguf_maker *m)
{
    krs_status status = KRS_OK;
    if (!json_object_get(m->doc, "num_key_value_heads")) {
        status = put(m, "num_key_value_heads",
                     json_integer(krs_gguf_maker_int(m, "num_attention_heads")));
    }
    if (status == KRS_OK && !json_object_get(m->doc, "head_dim") && head_dim_of(m) > 0) {
        status = put(m, "head_dim", json_integer(head_dim_of(m)));
    }
    return status;
}

static krs_status put_constants(const gguf_maker *m)
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
static krs_status read_query_scalar(const gguf_maker *m)
{
    const json_int_t heads = krs_gguf_maker_int(m, "num_attention_heads");
    if (m->arch->query_scalar_layers == 0 || heads <= 0) {
        return KRS_OK;
    }
    const bool is_large =
        krs_gguf_maker_int(m, "num_hidden_layers") == m->arch->query_scalar_layers;
    const json_int_t scalar =
        is_large ? krs_gguf_maker_int(m, "hidden_size") / heads : head_dim_of(m);
    return put(m, "query_pre_attn_scalar", json_integer(scalar));
}

/* A head is rotated whole unless the file says otherwise. */
static krs_status read_rotated(const gguf_maker *m)
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
    return put(m, "partial_rotary_factor", json_real((double)rotated / (double)head_dim));
}

/* Token ids that end a turn or a text; all of them stop a generation. */
static krs_status read_stops(const gguf_maker *m)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    json_t *list = json_array();
    krs_status status = put(m, "eos_token_id", list);
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
    return status == KRS_OK && bos >= 0 ? put(m, "bos_token_id", json_integer(bos)) : status;
}

static krs_status make(const gguf_maker *m)
{
    static krs_status (*const parts[])(const gguf_maker *) = {
        read_from_tensors, put_defaults,        put_constants, read_query_scalar,
        read_rotated,      krs_gguf_maker_rope, read_stops};
    krs_status status = put(m, "model_type", json_string(m->arch->model_type));
    if (status == KRS_OK) {
        status = put(m, "architectures", json_pack("[s]", m->arch->name));
    }
    if (status == KRS_OK) {
        status = put(m, "max_position_embeddings", json_integer(DEFAULT_POSITIONS));
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

krs_status krs_gguf_maker_put(const gguf_maker *m, json_t *object, const char *field, json_t *value)
{
    return value && json_object_set_new(object, field, value) == 0
               ? KRS_OK
               : krs_fail(m->err, KRS_ENOMEM, "config.json: %s: out of memory", field);
}

const krs_gguf_value *krs_gguf_maker_find(const gguf_maker *m, const char *key,
                                          char full[GGUF_KEY_BYTES])
{
    krs_gguf_arch_key(m->arch, key, full);
    return krs_gguf_find(m->gguf, full);
}

const krs_tensor *krs_gguf_maker_tensor(const gguf_maker *m, const char *name)
{
    return krs_tensor_dir_find(krs_gguf_dir(m->gguf), krs_str_of(name));
}

json_int_t krs_gguf_maker_int(const gguf_maker *m, const char *field)
{
    return json_integer_value(json_object_get(m->doc, field));
}

krs_status krs_gguf_config(const krs_gguf *gguf, json_t **out, krs_weight_changes *changes,
                           krs_error *err)
{
    *out = NULL;
    *changes = (krs_weight_changes){0};
    gguf_maker m = {.gguf = gguf, .err = err};
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
