/* format/quantize_plan.c - which tensors are quantised, under which names, and what becomes of experts.
 *
 * The names are those that mlx-lm gives a model's weights when it has read the hub's file, because that
 * is where it looks for scales. Experts are stacked whether or not they are quantised, since a stack of
 * some of a layer's projections beside single others is read by nobody.
 *
 * Source: ml-explore/mlx-lm, utils.quantize_model and `sanitize` of models/{mixtral,qwen2_moe,qwen3_moe,
 * deepseek_v3,gpt2}.py. */
#include "format/quantize_priv.h"

#include <stdio.h>

#define ARENA_CHUNK_BYTES (64u * 1024u)
#define ARENA_MAX_BYTES   (1u << 30) /* items and names of KRS_ST_MAX_TENSORS tensors */
#define NAME_BYTES        512        /* of a tensor with its NUL; real ones stay under 100 */
#define MAX_EXPERTS       65536

static const krs_str weight_end = {".weight", 7};
static const krs_str experts_mid = {".experts.", 9};

/* What MLX calls the projections of an expert. */
static const struct {
    const char *hub;
    const char *mlx;
} projections[] = {
    {"gate_proj", "gate_proj"}, {"up_proj", "up_proj"}, {"down_proj", "down_proj"},
    {"w1", "gate_proj"},        {"w3", "up_proj"},      {"w2", "down_proj"},
};

#define N_PROJECTIONS (sizeof(projections) / sizeof(projections[0]))

/* "<prefix>.experts.<number>.<projection>.weight", taken apart. */
typedef struct expert_name {
    krs_str prefix;
    uint32_t number;
    const char *hub;
    const char *mlx;
} expert_name;

static bool is_float(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_F32 || dtype == KRS_DTYPE_F16 || dtype == KRS_DTYPE_BF16;
}

/* Digits at the front of *s, which is moved past them. */
static bool take_number(krs_str *s, uint32_t *out)
{
    size_t n = 0;
    *out = 0;
    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9' && *out < MAX_EXPERTS) {
        *out = *out * 10 + (uint32_t)(s->ptr[n++] - '0');
    }
    *s = (krs_str){s->ptr + n, s->len - n};
    return n > 0 && *out < MAX_EXPERTS;
}

static bool read_expert_name(krs_str name, expert_name *out)
{
    const size_t at = krs_str_find(name, experts_mid, 0);
    if (at >= name.len || !krs_str_ends_with(name, weight_end)) {
        return false;
    }
    krs_str rest = {name.ptr + at + experts_mid.len,
                    name.len - at - experts_mid.len - weight_end.len};
    out->prefix = (krs_str){name.ptr, at};
    if (!take_number(&rest, &out->number) || rest.len < 2 || rest.ptr[0] != '.') {
        return false;
    }
    rest = (krs_str){rest.ptr + 1, rest.len - 1};
    for (size_t i = 0; i < N_PROJECTIONS; i++) {
        if (krs_str_equal(rest, krs_str_of(projections[i].hub))) {
            out->hub = projections[i].hub;
            out->mlx = projections[i].mlx;
            return true;
        }
    }
    return false;
}

static const krs_tensor *expert_at(const krs_tensor_dir *dir, const expert_name *e, uint32_t number)
{
    char name[NAME_BYTES];
    const int n = snprintf(name, sizeof(name), "%.*s.experts.%u.%s.weight", KRS_STR_ARGS(e->prefix),
                           number, e->hub);
    return n > 0 && (size_t)n < sizeof(name) ? krs_tensor_dir_find(dir, krs_str_of(name)) : NULL;
}

static bool is_alike(const krs_tensor *a, const krs_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof(a->dims[0])) == 0;
}

/* How many experts of this projection there are, all alike; 0: they are no stack. */
static uint32_t count_experts(const krs_tensor_dir *dir, const expert_name *e)
{
    const krs_tensor *first = expert_at(dir, e, 0);
    uint32_t n = 0;
    for (const krs_tensor *t = first; t && n < MAX_EXPERTS; t = expert_at(dir, e, n)) {
        if (t->rank != 2 || !is_float(t->dtype) || !is_alike(first, t)) {
            return 0;
        }
        n++;
    }
    return n;
}

/* May rows of n_in be quantised so? */
static bool divides(const krs_quantize_options *options, int64_t n_in)
{
    return n_in > 0 && krs_quant_check(&options->quant, n_in, NULL) == KRS_OK;
}

/* Whose tensor is left out: a tied head, gpt2's masks. */
static bool is_dropped(const krs_quantize_options *options, krs_str name)
{
    if (!options->is_model) {
        return false;
    }
    const bool is_head = krs_str_equal(name, KRS_STR("lm_head.weight"));
    const bool is_mask = krs_str_ends_with(name, KRS_STR(".attn.bias")) ||
                         krs_str_ends_with(name, KRS_STR(".attn.masked_bias"));
    return (is_head && options->is_tied) || (is_mask && options->is_turned);
}

/* The name MLX has for it: gpt2's start with "model.". */
static krs_status name_item(krs_quantize_plan *plan, const krs_quantize_options *options,
                            krs_quantize_item *item, krs_str name)
{
    char text[NAME_BYTES];
    const krs_str old = KRS_STR("transformer.");
    item->name = name;
    if (!options->is_turned || krs_str_starts_with(name, KRS_STR("model."))) {
        return KRS_OK;
    }
    const size_t skip = krs_str_starts_with(name, old) ? old.len : 0;
    const int n =
        snprintf(text, sizeof(text), "model.%.*s", (int)(name.len - skip), name.ptr + skip);
    if (n < 0 || (size_t)n >= sizeof(text)) {
        return KRS_ETOOLARGE;
    }
    item->name = krs_arena_copy(&plan->arena, (krs_str){text, (size_t)n});
    return item->name.ptr ? KRS_OK : KRS_ENOMEM;
}

