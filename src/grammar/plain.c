/* grammar/plain.c - how many plain characters a state takes, whichever they are.
 *
 * Plain is what stands in a JSON string as itself: every character but quote, backslash and the control
 * characters. Where n of any of them may come, every token of at most n plain characters is allowed, and the
 * mask of those is ready (vocab.h). The question is answered a layer at a time: from all states after i
 * characters, every character must lead on. In a string that set is one state, and often the same one again,
 * which is the answer "any number". */
#include "grammar/automaton_priv.h"

#define MAX_LAYER 8 /* different states after one character; strings have one or two */

/* States, each once. */
typedef struct layer {
    uint32_t states[MAX_LAYER];
    uint32_t n;
} layer;

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

/* false: no room, or DEAD. */
static bool add(layer *to, uint32_t state)
{
    for (uint32_t i = 0; i < to->n; i++) {
        if (to->states[i] == state) {
            return true;
        }
    }
    if (state == KRS_STATE_DEAD || to->n == MAX_LAYER) {
        return false;
    }
    to->states[to->n++] = state;
    return true;
}

/* From every state, by every byte of first..last. */
static bool step_all(krs_automaton *a, const layer *from, unsigned first, unsigned last, layer *to)
{
    for (uint32_t i = 0; i < from->n; i++) {
        for (unsigned c = first; c <= last; c++) {
            if (!add(to, krs_state_step(a, from->states[i], (uint8_t)c))) {
                return false;
            }
        }
    }
    return true;
}

static bool step_lead(krs_automaton *a, const layer *from, const lead *by, layer *to)
{
    if (by->second_first == 0) {
        return step_all(a, from, by->first, by->last, to);
    }
    layer middle = {.n = 0};
    layer next = {.n = 0};
    if (!step_all(a, from, by->first, by->last, &middle) ||
        !step_all(a, &middle, by->second_first, by->second_last, &next)) {
        return false;
    }
    for (unsigned i = 0; i < by->n_more; i++) {
        middle = next;
        next = (layer){.n = 0};
        if (!step_all(a, &middle, 0x80, 0xBF, &next)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < next.n; i++) {
        if (!add(to, next.states[i])) {
            return false;
        }
    }
    return true;
}

static bool step_character(krs_automaton *a, const layer *from, layer *to)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        if (!step_lead(a, from, &leads[i], to) || krs_automaton_status(a) != KRS_OK) {
            return false;
        }
    }
    return true;
}

static bool is_within(const layer *x, const layer *y)
{
    layer sum = *y;
    for (uint32_t i = 0; i < x->n; i++) {
        const uint32_t n = sum.n;
        if (!add(&sum, x->states[i]) || sum.n != n) {
            return false;
        }
    }
    return true;
}

static int count(krs_automaton *a, uint32_t state)
{
    layer at = {.states = {state}, .n = 1};
    layer all = at; /* of the layers so far, as far as there is room */
    for (int n = 0; n < KRS_SLICE_ENOUGH_CHARS; n++) {
        layer next = {.n = 0};
        if (!step_character(a, &at, &next)) {
            return n;
        }
        if (is_within(&next, &all)) {
            return KRS_SLICE_MAX_CHARS; /* nothing new can come */
        }
        for (uint32_t i = 0; i < next.n; i++) {
            (void)add(&all, next.states[i]);
        }
        at = next;
    }
    return KRS_SLICE_ENOUGH_CHARS;
}

int krs_state_plain(krs_automaton *a, uint32_t state)
{
    const int known = krs_state_at(a, state)->plain;
    if (known != KRS_PLAIN_UNKNOWN) {
        return known;
    }
    const int n = count(a, state);
    if (krs_automaton_status(a) == KRS_OK) {
        krs_state_at(a, state)->plain = (int16_t)n;
    }
    return n;
}
