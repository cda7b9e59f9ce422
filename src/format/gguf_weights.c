/* format/gguf_weights.c - the tensors of a GGUF file by the names the hub gives them.
 *
 *   blk.3.ffn_gate_exps.weight [n_experts, rows, columns]
 *     -> model.layers.3.mlp.experts.0.gate_proj.weight [rows, columns], .experts.1. ... : views
 *
 * Thread: any; pure.  Memory: names in one arena, tensors in one table; the bytes stay the file's. */
#include "base/check.h"
#include "format/gguf_arch.h"

#include "base/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES        512 /* a rule's longest name, with its numbers and its suffix */
#define ARENA_CHUNK_BYTES (64u * 1024u)
#define ARENA_MAX_BYTES   (KRS_GGUF_MAX_TENSORS * 256u) /* more than the names of all could need */
#define MAX_DIGITS        9                             /* of a layer's number */

struct krs_gguf_weights {
    const krs_alloc *alloc;
    krs_arena names;
    krs_tensor *tensors; /* [dir.n_tensors] */
    krs_tensor_dir dir;
};

/* A name in the file, taken apart. */
typedef struct parts {
    krs_str module; /* "blk.3.attn_q" */
    krs_str suffix; /* ".weight", ".bias"; "" where there is neither */
    krs_str layer;  /* "3"; len 0 outside of the layers */
} parts;

static parts take_apart(krs_str name)
{
    static const char *const suffixes[] = {".weight", ".bias"};
    parts p = {.module = name, .suffix = {"", 0}, .layer = {"", 0}};
    for (size_t i = 0; i < 2; i++) {
        const krs_str suffix = krs_str_of(suffixes[i]);
        if (krs_str_ends_with(name, suffix)) {
            p.module.len = name.len - suffix.len;
            p.suffix = suffix;
        }
    }
    if (krs_str_starts_with(p.module, KRS_STR("blk."))) {
        p.layer.ptr = p.module.ptr + 4;
        while (4 + p.layer.len < p.module.len && p.layer.ptr[p.layer.len] >= '0' &&
               p.layer.ptr[p.layer.len] <= '9') {
            p.layer.len++;
        }
    }
    return p;
}

/* Is this the module of a rule, with '#' for the layer? */
static bool is_match(const char *rule, const parts *p)
{
    const char *mark = strchr(rule, '#');
    if (!mark) {
        return krs_str_equal(krs_str_of(rule), p->module);
    }
    const krs_str before = {rule, (size_t)(mark - rule)};
    const krs_str after = krs_str_of(mark + 1);
    return p->layer.len > 0 && p->layer.len <= MAX_DIGITS &&
           p->module.len == before.len + p->layer.len + after.len &&
           krs_str_starts_with(p->module, before) && krs_str_ends_with(p->module, after);
}

static const gguf_name *find_rule(const gguf_name *rule, const parts *p)
{
    while (rule && rule->gguf && !is_match(rule->gguf, p)) {
        rule++;
    }
    return rule && rule->gguf ? rule : NULL;
}

static const gguf_name *rule_of(const gguf_arch *arch, const parts *p)
{
    const gguf_name *own = find_rule(krs_gguf_arch_names(arch, false), p);
    return own ? own : find_rule(krs_gguf_arch_names(arch, true), p);
}

static bool is_stack(const gguf_name *rule)
{
    return rule && strchr(rule->hub, '@');
}

/* The rule's name with its marks filled in. */
static krs_str write_name(krs_arena *names, const char *rule, const parts *p, int64_t expert)
{
    char text[NAME_BYTES];
    size_t at = 0;
    for (; *rule && at < sizeof(text) - 32; rule++) { /* 32: a number and the suffix */
        if (*rule == '#') {
            memcpy(text + at, p->layer.ptr, p->layer.len);
            at += p->layer.len;
        } else if (*rule == '@') {
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%" PRId64, expert);
        } else if (*rule != '!') {
            text[at++] = *rule;
        }
    }
    KRS_CHECK(*rule == '\0'); /* rules are ours, and short */
    const size_t n_suffix = rule[-1] == '!' ? 0 : p->suffix.len;
    memcpy(text + at, p->suffix.ptr, n_suffix);
    return krs_arena_copy(names, (krs_str){text, at + n_suffix});
}

/* Tensors that this one becomes. */
static uint64_t count_of(const gguf_arch *arch, const krs_tensor *tensor)
{
    const parts p = take_apart(tensor->name);
    return is_stack(rule_of(arch, &p)) && tensor->rank > 1 ? (uint64_t)tensor->dims[0] : 1;
}

