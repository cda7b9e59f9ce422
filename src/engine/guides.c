/* engine/guides.c - see guides.h.
 *
 * Compiling is done outside the lock: when two prep threads compile the same content at once, the second finds
 * the first's entry and drops its own.
 *
 * Lists are walked: there are some hundreds of entries at most, once a request.
 *
 * Thread: as guides.h; the lock is a leaf.  Memory: as guides.h. */
#include "engine/guides.h"

#include "base/check.h"
#include "engine/guide_compile.h"
#include "os/clock.h"
#include "os/thread.h"
#include "wire/digest.h"

#include <stdatomic.h>
#include <stdio.h>

struct krs_guides_entry {
    krs_guides_entry *next; /* most recently used first */
    uint8_t digest[KRS_SHA256_BYTES];
    krs_automaton *automaton;
    uint32_t n_held;
    uint64_t made_masks;    /* engine thread: as last seen */
    _Atomic size_t n_bytes; /* written by the engine thread while held */
};

struct krs_guides {
    const krs_alloc *alloc;
    krs_guides_options options;
    krs_guide_vocab vocab;
    krs_os_mutex *mutex;
    krs_guides_entry *entries; /* under the mutex */
    uint32_t n_entries;
};

krs_status krs_guides_new(const krs_guides_options *options, const krs_alloc *alloc,
                          krs_guides **out, krs_error *err)
{
    *out = NULL;
    krs_guides *guides = krs_alloc_zero(alloc, sizeof(*guides));
    if (!guides) {
        return krs_fail(err, KRS_ENOMEM, "guidance: out of memory");
    }
    guides->alloc = alloc;
    guides->options = *options;
    const krs_guide_vocab_options vocab = {options->tokenizer, options->vocab, options->eos,
                                           options->n_eos};
    krs_status status = krs_os_mutex_new(&guides->mutex);
    status = status == KRS_OK ? krs_guide_vocab_init(&guides->vocab, &vocab, alloc, err)
                              : krs_fail(err, status, "guidance: no memory for a lock");
    if (status != KRS_OK) {
        krs_guides_free(guides);
        return status;
    }
    *out = guides;
    return KRS_OK;
}

static void free_entry(krs_guides *guides, krs_guides_entry *entry)
{
    if (entry) {
        krs_automaton_free(entry->automaton);
        krs_alloc_free(guides->alloc, entry);
    }
}

void krs_guides_free(krs_guides *guides)
{
    if (!guides) {
        return;
    }
    while (guides->entries) {
        krs_guides_entry *entry = guides->entries;
        KRS_CHECK(entry->n_held == 0);
        guides->entries = entry->next;
        free_entry(guides, entry);
    }
    krs_os_mutex_free(guides->mutex);
    krs_guide_vocab_deinit(&guides->vocab);
    krs_alloc_free(guides->alloc, guides);
}

const krs_guide_vocab *krs_guides_vocab(const krs_guides *guides)
{
    return &guides->vocab;
}

/* ---- compiling ---- */

/* *field: what an error is about. */
static krs_status build(const krs_guides *guides, const krs_guidance *guidance, bool is_reasoning,
                        const char **field, krs_grammar **out, krs_error *err)
{
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_bytes = KRS_GUIDES_GRAMMAR_BYTES;
    krs_guide_compiler compiler = {.guidance = guidance,
                                   .vocab = &guides->vocab,
                                   .alloc = guides->alloc,
                                   .is_reasoning = is_reasoning,
                                   .field = field};
    krs_status status = krs_grammar_builder_new(&limits, guides->alloc, &compiler.builder);
    if (status != KRS_OK) {
        return krs_fail(err, status, "out of memory");
    }
    krs_expr root;
    status = krs_guide_compile(&compiler, &root, err);
    if (status != KRS_OK) {
        krs_grammar_builder_free(compiler.builder);
        return status;
    }
    return krs_grammar_build(compiler.builder, root, out, err);
}

