/* grammar/regex_never.c - does a regex match nothing? A search for a text it matches.
 *
 * Only AND and NOT can hide that nothing matches, and only they are searched: over derivatives, a class of
 * bytes at a time, until one may be empty or is known to match. What was found out is kept in the nodes'
 * flags, for every node of the way, or for all that were visited when there is no way; so following a text
 * costs one search, not one a byte.
 *
 * Every other visit goes in breadth, which finds short texts, and every other one on from the last: a text
 * that must be long (an address of at least 20 characters) is found in as many visits as it has bytes, where
 * breadth alone looks at all that is shorter.
 *
 * What matched one regex often matches the next (the same pattern with a character less to come), so the latest
 * few texts that were found are tried first; a search is for what none of them fits.
 *
 * What is kept is certain: a search that is cut short leaves nothing behind but the marks of ways it found. So what
 * a mask says does not depend on which texts were followed before. */
#include "grammar/regex_priv.h"

#include <string.h>

/* A node in the queue, on the scratch stack. */
typedef struct visit {
    uint32_t regex;
    uint32_t from; /* index of the visit that led here; its own for the first */
    uint32_t byte; /* by this byte; MADE is added when it is made */
} visit;

#define VISIT_WORDS 3
#define MADE        0x100u
#define LOOK_BACK   2 /* texts whose ends are tried as the end of a new one */

typedef struct search {
    krs_regex_store *s;
    uint32_t base;     /* of the queue on the scratch stack */
    uint32_t n_visits; /* in the queue */
    uint32_t first;    /* of those that are not made; n_visits: none */
    uint32_t deep;     /* where to go on from the last; n_visits or made: nowhere */
} search;

static visit visit_at(const search *q, uint32_t i)
{
    const uint32_t *words =
        (const uint32_t *)q->s->scratch.items + q->base + VISIT_WORDS * (size_t)i;
    return (visit){words[0], words[1], words[2]};
}

static krs_regex_node *node_of(krs_regex_store *s, uint32_t r)
{
    return (krs_regex_node *)s->nodes.items + r;
}

static bool is_known_some(const krs_regex_node *node)
{
    return (node->flags & (KRS_REGEX_NULLABLE | KRS_REGEX_SOME)) != 0 ||
           ((node->flags & KRS_REGEX_HARD) == 0 && node->kind != KRS_REGEX_KIND_NONE);
}

static bool is_known_never(const krs_regex_node *node)
{
    return node->kind == KRS_REGEX_KIND_NONE || (node->flags & KRS_REGEX_NEVER) != 0;
}

static void enqueue(search *q, uint32_t r, uint32_t from, uint8_t byte)
{
    krs_regex_push(q->s, r);
    krs_regex_push(q->s, from);
    krs_regex_push(q->s, byte);
    if (q->s->status == KRS_OK) {
        node_of(q->s, r)->flags |= KRS_REGEX_SEEN;
        q->n_visits++;
    }
}

/* Does r take this text, up to where something is known to match? Then all on the way match, too. *last: what
 * remained there. */
static bool takes(krs_regex_store *s, uint32_t r, const krs_witness *w, uint32_t *last)
{
    uint32_t way[KRS_WITNESS_BYTES + 1] = {r};
    uint32_t n = 0;
    while (n < w->len && !is_known_some(krs_regex_at(s, way[n])) &&
           !is_known_never(krs_regex_at(s, way[n]))) {
        way[n + 1] = krs_regex_derive(s, way[n], w->bytes[n]);
        n++;
    }
    *last = way[n];
    if (s->status != KRS_OK || !is_known_some(krs_regex_at(s, way[n]))) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        node_of(s, way[i])->flags |= KRS_REGEX_SOME;
    }
    return true;
}

static bool fits_witness(krs_regex_store *s, uint32_t r)
{
    const uint32_t n = s->n_witnesses < KRS_WITNESSES ? s->n_witnesses : KRS_WITNESSES;
    uint32_t last;
    for (uint32_t i = 1; i <= n; i++) {
        if (takes(s, r, &s->witnesses[(s->n_witnesses - i) % KRS_WITNESSES], &last)) {
            return true;
        }
    }
    return false;
}

/* Go on from r, which matches something, to where it may end or is easy: then the text fits also those of which
 * less is known. What it ends with is the end of a text that was found before. */
static void complete(krs_regex_store *s, krs_witness *w, uint32_t r)
{
    const uint32_t n = s->n_witnesses < LOOK_BACK ? s->n_witnesses : LOOK_BACK;
    for (uint32_t i = 1; i <= n && s->status == KRS_OK; i++) {
        const krs_witness *old = &s->witnesses[(s->n_witnesses - i) % KRS_WITNESSES];
        for (uint32_t from = 0; from < old->len; from++) {
            uint32_t rest = r;
            for (uint32_t k = from; k < old->len && rest != KRS_REGEX_NONE; k++) {
                rest = krs_regex_derive(s, rest, old->bytes[k]);
            }
            const uint32_t len = old->len - from;
            if (krs_regex_has(s, rest, KRS_REGEX_NULLABLE) && w->len + len <= KRS_WITNESS_BYTES) {
                memcpy(w->bytes + w->len, old->bytes + from, len);
                w->len = (uint8_t)(w->len + len);
                return;
            }
        }
    }
}

