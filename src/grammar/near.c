/* grammar/near.c - what a state looks like from nearby: counts too large to matter are taken for endless.
 *
 * A string of at most a thousand characters is in another state after each of them, and each would want a mask
 * of its own. But a token has few bytes, and a repeat that has more turns left than a token has bytes cannot be
 * told from an endless one by any token; nor, where more turns must come, from one where a few more must. So all
 * those states have the mask of one, in which such counts are cut.
 *
 * Only counts that come next are cut, and none under AND or NOT, where a cut could change what can be finished. */
#include "grammar/automaton_priv.h"

static uint32_t near_regex(krs_regex_store *s, uint32_t r, uint32_t n_bytes);

static uint32_t near_list(krs_regex_store *s, const krs_regex_node *node, uint32_t n_bytes)
{
    const uint32_t base = s->scratch.n;
    for (uint32_t i = 0; i < node->b; i++) {
        krs_regex_push(s, near_regex(s, krs_regex_list_at(s, node->a)[i], n_bytes));
    }
    return krs_regex_list_of(s, KRS_REGEX_KIND_OR, base);
}

static uint32_t near_regex(krs_regex_store *s, uint32_t r, uint32_t n_bytes)
{
    const krs_regex_node node = *krs_regex_at(s, r);
    if ((node.flags & KRS_REGEX_HARD) != 0) {
        return r;
    }
    switch ((krs_regex_kind)node.kind) {
    case KRS_REGEX_KIND_REPEAT: {
        const uint32_t min = node.b > n_bytes ? n_bytes + 1 : node.b;
        return krs_regex_repeat_of(s, node.a, min, node.c > n_bytes ? KRS_REGEX_INF : node.c);
    }
    case KRS_REGEX_KIND_CAT:
        return krs_regex_cat_of(s, near_regex(s, node.a, n_bytes), node.b);
    case KRS_REGEX_KIND_OR:
        return near_list(s, &node, n_bytes);
    default:
        return r;
    }
}

uint32_t krs_state_near(krs_automaton *a, uint32_t state, uint32_t n_bytes)
{
    const krs_state at = *krs_state_at(a, state);
    const uint32_t base = a->work.n;
    bool is_same = true;
    for (uint32_t i = 0; i < at.n && krs_automaton_status(a) == KRS_OK; i++) {
        const uint64_t config = krs_configs_at(a, at.first)[i];
        const uint32_t regex = near_regex(a->regexes, (uint32_t)(config >> 32), n_bytes);
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