static krs_status make_automaton(const krs_guides *guides, const krs_guidance *guidance,
                                 bool is_reasoning, const char **field, krs_automaton **out,
                                 krs_error *err)
{
    krs_automaton_options options = KRS_AUTOMATON_OPTIONS_INIT;
    options.max_bytes = KRS_GUIDES_STATE_BYTES;
    options.max_mask_bytes = KRS_GUIDES_MASK_BYTES;
    krs_grammar *grammar = NULL;
    krs_status status = build(guides, guidance, is_reasoning, field, &grammar, err);
    if (status == KRS_OK) {
        status = krs_automaton_new(&grammar, guides->vocab.tree, &options, guides->alloc, out, err);
        krs_grammar_free(grammar);
    }
    return status;
}

static const char *field_of(const krs_guidance *guidance)
{
    return guidance->field ? guidance->field : "guidance";
}

/* The field in front of what the compiler says. */
static krs_status blame(const char *field, krs_status status, krs_error *err)
{
    if (err && err->message[0] == '\0') {
        return krs_fail_field(err, status, field, "%s: %s", field, krs_status_sentence(status));
    }
    status = krs_error_wrap(err, status, "%s", field);
    if (err) {
        (void)snprintf(err->field, sizeof(err->field), "%s", field);
    }
    return status;
}

static krs_status compile(const krs_guides *guides, const krs_guidance *guidance, bool is_reasoning,
                          krs_guides_entry **out, krs_error *err)
{
    krs_metrics *metrics = guides->options.metrics;
    const uint64_t begin_ns = krs_os_now_ns();
    krs_guides_entry *entry = krs_alloc_zero(guides->alloc, sizeof(*entry));
    const char *field = field_of(guidance);
    krs_status status = entry ? KRS_OK : KRS_ENOMEM;
    if (status == KRS_OK) {
        status = make_automaton(guides, guidance, is_reasoning, &field, &entry->automaton, err);
    }
    krs_metrics_observe(metrics, KRS_METRIC_GUIDANCE_COMPILE, krs_os_now_ns() - begin_ns);
    if (status != KRS_OK) {
        krs_metrics_add(metrics, KRS_METRIC_GUIDANCE_REFUSED, 1);
        free_entry((krs_guides *)(uintptr_t)guides, entry);
        return blame(field, status, err);
    }
    krs_metrics_add(metrics, KRS_METRIC_GUIDANCE_COMPILED, 1);
    krs_automaton_stats stats;
    krs_automaton_stats_get(entry->automaton, &stats);
    atomic_init(&entry->n_bytes, stats.n_bytes);
    *out = entry;
    return KRS_OK;
}

/* ---- entries, under the mutex ---- */

/* To the front, held once more. */
static krs_guides_entry *find(krs_guides *guides, const uint8_t *digest)
{
    krs_guides_entry **at = &guides->entries;
    while (*at && memcmp((*at)->digest, digest, KRS_SHA256_BYTES) != 0) {
        at = &(*at)->next;
    }
    krs_guides_entry *entry = *at;
    if (entry) {
        *at = entry->next;
        entry->next = guides->entries;
        guides->entries = entry;
        entry->n_held++;
    }
    return entry;
}

static void count(const krs_guides *guides, uint32_t *n_kept, size_t *n_bytes)
{
    *n_kept = 0;
    *n_bytes = 0;
    for (const krs_guides_entry *entry = guides->entries; entry; entry = entry->next) {
        *n_kept += entry->n_held == 0;
        *n_bytes += atomic_load_explicit(&entry->n_bytes, memory_order_relaxed);
    }
}

/* The least recently used that nobody holds, out of the list; NULL: there is none. */
static krs_guides_entry *drop_last(krs_guides *guides)
{
    krs_guides_entry **last = NULL;
    for (krs_guides_entry **at = &guides->entries; *at; at = &(*at)->next) {
        last = (*at)->n_held == 0 ? at : last;
    }
    krs_guides_entry *entry = last ? *last : NULL;
    if (entry) {
        *last = entry->next;
        guides->n_entries--;
    }
    return entry;
}