/* Keep the text that led to visit i, then c, then what is left. */
static void keep_witness(search *q, uint32_t i, uint8_t c, uint32_t left)
{
    krs_witness w = {.len = 1};
    uint32_t at = KRS_WITNESS_BYTES;
    uint8_t back[KRS_WITNESS_BYTES];
    back[--at] = c;
    for (; visit_at(q, i).from != i && at > 0; i = visit_at(q, i).from) {
        back[--at] = (uint8_t)visit_at(q, i).byte; /* without MADE */
    }
    w.len = (uint8_t)(KRS_WITNESS_BYTES - at);
    memcpy(w.bytes, back + at, w.len);
    if (!krs_regex_has(q->s, left, KRS_REGEX_NULLABLE)) {
        complete(q->s, &w, left);
    }
    q->s->witnesses[q->s->n_witnesses++ % KRS_WITNESSES] = w;
}

/* Of left, c and the bytes after which the same remains of r. */
static void drop_class(krs_regex_store *s, uint32_t r, uint8_t c, krs_byte_set *left)
{
    krs_byte_set same = *left;
    krs_regex_narrow(s, r, c, &same);
    for (int v = 0; v < 4; v++) {
        left->bits[v] &= ~same.bits[v];
    }
}

/* What remains behind byte c of visit i; true when it is known to match. */
static bool look_behind(search *q, uint32_t i, uint8_t c, uint32_t derived)
{
    const krs_regex_node *node = krs_regex_at(q->s, derived);
    if (is_known_some(node)) {
        if (i > 0) { /* one byte is found as fast as it is tried */
            keep_witness(q, i, c, derived);
        }
        return true;
    }
    if (!is_known_never(node) && (node->flags & KRS_REGEX_SEEN) == 0) {
        enqueue(q, derived, i, c);
    }
    return false;
}

/* Look at all that may remain of visit i; true when something is known to match. */
static bool expand(search *q, uint32_t i)
{
    krs_regex_store *s = q->s;
    const uint32_t r = visit_at(q, i).regex;
    krs_byte_set left = {{~0ull, ~0ull, ~0ull, ~0ull}};
    for (int w = 0; w < 4; w++) {
        while (left.bits[w] != 0 && s->status == KRS_OK) {
            const uint8_t c = (uint8_t)(w * 64 + __builtin_ctzll(left.bits[w]));
            drop_class(s, r, c, &left);
            const uint32_t derived = krs_regex_derive(s, r, c);
            if (look_behind(q, i, c, derived)) {
                return true;
            }
        }
    }
    return false;
}

/* Take the marks off, and note what was found out. */
static void conclude(search *q, unsigned flag)
{
    for (uint32_t i = 0; i < q->n_visits; i++) {
        krs_regex_node *node = node_of(q->s, visit_at(q, i).regex);
        node->flags = (uint8_t)((node->flags & ~(unsigned)KRS_REGEX_SEEN) | flag);
    }
    q->s->scratch.n = q->base;
}

static void mark_way(search *q, uint32_t last)
{
    for (uint32_t i = last;; i = visit_at(q, i).from) {
        node_of(q->s, visit_at(q, i).regex)->flags |= KRS_REGEX_SOME;
        if (visit_at(q, i).from == i) {
            break;
        }
    }
}

static bool is_made(const search *q, uint32_t i)
{
    return (visit_at(q, i).byte & MADE) != 0;
}

/* Make visit i; true when something is known to match. */
static bool make(search *q, uint32_t i)
{
    const uint32_t n = q->n_visits;
    const bool is_deep = i == q->deep;
    ((uint32_t *)q->s->scratch.items)[q->base + VISIT_WORDS * (size_t)i + 2] |= MADE;
    if (expand(q, i)) {
        mark_way(q, i);
        return true;
    }
    if (is_deep || q->deep == n || is_made(q, q->deep)) {
        q->deep = n; /* the first that it led to, if any */
    }
    while (q->first < q->n_visits && is_made(q, q->first)) {
        q->first++;
    }
    return false;
}

/* Which visit is made as the n-th? */
static uint32_t choose(const search *q, uint32_t n)
{
    const bool is_deep = n % 2 == 1 && q->deep < q->n_visits && !is_made(q, q->deep);
    return is_deep ? q->deep : q->first;
}

/* Look until something is found, or nothing is left, or max_visits were made; was it found out? */
static bool run(search *q, uint32_t max_visits, bool *is_some)
{
    *is_some = make(q, 0) || fits_witness(q->s, visit_at(q, 0).regex);
    for (uint32_t n = 1; n < max_visits && q->first < q->n_visits && !*is_some; n++) {
        if (q->s->status != KRS_OK) {
            return false;
        }
        *is_some = make(q, choose(q, n));
    }
    return q->s->status == KRS_OK && (*is_some || q->first == q->n_visits);
}

bool krs_regex_is_never(krs_regex_store *s, uint32_t r, uint32_t max_visits, bool *is_known)
{
    const krs_regex_node *node = krs_regex_at(s, r);
    *is_known = true;
    if (is_known_some(node) || is_known_never(node)) {
        return is_known_never(node);
    }
    search q = {.s = s, .base = s->scratch.n};
    enqueue(&q, r, 0, 0);
    bool is_some;
    *is_known = run(&q, max_visits, &is_some);
    /* A way has its marks. Without one, and without an end, nothing is known. */
    conclude(&q, *is_known && !is_some ? KRS_REGEX_NEVER : 0);
    return *is_known && !is_some;
}