/* gpt2's Conv1D modules: every matrix of a layer. */
static bool is_turned(const krs_quantize_options *options, krs_str stem)
{
    static const char *const ends[] = {".c_attn", ".c_proj", ".c_fc"};
    for (size_t i = 0; options->is_turned && i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (krs_str_ends_with(stem, krs_str_of(ends[i]))) {
            return true;
        }
    }
    return false;
}

static krs_str stem_of(krs_str name)
{
    return (krs_str){name.ptr, name.len - weight_end.len};
}

/* Quantised when its rows divide. What MLX would then read the wrong way round is refused. */
static krs_status decide(const krs_quantize_options *options, const krs_tensor *t,
                         krs_quantize_item *item)
{
    item->stem = options->is_model ? stem_of(item->name) : item->name;
    item->is_turned = is_turned(options, item->stem);
    item->n_out = t->dims[item->is_turned ? 1 : 0];
    item->n_in = t->dims[item->is_turned ? 0 : 1];
    item->is_quantised = item->n_out > 0 && divides(options, item->n_in);
    return item->is_turned && !item->is_quantised ? KRS_EFORMAT : KRS_OK;
}

/* A matrix of a file; in a model, of a module's weight. */
static bool is_matrix(const krs_quantize_options *options, const krs_tensor *t)
{
    return t->rank == 2 && is_float(t->dtype) &&
           (!options->is_model || krs_str_ends_with(t->name, weight_end));
}

/* A tensor by itself. */
static krs_status add_single(krs_quantize_plan *plan, const krs_quantize_options *options,
                             const krs_tensor *t)
{
    krs_quantize_item *item = &plan->items[plan->n_items];
    const krs_tensor **from = krs_arena_array(&plan->arena, 1, sizeof(void *));
    if (!from) {
        return KRS_ENOMEM;
    }
    from[0] = t;
    *item = (krs_quantize_item){.from = from, .n_from = 1};
    const krs_status status = name_item(plan, options, item, t->name);
    if (status != KRS_OK) {
        return status;
    }
    plan->n_items++;
    return is_matrix(options, t) ? decide(options, t, item) : KRS_OK;
}

/* All experts of one projection, when the first of them comes by. */
static krs_status add_stack(krs_quantize_plan *plan, const krs_tensor_dir *dir,
                            const krs_quantize_options *options, const expert_name *e, uint32_t n)
{
    char name[NAME_BYTES];
    krs_quantize_item *item = &plan->items[plan->n_items];
    const krs_tensor **from = krs_arena_array(&plan->arena, n, sizeof(void *));
    const int len =
        snprintf(name, sizeof(name), "%.*s.switch_mlp.%s.weight", KRS_STR_ARGS(e->prefix), e->mlx);
    if (!from || len < 0 || (size_t)len >= sizeof(name)) {
        return from ? KRS_ETOOLARGE : KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        from[i] = expert_at(dir, e, i);
    }
    *item = (krs_quantize_item){.from = from, .n_from = n, .is_stack = true};
    item->name = krs_arena_copy(&plan->arena, (krs_str){name, (size_t)len});
    if (!item->name.ptr) {
        return KRS_ENOMEM;
    }
    plan->n_items++;
    item->stem = stem_of(item->name);
    item->n_out = from[0]->dims[0] * (int64_t)n;
    item->n_in = from[0]->dims[1];
    item->is_quantised = item->n_out > 0 && divides(options, item->n_in);
    return KRS_OK;
}

static krs_status add(krs_quantize_plan *plan, const krs_tensor_dir *dir,
                      const krs_quantize_options *options, const krs_tensor *t)
{
    expert_name e;
    if (is_dropped(options, t->name)) {
        return KRS_OK;
    }
    const bool is_expert = options->is_model && read_expert_name(t->name, &e);
    const uint32_t n = is_expert ? count_experts(dir, &e) : 0;
    if (n == 0 || e.number >= n) {
        return add_single(plan, options, t);
    }
    return e.number == 0 ? add_stack(plan, dir, options, &e, n) : KRS_OK;
}

krs_status krs_quantize_plan_make(const krs_tensor_dir *dir, const krs_quantize_options *options,
                                  const krs_alloc *alloc, krs_quantize_plan *out, krs_error *err)
{
    *out = (krs_quantize_plan){.items = NULL};
    krs_arena_init(&out->arena, alloc, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    out->items = krs_arena_array(&out->arena, dir->n_tensors, sizeof(out->items[0]));
    krs_status status = out->items || dir->n_tensors == 0 ? KRS_OK : KRS_ENOMEM;
    uint32_t i = 0;
    while (status == KRS_OK && i < dir->n_tensors) {
        status = add(out, dir, options, &dir->tensors[i++]);
    }
    if (status == KRS_OK) {
        return KRS_OK;
    }
    krs_quantize_plan_free(out);
    return status == KRS_EFORMAT
               ? krs_fail(err, status, "tensor %.*s: its columns do not divide into groups of %d",
                          KRS_STR_ARGS(dir->tensors[i - 1].name), options->quant.group)
               : krs_fail(err, status, "plan of %u tensors", dir->n_tensors);
}

void krs_quantize_plan_free(krs_quantize_plan *plan)
{
    krs_arena_deinit(&plan->arena);
    *plan = (krs_quantize_plan){.items = NULL};
}
