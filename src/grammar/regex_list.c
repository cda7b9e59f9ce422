/* grammar/regex_list.c - OR and AND: flat, sorted, single members; see regex_priv.h.
 *
 * This order is what makes derivatives finitely many: (a|b)|a and b|a are one node. Members that are sets
 * of bytes are joined into one set, which also keeps a class of characters one step wide. */
#include "grammar/regex_priv.h"
#include "grammar/sort_priv.h"

#include <string.h>

#define MEMBERS_A_STEP 4 /* sorted in the time of a derivative */

void krs_regex_push(krs_regex_store *s, uint32_t r)
{
    uint32_t at;
    const krs_status status = krs_pool_push(&s->scratch, &r, 1, &at);
    if (status != KRS_OK) {
        krs_regex_failed(s, status);
    }
}

static uint32_t *scratch_at(const krs_regex_store *s, uint32_t at)
{
    /* Nothing was ever pushed: no offset is added to NULL, not even 0. */
    return at > 0 ? (uint32_t *)s->scratch.items + at : s->scratch.items;
}

/* Replace members that are lists of this kind by their members (which are no such lists). */
static void flatten(krs_regex_store *s, krs_regex_kind kind, uint32_t base)
{
    const uint32_t n = s->scratch.n;
    for (uint32_t i = base; i < n; i++) {
        const krs_regex_node node = *krs_regex_at(s, *scratch_at(s, i));
        if (node.kind == (uint8_t)kind) {
            *scratch_at(s, i) = krs_regex_list_at(s, node.a)[0];
            for (uint32_t m = 1; m < node.b; m++) {
                krs_regex_push(s, krs_regex_list_at(s, node.a)[m]);
            }
        }
    }
}

static void sort_ids(uint32_t *ids, uint32_t n)
{
    static const uint32_t gaps[] = {4193, 1577, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        for (uint32_t i = gaps[g]; i < n; i++) {
            const uint32_t id = ids[i];
            uint32_t at = i;
            while (at >= gaps[g] && ids[at - gaps[g]] > id) {
                ids[at] = ids[at - gaps[g]];
                at -= gaps[g];
            }
            ids[at] = id;
        }
    }
}

/* What is left of the members while they are looked through. */
typedef struct sieve {
    krs_byte_set set; /* of the members that are sets */
    bool has_set;
    bool has_zero; /* NONE in AND, ANY in OR: it is the result */
} sieve;

/* Does this member stay in the list? What does not is in the sieve. */
static bool stays(const krs_regex_store *s, krs_regex_kind kind, uint32_t r, sieve *found)
{
    const uint32_t unit = kind == KRS_REGEX_KIND_OR ? KRS_REGEX_NONE : KRS_REGEX_ANY;
    const uint32_t zero = kind == KRS_REGEX_KIND_OR ? KRS_REGEX_ANY : KRS_REGEX_NONE;
    found->has_zero = found->has_zero || r == zero;
    const krs_regex_node *node = krs_regex_at(s, r);
    if (node->kind != KRS_REGEX_KIND_SET) {
        return r != unit && r != zero;
    }
    const krs_byte_set *set = krs_regex_set_at(s, node->a);
    for (int w = 0; w < 4; w++) {
        if (!found->has_set) {
            found->set.bits[w] = set->bits[w];
        } else if (kind == KRS_REGEX_KIND_OR) {
            found->set.bits[w] |= set->bits[w];
        } else {
            found->set.bits[w] &= set->bits[w];
        }
    }
    found->has_set = true;
    return false;
}

/* Drop units, doubles and sets; how many are left. */
static uint32_t sift(const krs_regex_store *s, krs_regex_kind kind, uint32_t *members, uint32_t n,
                     sieve *found)
{
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && members[i] == members[i - 1]) {
            continue;
        }
        const uint32_t r = members[i];
        if (stays(s, kind, r, found)) {
            members[n_left++] = r;
        }
    }
    return n_left;
}

/* The node of sorted members. */
static uint32_t intern_list(krs_regex_store *s, krs_regex_kind kind, const uint32_t *members,
                            uint32_t n)
{
    uint32_t offset;
    const krs_status status = krs_pool_push(&s->lists, members, n, &offset);
    if (status != KRS_OK) {
        krs_regex_failed(s, status);
        return KRS_REGEX_NONE;
    }
    const uint32_t n_nodes = s->nodes.n;
    const uint32_t id =
        krs_regex_node_of(s, (krs_regex_node){.kind = (uint8_t)kind, .a = offset, .b = n});
    if (s->nodes.n == n_nodes) {
        s->lists.n = offset; /* it was there, or there is no room */
    }
    return id;
}

/* A list that cannot be told apart from something simpler. */
static bool is_simple(const krs_regex_store *s, krs_regex_kind kind, const uint32_t *members,
                      uint32_t n, uint32_t *simple)
{
    if (n <= 1) {
        const uint32_t unit = kind == KRS_REGEX_KIND_OR ? KRS_REGEX_NONE : KRS_REGEX_ANY;
        *simple = n == 1 ? members[0] : unit;
        return true;
    }
    if (kind != KRS_REGEX_KIND_AND || members[0] != KRS_REGEX_EMPTY) {
        return false;
    }
    *simple = KRS_REGEX_EMPTY; /* the empty text, where all others match it */
    for (uint32_t i = 1; i < n; i++) {
        *simple = krs_regex_has(s, members[i], KRS_REGEX_NULLABLE) ? *simple : KRS_REGEX_NONE;
    }
    return true;
}

uint32_t krs_regex_list_of(krs_regex_store *s, krs_regex_kind kind, uint32_t base)
{
    flatten(s, kind, base);
    if (!krs_regex_steps(s, (s->scratch.n - base) / MEMBERS_A_STEP)) {
        s->scratch.n = base;
        return KRS_REGEX_NONE;
    }
    uint32_t *members = scratch_at(s, base);
    uint32_t n = s->scratch.n - base;
    sieve found = {.has_set = false};
    sort_ids(members, n);
    n = sift(s, kind, members, n, &found);
    s->scratch.n = base + n;
    uint32_t id = kind == KRS_REGEX_KIND_OR ? KRS_REGEX_ANY : KRS_REGEX_NONE;
    if (found.has_set && !found.has_zero) {
        const uint32_t set = krs_regex_set_of(s, &found.set);
        if (set != KRS_REGEX_NONE) {
            krs_regex_push(s, set);
            members = scratch_at(s, base);
            n = s->scratch.n - base;
            sort_ids(members, n);
        } else {
            found.has_zero = kind == KRS_REGEX_KIND_AND; /* sets without a common byte */
        }
    }
    if (!found.has_zero && !is_simple(s, kind, members, n, &id)) {
        id = intern_list(s, kind, members, n);
    }
    s->scratch.n = base;
    return s->status == KRS_OK ? id : KRS_REGEX_NONE;
}
