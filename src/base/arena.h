/* base/arena.h - memory of one lifetime, freed at once.
 *
 *   chunk list:  [newest: used|free] -> [older: used] -> ... -> [oldest]
 *
 * A request or a step puts everything it needs into one arena with a byte ceiling; the end of the
 * lifetime is one call. Reset keeps the oldest chunk, so a step arena stops allocating after warm-up.
 *
 * Thread: one owner.  Memory: chunks from the given allocator; poisoned under ASan when reset. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

typedef struct krs_arena_chunk krs_arena_chunk;

typedef struct krs_arena {
    krs_arena_chunk *head;
    const krs_alloc *alloc;
    size_t chunk_bytes; /* size of an ordinary chunk */
    size_t max_bytes;   /* ceiling on the sum of all chunks */
    size_t total_bytes;
} krs_arena;

/* alloc: borrowed, NULL = heap. */
void krs_arena_init(krs_arena *arena, const krs_alloc *alloc, size_t chunk_bytes, size_t max_bytes);
void krs_arena_deinit(krs_arena *arena);

/* Forget everything; keeps one ordinary chunk. Every pointer from the arena is invalid after. */
void krs_arena_reset(krs_arena *arena);

/* n bytes, zeroed, aligned for any scalar; NULL when the ceiling is met or memory is out. */
KRS_MUST_USE void *krs_arena_bytes(krs_arena *arena, size_t n_bytes);

/* n * item_bytes, zeroed, or NULL. */
KRS_MUST_USE void *krs_arena_array(krs_arena *arena, size_t n, size_t item_bytes);

/* A NUL-terminated copy of s; ptr is NULL on failure. */
KRS_MUST_USE krs_str krs_arena_copy(krs_arena *arena, krs_str s);