/* Room for n_bytes more; what has to go is put into *dropped, to be freed without the lock. */
static bool make_room(krs_guides *guides, size_t n_new, krs_guides_entry **dropped)
{
    for (;;) {
        uint32_t n_kept;
        size_t n_bytes;
        count(guides, &n_kept, &n_bytes);
        const bool is_full =
            n_bytes + n_new > KRS_GUIDES_MAX_BYTES || guides->n_entries >= KRS_GUIDES_MAX_ENTRIES;
        if (!is_full && n_kept <= KRS_GUIDES_MAX_KEPT) {
            return true;
        }
        krs_guides_entry *entry = drop_last(guides);
        if (!entry) {
            return !is_full;
        }
        entry->next = *dropped;
        *dropped = entry;
    }
}

static void free_list(krs_guides *guides, krs_guides_entry *entry)
{
    while (entry) {
        krs_guides_entry *next = entry->next;
        free_entry(guides, entry);
        entry = next;
    }
}

/* Put a new entry in, or take the one that came meanwhile. NULL: no room. */
static krs_guides_entry *insert(krs_guides *guides, krs_guides_entry *entry)
{
    krs_guides_entry *dropped = NULL;
    krs_os_mutex_lock(guides->mutex);
    krs_guides_entry *held = find(guides, entry->digest);
    if (!held && make_room(guides, atomic_load(&entry->n_bytes), &dropped)) {
        entry->n_held = 1;
        entry->next = guides->entries;
        guides->entries = entry;
        guides->n_entries++;
        held = entry;
    }
    krs_os_mutex_unlock(guides->mutex);
    free_list(guides, dropped);
    if (held != entry) {
        free_entry(guides, entry);
    }
    return held;
}

static krs_status digest_of(const krs_guides *guides, const krs_guidance *guidance,
                            bool is_reasoning, uint8_t digest[KRS_SHA256_BYTES])
{
    krs_buf bytes;
    krs_buf_init(&bytes, guides->alloc, SIZE_MAX);
    const krs_status status = krs_guide_write(guidance, is_reasoning, &bytes);
    if (status == KRS_OK) {
        krs_sha256(krs_buf_view(&bytes), digest);
    }
    krs_buf_deinit(&bytes);
    return status;
}

krs_status krs_guides_take(krs_guides *guides, const krs_guidance *guidance, bool is_reasoning,
                           krs_guides_entry **out, krs_error *err)
{
    uint8_t digest[KRS_SHA256_BYTES];
    *out = NULL;
    krs_status status = digest_of(guides, guidance, is_reasoning, digest);
    if (status != KRS_OK) {
        return blame(field_of(guidance), status, err);
    }
    krs_os_mutex_lock(guides->mutex);
    *out = find(guides, digest);
    krs_os_mutex_unlock(guides->mutex);
    if (*out) {
        krs_metrics_add(guides->options.metrics, KRS_METRIC_GUIDANCE_FOUND, 1);
        return KRS_OK;
    }
    krs_guides_entry *entry = NULL;
    status = compile(guides, guidance, is_reasoning, &entry, err);
    if (!entry) {
        return status;
    }
    memcpy(entry->digest, digest, sizeof(digest));
    *out = insert(guides, entry);
    if (*out) {
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EBUSY, field_of(guidance),
                          "%s: too many large schemas are in use", field_of(guidance));
}

void krs_guides_give(krs_guides *guides, krs_guides_entry *entry)
{
    krs_guides_entry *dropped = NULL;
    if (!entry) {
        return;
    }
    krs_os_mutex_lock(guides->mutex);
    entry->n_held--;
    (void)make_room(guides, 0, &dropped);
    krs_os_mutex_unlock(guides->mutex);
    free_list(guides, dropped);
}

krs_automaton *krs_guides_automaton(krs_guides_entry *entry)
{
    return entry->automaton;
}

uint64_t krs_guides_grown(krs_guides_entry *entry)
{
    krs_automaton_stats stats;
    krs_automaton_stats_get(entry->automaton, &stats);
    const uint64_t n_made = stats.made_masks - entry->made_masks;
    entry->made_masks = stats.made_masks;
    atomic_store_explicit(&entry->n_bytes, stats.n_bytes, memory_order_relaxed);
    return n_made;
}
