/* grammar/plain.c - how many plain characters a state takes, whichever they are.
 *
 * Plain is what stands in a JSON string as itself: every character but quote, backslash and the control
 * characters. Where n of any of them may come, every token of at most n plain characters is allowed, and the
 * mask of those is ready (vocab.h).
 *
 * What strings are made of says it without a look ahead: x{m,n} takes n characters where x takes each of
 * them, and x* any number; taking finitely many words out of x* (the declared keys, out of the further ones)
 * leaves something to go on with. Other regexes with AND and NOT are looked at from state to state, a layer
 * at a time, but not far: it would cost more than the walk that it saves. */
#include "grammar/automaton_priv.h"

#define MAX_LAYER  8   /* different states after one character; strings have one or two */
#define MAX_LAYERS 6   /* to look ahead */
#define MAX_SEARCH 256 /* derivatives, for a slice: beyond it a walk costs less */

/* States or regexes, each once. */
typedef struct layer {
    uint32_t ids[MAX_LAYER];
    uint32_t n;
} layer;

/* Where a byte leads from a state or regex; 0 is nowhere, for both. */
typedef uint32_t (*stepper)(krs_automaton *a, uint32_t from, uint8_t c);

static uint32_t step_state(krs_automaton *a, uint32_t from, uint8_t c)
{
    return krs_state_step(a, from, c);
}

static uint32_t step_regex(krs_automaton *a, uint32_t from, uint8_t c)
{
    return krs_regex_derive(a->regexes, from, c);
}

/* One byte of a character: which ones, and how many that follow are 80..BF. */
typedef struct lead {
    uint8_t first, last;
    uint8_t second_first, second_last; /* 0: a byte alone */
    uint8_t n_more;                    /* of 80..BF, after the second */
} lead;

/* The Unicode Standard 15, table 3-7, without control characters, quote and backslash. Letters first: where
 * they may not come, the answer is quick. */
static const lead leads[] = {
    {'a', 'z', 0, 0, 0},         {0x5D, 0x60, 0, 0, 0},       {'{', 0x7E, 0, 0, 0},
    {'#', 0x5B, 0, 0, 0},        {0x20, 0x21, 0, 0, 0},       {0xC2, 0xDF, 0x80, 0xBF, 0},
    {0xE0, 0xE0, 0xA0, 0xBF, 1}, {0xE1, 0xEC, 0x80, 0xBF, 1}, {0xED, 0xED, 0x80, 0x9F, 1},
    {0xEE, 0xEF, 0x80, 0xBF, 1}, {0xF0, 0xF0, 0x90, 0xBF, 2}, {0xF1, 0xF3, 0x80, 0xBF, 2},
    {0xF4, 0xF4, 0x80, 0x8F, 2},
};

/* false: no room, or nowhere. */
static bool add(layer *to, uint32_t id)
{
    for (uint32_t i = 0; i < to->n; i++) {
        if (to->ids[i] == id) {
            return true;
        }
    }
    if (id == 0 || to->n == MAX_LAYER) {
        return false;
    }
    to->ids[to->n++] = id;
    return true;
}

/* One step of a kind, from everything in a layer. */
typedef struct stride {
    krs_automaton *a;
    stepper step;
} stride;

static bool step_all(stride s, const layer *from, unsigned first, unsigned last, layer *to)
{
    for (uint32_t i = 0; i < from->n; i++) {
        for (unsigned c = first; c <= last; c++) {
            if (!add(to, s.step(s.a, from->ids[i], (uint8_t)c))) {
                return false;
            }
        }
    }
    return true;
}

static bool step_lead(stride s, const layer *from, const lead *by, layer *to)
{
    if (by->second_first == 0) {
        return step_all(s, from, by->first, by->last, to);
    }
    layer middle = {.n = 0};
    layer next = {.n = 0};
    if (!step_all(s, from, by->first, by->last, &middle) ||
        !step_all(s, &middle, by->second_first, by->second_last, &next)) {
        return false;
    }
    for (unsigned i = 0; i < by->n_more; i++) {
        middle = next;
        next = (layer){.n = 0};
        if (!step_all(s, &middle, 0x80, 0xBF, &next)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < next.n; i++) {
        if (!add(to, next.ids[i])) {
            return false;
        }
    }
    return true;
}

/* Everything after one plain character, or false. */
static bool step_character(stride s, const layer *from, layer *to)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        if (!step_lead(s, from, &leads[i], to) || krs_automaton_status(s.a) != KRS_OK) {
            return false;
        }
    }
    return true;
}

