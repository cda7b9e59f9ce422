/* grammar/near.c - what a state looks like from nearby: counts too large to matter are taken for endless.
 *
 * A string of at most a thousand characters is in another state after each of them, and each would want a mask
 * of its own. But a token has few bytes, and a repeat that has more turns left than a token has bytes cannot be
 * told from an endless one by any token; nor, where more turns must come, from one where a few more must. So all
 * those states have the mask of one, in which such counts are cut.
 *
 * Only counts that come next are cut, and none under AND or NOT, where a cut could change what can be finished. */
#include "grammar/automaton_priv.h"

#define MAX_VISITS                                                                                 \
    1024 /* of regexes, for one state: a repeat in a repeat in a repeat is walked as a tree */

/* One state's cut. Where visits run out the rest stays as it is: then less is shared, and nothing is wrong. */
typedef struct cut {
    krs_regex_store *s;
    uint32_t n_bytes;
    uint32_t n_visits; /* that are left */
} cut;

static uint32_t near_regex(cut *c, uint32_t r);

static uint32_t near_list(cut *c, const krs_regex_node *node)
{
    const uint32_t base = c->s->scratch.n;
    for (uint32_t i = 0; i < node->b; i++) {
        krs_regex_push(c->s, near_regex(c, krs_regex_list_at(c->s, node->a)[i]));
    }
    return krs_regex_list_of(c->s, KRS_REGEX_KIND_OR, base);
}

static uint32_t near_regex(cut *c, uint32_t r)
{
    const krs_regex_node node = *krs_regex_at(c->s, r);
    if ((node.flags & KRS_REGEX_HARD) != 0 || c->n_visits == 0) {
        return r;
    }
    c->n_visits--;
    switch ((krs_regex_kind)node.kind) {
    case KRS_REGEX_KIND_REPEAT: {
        const uint32_t min = node.b > c->n_bytes ? c->n_bytes + 1 : node.b;
        return krs_regex_repeat_of(c->s, node.a, min, node.c > c->n_bytes ? KRS_REGEX_INF : node.c);
    }
    case KRS_REGEX_KIND_CAT:
        return krs_regex_cat_of(c->s, near_regex(c, node.a), node.b);
    case KRS_REGEX_KIND_OR:
        return near_list(c, &node);
    default:
        return r;
    }
}

uint32_t krs_state_near(krs_automaton *a, uint32_t state, uint32_t n_bytes)
{
    const krs_state at = *krs_state_at(a, state);
    const uint32_t base = a->work.n;
    bool is_same = true;
    cut c = {a->regexes, n_bytes, MAX_VISITS};
    for (uint32_t i = 0; i < at.n && krs_automaton_status(a) == KRS_OK; i++) {
        const uint64_t config = krs_configs_at(a, at.first)[i];
        const uint32_t regex = near_regex(&c, (uint32_t)(config >> 32));
        const uint64_t near = (uint64_t)regex << 32 | (uint32_t)config;
        uint32_t where;
        krs_automaton_failed(a, krs_pool_push(&a->work, &near, 1, &where));
        is_same = is_same && near == config;
    }
    if (is_same) {
        a->work.n = base;
        return state;
    }
    return krs_state_of(a, base);
}
