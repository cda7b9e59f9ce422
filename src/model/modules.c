/* model/modules.c - see modules.h. */
#include "model/modules.h"

typedef struct module_list {
    const krs_family *family;
    const krs_model_config *config;
    krs_arena *arena;
    krs_synth_module *modules; /* [n_max] */
    uint32_t n;
} module_list;

static bool is_layered(const krs_family *family, krs_role role)
{
    return strchr(family->names[role], '#') != NULL;
}

static krs_str name_of(const module_list *list, krs_role role, int32_t layer)
{
    char name[KRS_FAMILY_NAME_BYTES];
    const size_t n = krs_family_module_name(list->family, role, layer, "model.", name);
    return krs_arena_copy(list->arena, (krs_str){name, n});
}

static krs_status add(module_list *list, krs_role role, int32_t layer, krs_error *err)
{
    const krs_role_shape *shape = krs_role_shape_of(role);
    krs_synth_module *module = &list->modules[list->n++];
    *module = (krs_synth_module){
        .name = name_of(list, role, layer),
        .n_out = shape->rows == KRS_DIM_ONE ? 0 : krs_dim_of(list->config, shape->rows),
        .n_in = krs_dim_of(list->config, shape->columns),
        .has_bias = krs_bias_rule_holds(list->config, list->family->bias[role]),
    };
    return module->name.ptr ? KRS_OK : krs_fail(err, KRS_ENOMEM, "list of %u modules", list->n);
}

/* Does this role have a module in the file, inside the layers or outside of them? */
static bool is_wanted(const module_list *list, krs_role role, bool in_layers)
{
    if (!list->family->names[role] || (role == KRS_ROLE_HEAD && list->config->is_tied)) {
        return false;
    }
    return is_layered(list->family, role) == in_layers;
}

static krs_status add_all(module_list *list, krs_error *err)
{
    krs_status status = add(list, KRS_ROLE_EMBED, 0, err);
    for (int32_t layer = 0; layer < list->config->n_layers; layer++) {
        for (unsigned role = 0; status == KRS_OK && role < KRS_ROLE_COUNT; role++) {
            if (is_wanted(list, (krs_role)role, true)) {
                status = add(list, (krs_role)role, layer, err);
            }
        }
    }
    for (unsigned role = KRS_ROLE_EMBED + 1; status == KRS_OK && role < KRS_ROLE_COUNT; role++) {
        if (is_wanted(list, (krs_role)role, false)) {
            status = add(list, (krs_role)role, 0, err);
        }
    }
    return status;
}

krs_status krs_model_modules(const krs_model_config *config, krs_arena *arena,
                             krs_synth_module **out, uint32_t *n, krs_error *err)
{
    module_list list = {krs_family_find(config->model_type), config, arena, NULL, 0};
    if (!list.family) {
        char known[128];
        krs_family_list(known, sizeof(known));
        return krs_fail_field(err, KRS_EUNSUPPORTED, "model_type", "model_type: %s, want one of %s",
                              config->model_type, known);
    }
    const size_t n_max = ((size_t)config->n_layers + 1) * KRS_ROLE_COUNT;
    list.modules = krs_arena_array(arena, n_max, sizeof(list.modules[0]));
    if (!list.modules) {
        return krs_fail(err, KRS_ENOMEM, "list of %zu modules", n_max);
    }
    const krs_status status = add_all(&list, err);
    *out = list.modules;
    *n = list.n;
    return status;
}