/* Does x match every plain character? Remembered in its node. */
static bool takes_each(krs_automaton *a, uint32_t x)
{
    krs_regex_store *s = a->regexes;
    if (krs_regex_has(s, x, KRS_REGEX_PLAIN | KRS_REGEX_NOT_PLAIN)) {
        return krs_regex_has(s, x, KRS_REGEX_PLAIN);
    }
    const layer from = {.ids = {x}, .n = 1};
    layer to = {.n = 0};
    bool takes = step_character((stride){a, step_regex}, &from, &to);
    bool is_one = true;
    for (uint32_t i = 0; i < to.n; i++) {
        takes = takes && krs_regex_has(s, to.ids[i], KRS_REGEX_NULLABLE);
        is_one = is_one && to.ids[i] == KRS_REGEX_EMPTY;
    }
    if (krs_automaton_status(a) == KRS_OK) {
        krs_regex_node *node = (krs_regex_node *)s->nodes.items + x;
        node->flags |= takes ? KRS_REGEX_PLAIN : KRS_REGEX_NOT_PLAIN;
        node->flags |= takes && is_one ? KRS_REGEX_PLAIN_ONE : 0;
    }
    return takes;
}

static bool is_finite_not(const krs_regex_store *s, uint32_t r)
{
    const krs_regex_node *node = krs_regex_at(s, r);
    if (node->kind != KRS_REGEX_KIND_NOT) {
        return false;
    }
    const unsigned kind = krs_regex_at(s, node->a)->kind;
    return kind == KRS_REGEX_KIND_LITERAL || kind == KRS_REGEX_KIND_WORDS ||
           kind == KRS_REGEX_KIND_EMPTY;
}

static int regex_plain(krs_automaton *a, uint32_t r);

/* What a regex that takes n plain characters, whichever they are, takes at least after them. */
static uint32_t shifted(krs_automaton *a, uint32_t r, int n)
{
    const krs_regex_node node = *krs_regex_at(a->regexes, r);
    const uint32_t turns = (uint32_t)n;
    if (node.kind == KRS_REGEX_KIND_CAT) {
        return krs_regex_cat_of(a->regexes, shifted(a, node.a, n), node.b);
    }
    if (node.kind == KRS_REGEX_KIND_REPEAT) {
        const uint32_t min = node.b > turns ? node.b - turns : 0;
        const uint32_t max = node.c == KRS_REGEX_INF ? node.c : node.c - turns;
        return krs_regex_repeat_of(a->regexes, node.a, min, max);
    }
    for (uint32_t i = 0; i < node.b && node.kind == KRS_REGEX_KIND_OR; i++) {
        const uint32_t member = krs_regex_list_at(a->regexes, node.a)[i];
        if (regex_plain(a, member) >= n) {
            return shifted(a, member, n);
        }
    }
    return node.kind == KRS_REGEX_KIND_ANY ? r : (uint32_t)KRS_REGEX_NONE;
}

/* Do all members go on together after n plain characters, each as it can? Then they do after fewer, too: what is
 * missing can be written in front. */
static bool goes_on(krs_automaton *a, const krs_regex_node *node, int n)
{
    krs_regex_store *s = a->regexes;
    const uint32_t base = s->scratch.n;
    for (uint32_t i = 0; i < node->b; i++) {
        krs_regex_push(s, shifted(a, krs_regex_list_at(s, node->a)[i], n));
    }
    const uint32_t rest = krs_regex_list_of(s, KRS_REGEX_KIND_AND, base);
    bool is_known;
    return !krs_regex_is_never(s, rest, MAX_SEARCH, &is_known) && is_known;
}

/* Members that take as many each; or, beside those that leave out finitely many words, one that has no end. */
static int and_plain(krs_automaton *a, const krs_regex_node *node)
{
    uint32_t n_not = 0;
    int least = KRS_SLICE_MAX_CHARS;
    for (uint32_t i = 0; i < node->b; i++) {
        const uint32_t member = krs_regex_list_at(a->regexes, node->a)[i];
        if (is_finite_not(a->regexes, member)) {
            n_not++;
            continue;
        }
        const int n = regex_plain(a, member);
        least = n < least ? n : least;
    }
    const bool is_endless = least == KRS_SLICE_MAX_CHARS;
    bool is_sure = is_endless && n_not + 1 == node->b;
    if (n_not == 0 && least > 0) {
        is_sure = goes_on(a, node, is_endless ? 0 : least);
    }
    return is_sure ? least : 0;
}

/* Plain characters that this regex takes, seen from its nodes alone; a lower bound. */
static int regex_plain(krs_automaton *a, uint32_t r)
{
    while (krs_regex_steps(a->regexes, 1)) {
        const krs_regex_node node = *krs_regex_at(a->regexes, r);
        int most = 0;
        switch ((krs_regex_kind)node.kind) {
        case KRS_REGEX_KIND_ANY:
            return KRS_SLICE_MAX_CHARS;
        case KRS_REGEX_KIND_CAT:
            r = node.a; /* what comes after it is not needed */
            break;
        case KRS_REGEX_KIND_REPEAT:
            most = node.c < KRS_SLICE_ENOUGH_CHARS ? (int)node.c : KRS_SLICE_ENOUGH_CHARS;
            most = node.c == KRS_REGEX_INF ? KRS_SLICE_MAX_CHARS : most;
            return takes_each(a, node.a) ? most : 0;
        case KRS_REGEX_KIND_OR:
            for (uint32_t i = 0; i < node.b; i++) {
                const int n = regex_plain(a, krs_regex_list_at(a->regexes, node.a)[i]);
                most = n > most ? n : most;
            }
            return most;
        case KRS_REGEX_KIND_AND:
            return and_plain(a, &node);
        default:
            return 0;
        }
    }
    return 0;
}

