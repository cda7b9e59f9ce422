/* base/arena.c - see arena.h. */
#include "base/arena.h"

#include "base/checked.h"

#include <stdalign.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_HAS_ASAN 1 /* clang's way of saying it; gcc defines __SANITIZE_ADDRESS__ */
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(ARENA_HAS_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON(ptr, n)   ASAN_POISON_MEMORY_REGION(ptr, n)
#define UNPOISON(ptr, n) ASAN_UNPOISON_MEMORY_REGION(ptr, n)
#else
#define POISON(ptr, n)   ((void)(ptr), (void)(n))
#define UNPOISON(ptr, n) ((void)(ptr), (void)(n))
#endif

struct krs_arena_chunk {
    krs_arena_chunk *next;
    size_t cap;  /* bytes in data */
    size_t used; /* bytes handed out */
    alignas(max_align_t) unsigned char data[];
};

void krs_arena_init(krs_arena *arena, const krs_alloc *alloc, size_t chunk_bytes, size_t max_bytes)
{
    *arena = (krs_arena){.alloc = alloc, .chunk_bytes = chunk_bytes, .max_bytes = max_bytes};
}

static void free_chunk(krs_arena *arena, krs_arena_chunk *chunk)
{
    UNPOISON(chunk->data, chunk->cap);
    arena->total_bytes -= chunk->cap;
    krs_alloc_free(arena->alloc, chunk);
}

void krs_arena_deinit(krs_arena *arena)
{
    while (arena->head) {
        krs_arena_chunk *next = arena->head->next;
        free_chunk(arena, arena->head);
        arena->head = next;
    }
}

void krs_arena_reset(krs_arena *arena)
{
    krs_arena_chunk *keep = NULL;
    while (arena->head) {
        krs_arena_chunk *next = arena->head->next;
        if (!next && arena->head->cap == arena->chunk_bytes) {
            keep = arena->head;
        } else {
            free_chunk(arena, arena->head);
        }
        arena->head = next;
    }
    if (keep) {
        keep->used = 0;
        keep->next = NULL;
        POISON(keep->data, keep->cap);
    }
    arena->head = keep;
}

static krs_arena_chunk *add_chunk(krs_arena *arena, size_t min_bytes)
{
    const size_t cap = min_bytes > arena->chunk_bytes ? min_bytes : arena->chunk_bytes;
    size_t n_bytes;
    if (cap > arena->max_bytes || arena->total_bytes > arena->max_bytes - cap ||
        !krs_size_add(sizeof(krs_arena_chunk), cap, &n_bytes)) {
        return NULL;
    }
    krs_arena_chunk *chunk = krs_alloc_bytes(arena->alloc, n_bytes);
    if (!chunk) {
        return NULL;
    }
    *chunk = (krs_arena_chunk){.next = arena->head, .cap = cap};
    POISON(chunk->data, cap);
    arena->head = chunk;
    arena->total_bytes += cap;
    return chunk;
}

void *krs_arena_bytes(krs_arena *arena, size_t n_bytes)
{
    size_t rounded;
    if (!krs_size_round_up(n_bytes ? n_bytes : 1, alignof(max_align_t), &rounded)) {
        return NULL;
    }
    krs_arena_chunk *chunk = arena->head;
    if (!chunk || rounded > chunk->cap - chunk->used) {
        chunk = add_chunk(arena, rounded);
        if (!chunk) {
            return NULL;
        }
    }
    unsigned char *ptr = chunk->data + chunk->used;
    chunk->used += rounded;
    /* Only what was asked for: a read past it lands in poison. */
    UNPOISON(ptr, n_bytes ? n_bytes : 1);
    memset(ptr, 0, n_bytes);
    return ptr;
}

void *krs_arena_array(krs_arena *arena, size_t n, size_t item_bytes)
{
    size_t n_bytes;
    return krs_size_mul(n, item_bytes, &n_bytes) ? krs_arena_bytes(arena, n_bytes) : NULL;
}

krs_str krs_arena_copy(krs_arena *arena, krs_str s)
{
    size_t with_nul;
    char *copy = krs_size_add(s.len, 1, &with_nul) ? krs_arena_bytes(arena, with_nul) : NULL;
    if (!copy) {
        return (krs_str){NULL, 0};
    }
    if (s.len) {
        memcpy(copy, s.ptr, s.len);
    }
    return (krs_str){copy, s.len};
}
