/* text/bpe_merge.c - the merging itself: a scan for short words, a heap for long ones.
 *
 * Invariant of the scan: rank[i] is the rank of (ids[i], ids[i + 1]), KRS_BPE_NO_RANK where there is
 * none. A merge at i changes rank[i - 1] and rank[i] only.
 *
 * Invariant of the heap: every pair that has a rank is in it at least once, with its present rank and
 * the position of its left symbol. Entries are never removed early; one is stale when the pair now at
 * its position has another rank. A symbol merged into its left neighbour has id GONE. */
#include "text/bpe_priv.h"

#define SMALL_WORD 48         /* symbols; the scan's n^2 / 2 loads stay below the heap's overhead */
#define KEPT_WORD  (1u << 16) /* symbols of scratch kept for the next word: 2 MiB */
#define HEAP_ARY   4 /* children of a node: half the levels; 2 and 8 measured 5 to 15 % slower */
#define GONE       UINT32_MAX

typedef struct scan {
    uint32_t rank[SMALL_WORD];
    uint32_t made[SMALL_WORD]; /* what the pair would become */
} scan;

static void rank_pair(const krs_bpe *bpe, scan *s, const uint32_t *ids, size_t i)
{
    const krs_bpe_pair *pair = krs_bpe_find(bpe, ids[i], ids[i + 1]);
    s->rank[i] = pair ? pair->rank : KRS_BPE_NO_RANK;
    s->made[i] = pair ? pair->id : 0;
}

static size_t best_of(const scan *s, size_t n_pairs)
{
    size_t best = 0;
    for (size_t i = 1; i < n_pairs; i++) {
        best = s->rank[i] < s->rank[best] ? i : best;
    }
    return best;
}

static size_t merge_short(const krs_bpe *bpe, uint32_t *ids, size_t n)
{
    scan s;
    for (size_t i = 0; i + 1 < n;
         i++) { /* the table is larger than most caches: ask for all at once */
        const uint64_t key = krs_bpe_key_of_pair(ids[i], ids[i + 1]);
        __builtin_prefetch(&bpe->pairs[krs_bpe_slot(bpe, key)]);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        rank_pair(bpe, &s, ids, i);
    }
    while (n > 1) {
        const size_t at = best_of(&s, n - 1);
        if (s.rank[at] == KRS_BPE_NO_RANK) {
            break;
        }
        ids[at] = s.made[at];
        n--;
        for (size_t i = at + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            s.rank[i] = s.rank[i < n - 1 ? i + 1 : i];
            s.made[i] = s.made[i < n - 1 ? i + 1 : i];
        }
        if (at > 0) {
            rank_pair(bpe, &s, ids, at - 1);
        }
        if (at + 1 < n) {
            rank_pair(bpe, &s, ids, at);
        }
    }
    return n;
}

void krs_bpe_room_deinit(krs_bpe_room *room)
{
    krs_alloc_free(room->alloc, room->heap);
    krs_alloc_free(room->alloc, room->next);
    krs_alloc_free(room->alloc, room->prev);
    *room = (krs_bpe_room){.alloc = room->alloc};
}

static krs_status room_for(krs_bpe_room *room, size_t n)
{
    room->n_heap = 0;
    if (n <= room->cap) {
        return KRS_OK;
    }
    krs_bpe_room_deinit(room);
    room->heap = krs_alloc_array(room->alloc, n, 2 * sizeof(room->heap[0]));
    room->next = krs_alloc_array(room->alloc, n, sizeof(room->next[0]));
    room->prev = krs_alloc_array(room->alloc, n, sizeof(room->prev[0]));
    if (!room->heap || !room->next || !room->prev) {
        krs_bpe_room_deinit(room);
        return KRS_ENOMEM;
    }
    room->cap = n;
    return KRS_OK;
}

/* At most n - 1 pairs at the start and two per merge, each merge having popped one: never 2n. */
static void heap_push(krs_bpe_room *room, uint64_t entry)
{
    size_t i = room->n_heap++;
    while (i > 0 && room->heap[(i - 1) / HEAP_ARY] > entry) {
        room->heap[i] = room->heap[(i - 1) / HEAP_ARY];
        i = (i - 1) / HEAP_ARY;
    }
    room->heap[i] = entry;
}

/* The least of i's children; past the heap if it has none. */
static size_t least_child(const krs_bpe_room *room, size_t i)
{
    const size_t first = HEAP_ARY * i + 1;
    const size_t end = first + HEAP_ARY < room->n_heap ? first + HEAP_ARY : room->n_heap;
    size_t least = first;
    for (size_t k = first + 1; k < end; k++) {
        least = room->heap[k] < room->heap[least] ? k : least;
    }
    return least;
}

static uint64_t heap_pop(krs_bpe_room *room)
{
    const uint64_t top = room->heap[0];
    const uint64_t moved = room->heap[--room->n_heap];
    size_t i = 0;
    for (;;) {
        const size_t child = least_child(room, i);
        if (child >= room->n_heap || room->heap[child] >= moved) {
            break;
        }
        room->heap[i] = room->heap[child];
        i = child;
    }
    room->heap[i] = moved;
    return top;
}

static void push_pair(const krs_bpe *bpe, krs_bpe_room *room, const uint32_t *ids, size_t left)
{
    const krs_bpe_pair *pair = krs_bpe_find(bpe, ids[left], ids[room->next[left]]);
    if (pair) {
        heap_push(room, (uint64_t)pair->rank << 32 | left);
    }
}

/* Merge the symbol at `at` with the one to its right, if the entry is not stale. */
static void merge_at(const krs_bpe *bpe, krs_bpe_room *room, uint32_t *ids, size_t n,
                     uint64_t entry)
{
    const size_t at = (size_t)(entry & UINT32_MAX);
    const size_t right = ids[at] == GONE ? n : room->next[at];
    if (right == n) {
        return;
    }
    const krs_bpe_pair *pair = krs_bpe_find(bpe, ids[at], ids[right]);
    if (!pair || pair->rank != entry >> 32) {
        return;
    }
    ids[at] = pair->id;
    ids[right] = GONE;
    room->next[at] = room->next[right];
    if (room->next[at] != n) {
        room->prev[room->next[at]] = (uint32_t)at;
        push_pair(bpe, room, ids, at);
    }
    if (room->prev[at] != at) {
        push_pair(bpe, room, ids, room->prev[at]);
    }
}

static size_t merge_long(const krs_bpe *bpe, krs_bpe_room *room, uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        room->next[i] = (uint32_t)(i + 1);
        room->prev[i] = (uint32_t)(i > 0 ? i - 1 : 0);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        push_pair(bpe, room, ids, i);
    }
    while (room->n_heap > 0) {
        merge_at(bpe, room, ids, n, heap_pop(room));
    }
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] != GONE) {
            ids[n_left++] = ids[i];
        }
    }
    return n_left;
}

krs_status krs_bpe_merge(const krs_bpe *bpe, krs_bpe_room *room, uint32_t *ids, size_t *n)
{
    if (*n <= SMALL_WORD) {
        *n = *n > 1 ? merge_short(bpe, ids, *n) : *n;
        return KRS_OK;
    }
    const krs_status status = room_for(room, *n);
    if (status != KRS_OK) {
        return status;
    }
    *n = merge_long(bpe, room, ids, *n);
    if (room->cap > KEPT_WORD) {
        krs_bpe_room_deinit(room);
    }
    return KRS_OK;
}