static bool is_within(const layer *x, const layer *y)
{
    layer sum = *y;
    for (uint32_t i = 0; i < x->n; i++) {
        const uint32_t n = sum.n;
        if (!add(&sum, x->ids[i]) || sum.n != n) {
            return false;
        }
    }
    return true;
}

/* The same by looking ahead. */
static int look_ahead(krs_automaton *a, uint32_t state)
{
    layer at = {.ids = {state}, .n = 1};
    layer all = at; /* of the layers so far, as far as there is room */
    for (int n = 0; n < MAX_LAYERS; n++) {
        layer next = {.n = 0};
        if (!step_character((stride){a, step_state}, &at, &next)) {
            return n;
        }
        if (is_within(&next, &all)) {
            return KRS_SLICE_MAX_CHARS; /* nothing new can come */
        }
        for (uint32_t i = 0; i < next.n; i++) {
            (void)add(&all, next.ids[i]);
        }
        at = next;
    }
    return MAX_LAYERS;
}

/* Certainly no plain character can come; what is not seen at once counts as if one could. */
static bool takes_none(const krs_regex_store *s, uint32_t r)
{
    const krs_regex_node *node = krs_regex_at(s, r);
    while (node->kind == KRS_REGEX_KIND_CAT && !krs_regex_has(s, node->a, KRS_REGEX_NULLABLE)) {
        node = krs_regex_at(s, node->a);
    }
    if (node->kind == KRS_REGEX_KIND_LITERAL) {
        return !krs_is_plain_byte((uint8_t)*krs_regex_bytes_at(s, node->a));
    }
    bool takes = node->kind != KRS_REGEX_KIND_SET && node->kind != KRS_REGEX_KIND_EMPTY;
    for (unsigned c = 0; c < 256 && node->kind == KRS_REGEX_KIND_SET; c++) {
        const krs_byte_set *set = krs_regex_set_at(s, node->a);
        takes = takes || (krs_is_plain_byte((uint8_t)c) && krs_byte_set_has(set, (uint8_t)c));
    }
    return !takes;
}

/* Plain characters that this regex takes at most, or KRS_SLICE_MAX_CHARS; after regex_plain. */
static int most_plain(const krs_regex_store *s, uint32_t r)
{
    if (takes_none(s, r)) {
        return 0;
    }
    const krs_regex_node *node = krs_regex_at(s, r);
    if (node->kind != KRS_REGEX_KIND_CAT || !takes_none(s, node->b)) {
        return KRS_SLICE_MAX_CHARS;
    }
    const krs_regex_node *repeat = krs_regex_at(s, node->a);
    const bool is_counted = repeat->kind == KRS_REGEX_KIND_REPEAT &&
                            repeat->c <= KRS_SLICE_ENOUGH_CHARS &&
                            krs_regex_has(s, repeat->a, KRS_REGEX_PLAIN_ONE);
    return is_counted ? (int)repeat->c : KRS_SLICE_MAX_CHARS;
}

static krs_plain count(krs_automaton *a, uint32_t state)
{
    const krs_state at = *krs_state_at(a, state);
    int least = 0; /* so many for sure */
    int most = 0;
    bool is_hard = false;
    for (uint32_t i = 0; i < at.n && least < KRS_SLICE_MAX_CHARS; i++) {
        const uint32_t regex = (uint32_t)(krs_configs_at(a, at.first)[i] >> 32);
        const int n = regex_plain(a, regex);
        const int n_most = most_plain(a->regexes, regex);
        least = n > least ? n : least;
        most = n_most > most ? n_most : most;
        is_hard = is_hard || krs_regex_has(a->regexes, regex, KRS_REGEX_HARD);
    }
    if (least == 0 && is_hard) {
        least = look_ahead(a, state);
    }
    return (krs_plain){.n_chars = (int16_t)least, .is_all = most <= least};
}

krs_plain krs_state_plain(krs_automaton *a, uint32_t state)
{
    krs_plain plain = krs_state_at(a, state)->plain;
    if (plain.n_chars == KRS_PLAIN_UNKNOWN) {
        plain = count(a, state);
        if (krs_automaton_status(a) == KRS_OK) {
            krs_state_at(a, state)->plain = plain;
        }
    }
    return plain;
}
