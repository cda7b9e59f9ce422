/* engine/guides.h - guidances as automata, compiled once and shared by all requests that say the same.
 *
 *   krs_guidance --(prep thread: take)--> guides: same content as before? --no--> compile, keep
 *                                             |yes
 *                                             v
 *                      entry (counted): one automaton, its states and masks --(engine thread: matchers)--> masks
 *
 * The content of a guidance is its hash here: two requests with one schema walk one automaton, and the second
 * finds the masks of the first. Who holds an entry keeps it; entries that nobody holds stay until others need
 * their room, least recently used first. All of them together hold at most KRS_GUIDES_MAX_BYTES; when what is
 * in use alone is beyond that, a request with yet another schema is refused as busy, so schemas that grow
 * without end cost their senders, not the machine.
 *
 * Thread: take and give: any, internally locked. The automaton of an entry belongs to the engine thread while
 * the entry is held.  Memory: see above, and the vocabulary's tree. */
#pragma once

#include "api/guidance.h"
#include "engine/guide_vocab.h"
#include "grammar/matcher.h"
#include "telemetry/metrics.h"

#define KRS_GUIDES_MAX_ENTRIES 1024u /* held and kept; a server's house of streams is smaller */
#define KRS_GUIDES_MAX_KEPT    64u   /* of them, held by nobody */
#define KRS_GUIDES_MAX_BYTES   (256ul << 20) /* of all automata; a usual one has 0.1 to 4 MiB */
/* Of one: its grammar, its states, its masks. A schema of 300 KiB takes 8 MiB of nodes; 3000 states, and 250
 * masks of 128 thousand tokens, are more than an answer visits. */
#define KRS_GUIDES_GRAMMAR_BYTES (32ul << 20)
#define KRS_GUIDES_STATE_BYTES   (8ul << 20)
#define KRS_GUIDES_MASK_BYTES    (4ul << 20)

typedef struct krs_guides krs_guides;
typedef struct krs_guides_entry krs_guides_entry;

typedef struct krs_guides_options {
    const krs_tokenizer *tokenizer; /* borrowed, outlives the guides */
    uint32_t vocab;                 /* tokens that can be drawn */
    const uint32_t *eos; /* [n_eos] tokens that end an answer; borrowed, as the tokenizer */
    uint32_t n_eos;
    krs_metrics *metrics; /* borrowed; may be NULL */
} krs_guides_options;

/* Makes the vocabulary's tree: some 50 ms for 128 thousand tokens. Errors: KRS_ENOMEM, KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_guides_new(const krs_guides_options *options, const krs_alloc *alloc,
                                       krs_guides **out, krs_error *err);
/* NULL is a no-op. Nobody may hold an entry. */
void krs_guides_free(krs_guides *guides);

/* Immutable; any thread. */
const krs_guide_vocab *krs_guides_vocab(const krs_guides *guides);

/* The automaton of a guidance, which is not NONE and was checked. is_reasoning: the prompt ends inside the
 * model's reasoning. *out: held, krs_guides_give.
 * Errors, all naming the guidance's field: KRS_EINVAL (what a schema, pattern or grammar says and we lack or
 * refuse), KRS_ETOOLARGE, KRS_ENOMEM, KRS_EBUSY (see above). */
KRS_MUST_USE krs_status krs_guides_take(krs_guides *guides, const krs_guidance *guidance,
                                        bool is_reasoning, krs_guides_entry **out, krs_error *err);
/* NULL is a no-op. Its matchers must be gone. Engine thread, or whoever took it and started no matcher. */
void krs_guides_give(krs_guides *guides, krs_guides_entry *entry);

/* Engine thread. */
krs_automaton *krs_guides_automaton(krs_guides_entry *entry);
/* Engine thread: the automaton may have grown; its new size counts from now on. Returns the masks made since the
 * last call. */
uint64_t krs_guides_grown(krs_guides_entry *entry);