/* One expert of a stack: a view of its bytes. */
static void slice(const krs_tensor *stack, int64_t expert, krs_tensor *out)
{
    *out = *stack;
    out->rank = stack->rank - 1;
    memmove(out->dims, stack->dims + 1, (size_t)out->rank * sizeof(out->dims[0]));
    out->n_bytes = stack->n_bytes / (size_t)stack->dims[0];
    out->data = (const unsigned char *)stack->data + (size_t)expert * out->n_bytes;
}

static krs_status add(krs_gguf_weights *w, const gguf_arch *arch, const krs_tensor *tensor,
                      krs_error *err)
{
    const parts p = take_apart(tensor->name);
    const gguf_name *rule = rule_of(arch, &p);
    const bool is_sliced = is_stack(rule) && tensor->rank > 1;
    const int64_t n = is_sliced ? tensor->dims[0] : 1;
    for (int64_t i = 0; i < n; i++) {
        krs_tensor *out = &w->tensors[w->dir.n_tensors];
        *out = *tensor;
        if (is_sliced) {
            slice(tensor, i, out);
        }
        if (rule && rule->is_row && out->rank == 1) {
            out->rank = 2;
            out->dims[1] = out->dims[0];
            out->dims[0] = 1;
        }
        if (rule) {
            out->name = write_name(&w->names, rule->hub, &p, i);
        }
        if (!out->name.ptr) {
            return krs_fail(err, KRS_ENOMEM, "names of tensors: out of memory");
        }
        w->dir.n_tensors++;
    }
    return KRS_OK;
}

static int by_name(const void *a, const void *b)
{
    return krs_tensor_name_order(((const krs_tensor *)a)->name, ((const krs_tensor *)b)->name);
}

static krs_status sort(krs_gguf_weights *w, krs_error *err)
{
    if (w->dir.n_tensors > 1) {
        qsort(w->tensors, w->dir.n_tensors, sizeof(w->tensors[0]), by_name);
    }
    for (uint32_t i = 1; i < w->dir.n_tensors; i++) {
        if (by_name(&w->tensors[i - 1], &w->tensors[i]) == 0) {
            return krs_fail(err, KRS_EFORMAT, "two tensors are %.*s by the hub's names",
                            KRS_STR_ARGS(w->tensors[i].name));
        }
    }
    return KRS_OK;
}

static krs_status fill(krs_gguf_weights *w, const gguf_arch *arch, const krs_tensor_dir *dir,
                       krs_error *err)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < dir->n_tensors && n <= KRS_GGUF_MAX_TENSORS; i++) {
        const uint64_t more = count_of(arch, &dir->tensors[i]);
        n = more > KRS_GGUF_MAX_TENSORS ? more : n + more;
    }
    if (n > KRS_GGUF_MAX_TENSORS) {
        return krs_fail(err, KRS_ETOOLARGE, "more than %u tensors, experts counted each",
                        KRS_GGUF_MAX_TENSORS);
    }
    w->tensors = krs_alloc_array(w->alloc, (size_t)n, sizeof(w->tensors[0]));
    if (!w->tensors) {
        return krs_fail(err, KRS_ENOMEM, "table of %llu tensors", (unsigned long long)n);
    }
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < dir->n_tensors; i++) {
        status = add(w, arch, &dir->tensors[i], err);
    }
    w->dir.tensors = w->tensors;
    w->dir.file_bytes = dir->file_bytes;
    w->dir.maps = dir->maps;
    w->dir.n_maps = dir->n_maps;
    return status == KRS_OK ? sort(w, err) : status;
}

krs_status krs_gguf_weights_new(const krs_gguf *gguf, const krs_alloc *alloc,
                                krs_gguf_weights **out, krs_error *err)
{
    *out = NULL;
    const gguf_arch *arch = NULL;
    krs_status status = krs_gguf_arch_find(gguf, &arch, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_gguf_weights *w = krs_alloc_zero(alloc, sizeof(*w));
    if (!w) {
        return krs_fail(err, KRS_ENOMEM, "weights: %zu bytes", sizeof(*w));
    }
    w->alloc = alloc;
    krs_arena_init(&w->names, alloc, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    status = fill(w, arch, krs_gguf_dir(gguf), err);
    if (status != KRS_OK) {
        krs_gguf_weights_free(w);
        return status;
    }
    *out = w;
    return KRS_OK;
}

void krs_gguf_weights_free(krs_gguf_weights *w)
{
    if (w) {
        krs_arena_deinit(&w->names);
        krs_alloc_free(w->alloc, w->tensors);
        krs_alloc_free(w->alloc, w);
    }
}

const krs_tensor_dir *krs_gguf_weights_dir(const krs_gguf_weights *w)
{
    return &w->dir;
}
