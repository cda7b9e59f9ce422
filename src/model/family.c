/* model/family.c - see family.h: the tables that families are written in, and how they are read. The
 * descriptions themselves are in families/. */
#include "model/family.h"

#include "base/check.h"
#include "base/nearest.h"
#include "model/families/families.h"

#include <stdio.h>

#define MAX_NEAREST 3 /* names in a message */

static const krs_role_shape role_shapes[KRS_ROLE_COUNT] = {
#define KRS_ROLE(name, part, rows, columns)                                                        \
    [KRS_ROLE_##name] = {KRS_PART_##part, KRS_DIM_##rows, KRS_DIM_##columns},
#include "model/role.def"
#undef KRS_ROLE
};

static const krs_decoder_slot_shape slot_shapes[KRS_SLOT_COUNT] = {
#define KRS_SLOT(name, width, rows) [KRS_SLOT_##name] = {KRS_DIM_##width, KRS_ROWS_##rows},
#include "model/slot.def"
#undef KRS_SLOT
};

typedef struct family_row {
    const char *model_type;
    const krs_family *family;
} family_row;

static const family_row families[] = {
#define KRS_FAMILY(model_type, description) {#model_type, &krs_family_##description},
#include "model/families/family.def"
#undef KRS_FAMILY
};

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

const krs_role_shape *krs_role_shape_of(krs_role role)
{
    KRS_CHECK(role > KRS_ROLE_NONE && role < KRS_ROLE_COUNT);
    return &role_shapes[role];
}

const krs_decoder_slot_shape *krs_decoder_slot_shape_of(krs_decoder_slot slot)
{
    KRS_CHECK(slot > KRS_SLOT_NONE && slot < KRS_SLOT_COUNT);
    return &slot_shapes[slot];
}

int64_t krs_dim_of(const krs_model_config *config, krs_dim dim)
{
    const krs_model_config *c = config;
    const int64_t sizes[KRS_DIM_COUNT] = {
#define KRS_DIM(name, value) [KRS_DIM_##name] = (value),
#include "model/dim.def"
#undef KRS_DIM
    };
    KRS_CHECK(dim < KRS_DIM_COUNT);
    return sizes[dim];
}

const krs_family *krs_family_find(const char *model_type)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (strcmp(families[i].model_type, model_type) == 0) {
            return families[i].family;
        }
    }
    return NULL;
}

static const krs_weight_name *find_name(const krs_weight_name *name, krs_role role)
{
    while (name && name->role != KRS_ROLE_NONE && name->role != role) {
        name++;
    }
    return name && name->role != KRS_ROLE_NONE ? name : NULL;
}

/* The family's own names hide the common ones of that role. */
const krs_weight_name *krs_family_next_name(const krs_family *family, krs_role role,
                                            const krs_weight_name *previous)
{
    if (previous) {
        return find_name(previous + 1, role);
    }
    const krs_weight_name *own = find_name(family->names, role);
    return own ? own : find_name(family->common, role);
}

size_t krs_family_module_name(const krs_weight_name *name, int32_t layer, int32_t expert,
                              const char *prefix, char out[KRS_FAMILY_NAME_BYTES])
{
    const int32_t numbers[] = {layer, expert};
    const bool is_outside = name->name[0] == '/';
    const char *from = name->name + is_outside;
    size_t n_numbers = 0;
    size_t at = 0;
    int n = snprintf(out, KRS_FAMILY_NAME_BYTES, "%s", is_outside ? "" : prefix);
    for (at += (size_t)n; *from && at < KRS_FAMILY_NAME_BYTES - 1; from++) {
        if (*from == '#') {
            KRS_CHECK(n_numbers < 2);
            n = snprintf(out + at, KRS_FAMILY_NAME_BYTES - at, "%d", numbers[n_numbers++]);
            at += (size_t)n;
        } else {
            out[at++] = *from;
        }
    }
    KRS_CHECK(at < KRS_FAMILY_NAME_BYTES - 1);
    out[at] = '\0';
    return at;
}

typedef struct walk {
    const krs_family *family;
    const krs_model_config *config;
    krs_family_visit *visit;
    void *ctx;
} walk;

static krs_status walk_block(const walk *w, const krs_block *block, krs_traits traits,
                             int32_t layer, krs_error *err)
{
    for (size_t i = 0; i < block->n_steps; i++) {
        const krs_decoder_step *step = &block->steps[i];
        const bool is_named = step->role == KRS_ROLE_NONE || krs_family_has(w->family, step->role);
        if (!is_named || !krs_traits_fit(traits, step->need, step->deny)) {
            continue;
        }
        const krs_status status = w->visit(w->ctx, step, layer, err);
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

static krs_status walk_uses(const walk *w, const krs_block_use *use, int32_t layer, krs_error *err)
{
    const krs_traits traits = krs_traits_of(w->config, layer);
    krs_status status = KRS_OK;
    for (; use->block && status == KRS_OK; use++) {
        if (krs_traits_fit(traits, use->need, use->deny)) {
            status = walk_block(w, use->block, traits, layer, err);
        }
    }
    return status;
}

krs_status krs_family_walk(const krs_family *family, const krs_model_config *config,
                           krs_family_visit *visit, void *ctx, krs_error *err)
{
    const walk w = {family, config, visit, ctx};
    krs_status status = walk_uses(&w, family->before, 0, err);
    for (int32_t layer = 0; status == KRS_OK && layer < config->n_layers; layer++) {
        status = walk_uses(&w, family->layer, layer, err);
    }
    return status == KRS_OK ? walk_uses(&w, family->after, 0, err) : status;
}

/* How unlike two names are: edits, less what they begin with in common, since families are called by
 * generation ("qwen3_next" is nearer to qwen3 than to "phi"). */
static int64_t unlikeness(const char *a, const char *b)
{
    int64_t n_common = 0;
    while (a[n_common] && a[n_common] == b[n_common]) {
        n_common++;
    }
    const size_t distance = krs_nearest_distance(krs_str_of(a), krs_str_of(b));
    const size_t worst = KRS_NEAREST_MAX_BYTES + 1;
    return (int64_t)(distance < worst ? distance : worst) - 2 * n_common;
}

void krs_family_nearest(const char *model_type, char *out, size_t max_bytes)
{
    bool is_taken[N_FAMILIES] = {false};
    size_t at = 0;
    out[0] = '\0';
    for (int nth = 0; nth < MAX_NEAREST; nth++) {
        size_t best = N_FAMILIES;
        for (size_t i = 0; i < N_FAMILIES; i++) {
            if (!is_taken[i] &&
                (best == N_FAMILIES || unlikeness(families[i].model_type, model_type) <
                                           unlikeness(families[best].model_type, model_type))) {
                best = i;
            }
        }
        if (best == N_FAMILIES) {
            return;
        }
        is_taken[best] = true;
        const int n = snprintf(out + at, max_bytes - at, "%s%s", nth > 0 ? ", " : "",
                               families[best].model_type);
        if (n < 0 || (size_t)n >= max_bytes - at) {
            return;
        }
        at += (size_t)n;
    }
}
