/* model/modules.c - see modules.h.
 * The list is what the decoder would bind, in its order, each tensor once however many roles share it. */
#include "model/modules.h"

#include "base/check.h"

#define MAX_LISTED 4 /* roles of a layer that have a tensor for each expert or head */

typedef struct module_list {
    const krs_family *family;
    const krs_model_config *config;
    krs_arena *arena;
    krs_synth_module *modules; /* [n_max] */
    uint32_t n;
    uint32_t n_max;
} module_list;

/* Is the module in the list already? Parts of one tensor follow one another, so the last few are all
 * that need looking at. */
static bool is_listed(const module_list *list, krs_str name)
{
    const uint32_t n_back = list->n < KRS_ROLE_COUNT ? list->n : KRS_ROLE_COUNT;
    for (uint32_t i = list->n - n_back; i < list->n; i++) {
        if (krs_str_equal(list->modules[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int64_t count_of_pieces(const module_list *list, const krs_weight_form *form)
{
    return form->pieces == KRS_DIM_NONE ? 1 : krs_dim_of(list->config, form->pieces);
}

/* How many tensors a name stands for: its pieces, the experts of a second '#', or one. */
static int32_t count_of(const module_list *list, const krs_weight_name *pattern)
{
    const char *first = strchr(pattern->name, '#');
    if (pattern->form.pieces != KRS_DIM_NONE) {
        return (int32_t)count_of_pieces(list, &pattern->form);
    }
    return first && strchr(first + 1, '#') ? list->config->experts.n : 1;
}

static krs_synth_module describe(const module_list *list, const krs_weight_name *pattern,
                                 int32_t layer)
{
    const krs_role_shape *shape = krs_role_shape_of(pattern->role);
    const krs_weight_form *form = &pattern->form;
    const krs_dim rows = form->of != KRS_DIM_NONE ? form->of : shape->rows;
    const krs_traits rule = list->family->bias[pattern->role];
    const int64_t n_in = krs_dim_of(list->config, shape->columns);
    /* The columns of a tensor whose groups are turned are rows of the role. */
    const int64_t n_columns = form->is_turned ? krs_dim_of(list->config, shape->rows) /
                                                    krs_dim_of(list->config, form->groups)
                                              : n_in / count_of_pieces(list, form);
    return (krs_synth_module){
        .n_out = shape->rows == KRS_DIM_ONE ? 0 : krs_dim_of(list->config, rows),
        .n_in = n_columns,
        .n_stack = form->is_stacked ? list->config->experts.n : 0,
        .is_transposed = form->is_transposed,
        .is_depthwise = form->is_depthwise,
        .is_bare = form->is_bare,
        .has_bias = (rule & krs_traits_of(list->config, layer)) != 0,
        .offset = list->family->norm_offset,
    };
}

static krs_status add_one(module_list *list, const krs_weight_name *pattern, int32_t layer,
                          int32_t index, krs_error *err)
{
    const char *prefix = list->family->prefix ? list->family->prefix : "model.";
    char text[KRS_FAMILY_NAME_BYTES];
    const krs_str name = {text, krs_family_module_name(pattern, layer, index, prefix, text)};
    /* Without a layer in its name it is the first layer's too. */
    if (is_listed(list, name) || (layer > 0 && !strchr(pattern->name, '#'))) {
        return KRS_OK;
    }
    KRS_CHECK(list->n < list->n_max);
    krs_synth_module *module = &list->modules[list->n++];
    *module = describe(list, pattern, layer);
    module->name = krs_arena_copy(list->arena, name);
    return module->name.ptr ? KRS_OK : krs_fail(err, KRS_ENOMEM, "list of %u modules", list->n);
}

static krs_status add_role(module_list *list, krs_role role, int32_t layer, krs_error *err)
{
    const krs_weight_name *pattern = krs_family_next_name(list->family, role, NULL);
    const int32_t n = pattern ? count_of(list, pattern) : 0;
    krs_status status = KRS_OK;
    for (int32_t i = 0; status == KRS_OK && i < n; i++) {
        status = add_one(list, pattern, layer, i, err);
    }
    return status;
}

static krs_status add_roles(module_list *list, const krs_role *roles, size_t n_roles, int32_t layer,
                            krs_error *err)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n_roles; i++) {
        const bool is_tied = roles[i] == KRS_ROLE_HEAD && list->config->is_tied;
        if (roles[i] != KRS_ROLE_NONE && !is_tied) {
            status = add_role(list, roles[i], layer, err);
        }
    }
    return status;
}

/* All weights of a step; gate and up of experts in one where the family may have that. */
static krs_status add(void *ctx, const krs_decoder_step *step, int32_t layer, krs_error *err)
{
    module_list *list = ctx;
    const bool is_fused =
        step->fused_role != KRS_ROLE_NONE && krs_family_has(list->family, step->fused_role);
    const krs_role roles[] = {
        is_fused ? step->fused_role : step->role,
        is_fused ? KRS_ROLE_NONE : step->up_role,
        step->down_role,
        step->bias_role,
    };
    const uint32_t n_before = list->n;
    const krs_status status = add_roles(list, roles, sizeof(roles) / sizeof(roles[0]), layer, err);
    for (uint32_t i = n_before; step->has_no_offset && i < list->n; i++) {
        list->modules[i].offset = 0;
    }
    return status;
}

/* Modules of one layer at most: each role, and again for each expert, head and key head. */
static uint32_t max_per_layer(const krs_model_config *config)
{
    const uint32_t n_each = 1 + (uint32_t)config->experts.n + 2 * (uint32_t)config->n_heads;
    return KRS_ROLE_COUNT + MAX_LISTED * n_each;
}

krs_status krs_model_modules(const krs_model_config *config, krs_arena *arena,
                             krs_synth_module **out, uint32_t *n, krs_error *err)
{
    module_list list = {krs_family_find(config->model_type), config, arena, NULL, 0, 0};
    if (!list.family) {
        char known[128];
        krs_family_nearest(config->model_type, known, sizeof(known));
        return krs_fail_field(err, KRS_EUNSUPPORTED, "model_type",
                              "model_type: %s is not known; nearest: %s", config->model_type,
                              known);
    }
    list.n_max = ((uint32_t)config->n_layers + 1) * max_per_layer(config);
    list.modules = krs_arena_array(arena, list.n_max, sizeof(list.modules[0]));
    if (!list.modules) {
        return krs_fail(err, KRS_ENOMEM, "list of %u modules", list.n_max);
    }
    const krs_status status = krs_family_walk(list.family, config, add, &list, err);
    *out = list.modules;
    *n = list.n;
    return status;
}
