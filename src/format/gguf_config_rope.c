/* format/gguf_config_rope.c - rotary settings of a GGUF file as the rope_parameters they were made from.
 *
 * The divisors of RoPE's frequencies that llama 3.1 and phi 3 use are tensors in these files. longrope says
 * exactly what they mean, with one list for both lengths where there is one.
 *
 * Thread: any; pure.  Memory: jansson's heap. */
#include "format/gguf_config_priv.h"

#define MAX_ROPE_FACTORS (KRS_CONFIG_MAX_HEAD_DIM / 2)
#define MAX_ROPE_KIND    32 /* bytes of rope.scaling.type */
#define DEFAULT_THETA    10000.0

static krs_status put(const gguf_maker *m, json_t *rope, const char *field, json_t *value)
{
    return krs_gguf_maker_put(m, rope, field, value);
}

/* The divisors of RoPE's frequencies in a tensor, as a list; *out NULL without the tensor. */
static krs_status read_factors(const gguf_maker *m, const char *name, json_t **out)
{
    const krs_tensor *tensor = krs_gguf_maker_tensor(m, name);
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
static krs_status copy_real(const gguf_maker *m, json_t *rope, const char *key, const char *field)
{
    char full[GGUF_KEY_BYTES];
    double x = 0;
    if (!krs_gguf_maker_find(m, key, full)) {
        return KRS_OK;
    }
    const krs_status status = krs_gguf_get_double(m->gguf, full, &x, m->err);
    return status == KRS_OK ? put(m, rope, field, json_real(x)) : status;
}

static krs_status copy_int(const gguf_maker *m, json_t *rope, const char *key, const char *field)
{
    char full[GGUF_KEY_BYTES];
    int64_t n = 0;
    if (!krs_gguf_maker_find(m, key, full)) {
        return KRS_OK;
    }
    const krs_status status = krs_gguf_get_int(m->gguf, full, 0, INT64_MAX, &n, m->err);
    return status == KRS_OK && n > 0 ? put(m, rope, field, json_integer(n)) : status;
}

static krs_status put_factors(const gguf_maker *m, json_t *rope, json_t *few, json_t *many)
{
    if (!few || !many) {
        return krs_fail(m->err, KRS_EFORMAT,
                        "rope_factors_short.weight and rope_factors_long.weight: one is missing");
    }
    krs_status status = put(m, rope, "rope_type", json_string("longrope"));
    if (status == KRS_OK) {
        status = put(m, rope, "short_factor", json_incref(few));
    }
    return status == KRS_OK ? put(m, rope, "long_factor", json_incref(many)) : status;
}

/* One list for every length, and no factor on cos and sin. */
static krs_status put_one_list(const gguf_maker *m, json_t *rope, json_t *all)
{
    krs_status status = put_factors(m, rope, all, all);
    if (status == KRS_OK) {
        status = put(m, rope, "attention_factor", json_real(1.0));
    }
    return status == KRS_OK ? put(m, rope, "original_max_position_embeddings",
                                  json_integer(krs_gguf_maker_int(m, "max_position_embeddings")))
                            : status;
}

static krs_status read_factor_tensors(const gguf_maker *m, json_t *rope, bool *has_any)
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
        status = all ? put_one_list(m, rope, all) : put_factors(m, rope, few, many);
    }
    json_decref(all);
    json_decref(few);
    json_decref(many);
    return status;
}

static krs_status put_yarn(const gguf_maker *m, json_t *rope)
{
    krs_status status = copy_real(m, rope, "rope.scaling.yarn_beta_fast", "beta_fast");
    if (status == KRS_OK) {
        status = copy_real(m, rope, "rope.scaling.yarn_beta_slow", "beta_slow");
    }
    return status == KRS_OK && m->arch->is_yarn_untruncated ? put(m, rope, "truncate", json_false())
                                                            : status;
}

/* rope.scaling.type: none, linear, yarn; longrope is the tensors'. */
static krs_status read_stretch(const gguf_maker *m, json_t *rope)
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
                        KRS_STR_ARGS(krs_str_is_plain(kind) ? kind : KRS_STR("?")));
    }
    status = put(m, rope, "rope_type", json_string(is_yarn ? "yarn" : "linear"));
    if (status == KRS_OK) {
        status = copy_real(m, rope, "rope.scaling.factor", "factor");
    }
    return status == KRS_OK && is_yarn ? put_yarn(m, rope) : status;
}

krs_status krs_gguf_maker_rope(const gguf_maker *m)
{
    json_t *rope = json_object();
    bool has_factors = false;
    krs_status status =
        krs_gguf_maker_put(m, m->doc, "rope_parameters", rope); /* freed with the document */
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
