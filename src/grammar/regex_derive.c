/* grammar/regex_derive.c - what remains of a regex after a byte, and after which bytes the same remains.
 *
 * D(xy) = D(x)y | D(y) where x may be empty; D(x{m,n}) = D(x)x{m-1,n-1}, also where x may be empty, since
 * then what D(x{m-1,n-1}) would add is in it already; OR, AND and NOT go through. The rest of a
 * concatenation is a loop, not a recursion, so that depth is nesting and not length.
 *
 * Source: as regex.h. */
#include "grammar/regex_priv.h"

#include <string.h>

static char word_byte(const krs_regex_store *s, uint32_t word, uint32_t depth)
{
    return *krs_regex_bytes_at(s, ((const krs_word *)s->words.items)[word].offset + depth);
}

/* First word of [first, end) whose byte at depth is at least c; the words are longer than depth. */
static uint32_t lower_bound(const krs_regex_store *s, uint32_t first, uint32_t end, uint32_t depth,
                            unsigned c)
{
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        if ((unsigned char)word_byte(s, middle, depth) < c) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

/* The first word that is longer than depth: at most one is not, and it is the first. */
static uint32_t first_longer(const krs_regex_store *s, const krs_regex_node *node)
{
    return node->a + (((const krs_word *)s->words.items)[node->a].len == node->c ? 1 : 0);
}

uint32_t krs_regex_words_of(krs_regex_store *s, uint32_t first, uint32_t end, uint32_t depth)
{
    if (first + 1 < end) {
        return krs_regex_node_of(
            s, (krs_regex_node){.kind = KRS_REGEX_KIND_WORDS, .a = first, .b = end, .c = depth});
    }
    if (first == end) {
        return KRS_REGEX_NONE;
    }
    const krs_word word = ((const krs_word *)s->words.items)[first];
    return krs_regex_tail_of(s, word.offset + depth, word.len - depth);
}

static uint32_t derive_words(krs_regex_store *s, const krs_regex_node *node, uint8_t c)
{
    const uint32_t first = lower_bound(s, first_longer(s, node), node->b, node->c, c);
    const uint32_t end = lower_bound(s, first, node->b, node->c, c + 1u);
    return krs_regex_words_of(s, first, end, node->c + 1);
}

static uint32_t derive_cat(krs_regex_store *s, uint32_t r, uint8_t c)
{
    const uint32_t base = s->scratch.n;
    for (;;) {
        const krs_regex_node node = *krs_regex_at(s, r);
        const bool is_cat = node.kind == KRS_REGEX_KIND_CAT;
        const uint32_t first = is_cat ? node.a : r;
        const uint32_t derived = krs_regex_derive(s, first, c);
        krs_regex_push(s, is_cat ? krs_regex_cat_of(s, derived, node.b) : derived);
        if (!is_cat || !krs_regex_has(s, first, KRS_REGEX_NULLABLE) || s->status != KRS_OK) {
            break;
        }
        r = node.b;
    }
    if (s->scratch.n == base + 1 && s->status == KRS_OK) {
        s->scratch.n = base;
        return ((const uint32_t *)s->scratch.items)[base];
    }
    return krs_regex_list_of(s, KRS_REGEX_KIND_OR, base);
}

static uint32_t derive_list(krs_regex_store *s, const krs_regex_node *node, uint8_t c)
{
    const uint32_t base = s->scratch.n;
    const uint32_t zero = node->kind == KRS_REGEX_KIND_OR ? KRS_REGEX_ANY : KRS_REGEX_NONE;
    for (uint32_t i = 0; i < node->b && s->status == KRS_OK; i++) {
        const uint32_t derived = krs_regex_derive(s, krs_regex_list_at(s, node->a)[i], c);
        if (derived == zero) {
            s->scratch.n = base;
            return s->status == KRS_OK ? zero : KRS_REGEX_NONE;
        }
        krs_regex_push(s, derived);
    }
    return krs_regex_list_of(s, (krs_regex_kind)node->kind, base);
}

static uint32_t derive_repeat(krs_regex_store *s, const krs_regex_node *node, uint8_t c)
{
    const uint32_t derived = krs_regex_derive(s, node->a, c);
    if (derived == KRS_REGEX_NONE) {
        return KRS_REGEX_NONE;
    }
    const uint32_t max = node->c == KRS_REGEX_INF ? KRS_REGEX_INF : node->c - 1;
    return krs_regex_cat_of(s, derived,
                            krs_regex_repeat_of(s, node->a, node->b > 0 ? node->b - 1 : 0, max));
}

/* Of the kinds that are more than a look at a table. */
static uint32_t derive_node(krs_regex_store *s, uint32_t r, const krs_regex_node *node, uint8_t c)
{
    switch ((krs_regex_kind)node->kind) {
    case KRS_REGEX_KIND_WORDS:
        return derive_words(s, node, c);
    case KRS_REGEX_KIND_CAT:
        return derive_cat(s, r, c);
    case KRS_REGEX_KIND_OR:
    case KRS_REGEX_KIND_AND:
        return derive_list(s, node, c);
    case KRS_REGEX_KIND_NOT:
        return krs_regex_not_of(s, krs_regex_derive(s, node->a, c));
    default:
        return derive_repeat(s, node, c);
    }
}

uint32_t krs_regex_derive(krs_regex_store *s, uint32_t r, uint8_t c)
{
    const krs_regex_node node = *krs_regex_at(s, r);
    if (s->status != KRS_OK || !krs_regex_steps(s, 1)) {
        return KRS_REGEX_NONE;
    }
    switch ((krs_regex_kind)node.kind) {
    case KRS_REGEX_KIND_NONE:
    case KRS_REGEX_KIND_EMPTY:
        return KRS_REGEX_NONE;
    case KRS_REGEX_KIND_ANY:
        return KRS_REGEX_ANY;
    case KRS_REGEX_KIND_SET:
        return krs_byte_set_has(krs_regex_set_at(s, node.a), c) ? KRS_REGEX_EMPTY : KRS_REGEX_NONE;
    case KRS_REGEX_KIND_LITERAL:
        return (uint8_t)*krs_regex_bytes_at(s, node.a) == c
                   ? krs_regex_tail_of(s, node.a + 1, node.b - 1)
                   : KRS_REGEX_NONE;
    default:
        break;
    }
    krs_regex_memo *memo = &s->memo[krs_mix(r, c) >> 32 & (KRS_REGEX_MEMO - 1)];
    if (memo->regex == r && memo->byte == c) {
        return memo->result;
    }
    const uint32_t result = derive_node(s, r, &node, c);
    if (s->status != KRS_OK) {
        return KRS_REGEX_NONE;
    }
    *memo = (krs_regex_memo){.regex = r, .byte = c, .result = result};
    return result;
}

/* bytes &= set, or its complement: whichever has c. */
static void narrow_set(krs_byte_set *bytes, const krs_byte_set *set, uint8_t c)
{
    const uint64_t flip = krs_byte_set_has(set, c) ? 0 : ~0ull;
    for (int w = 0; w < 4; w++) {
        bytes->bits[w] &= set->bits[w] ^ flip;
    }
}

/* A byte that begins a word is alone; all others are equal. */
static void narrow_words(const krs_regex_store *s, const krs_regex_node *node, uint8_t c,
                         krs_byte_set *bytes)
{
    krs_byte_set first = {{0}};
    for (uint32_t word = first_longer(s, node); word < node->b;) {
        const uint8_t byte = (uint8_t)word_byte(s, word, node->c);
        first.bits[byte / 64] |= 1ull << byte % 64;
        word = lower_bound(s, word, node->b, node->c, byte + 1u);
    }
    if (krs_byte_set_has(&first, c)) {
        first = (krs_byte_set){{0}};
        first.bits[c / 64] |= 1ull << c % 64;
    }
    narrow_set(bytes, &first, c);
}

static void narrow_literal(const krs_regex_store *s, const krs_regex_node *node, uint8_t c,
                           krs_byte_set *bytes)
{
    const uint8_t byte = (uint8_t)*krs_regex_bytes_at(s, node->a);
    krs_byte_set first = {{0}};
    first.bits[byte / 64] = 1ull << byte % 64;
    narrow_set(bytes, &first, c);
}

/* As krs_regex_narrow, for what is made of other regexes. */
static void narrow_parts(krs_regex_store *s, uint32_t r, uint8_t c, krs_byte_set *bytes)
{
    const krs_regex_node node = *krs_regex_at(s, r);
    if (node.kind == KRS_REGEX_KIND_OR || node.kind == KRS_REGEX_KIND_AND) {
        for (uint32_t i = 0; i < node.b; i++) {
            krs_regex_narrow(s, krs_regex_list_at(s, node.a)[i], c, bytes);
        }
        return;
    }
    krs_regex_narrow(s, node.a, c, bytes);
    if (node.kind != KRS_REGEX_KIND_CAT) {
        return; /* NOT, REPEAT */
    }
    uint32_t first = node.a;
    uint32_t rest = node.b;
    while (krs_regex_has(s, first, KRS_REGEX_NULLABLE) && krs_regex_steps(s, 1)) {
        const krs_regex_node *at = krs_regex_at(s, rest);
        const bool is_cat = at->kind == KRS_REGEX_KIND_CAT;
        first = is_cat ? at->a : rest;
        rest = at->b;
        krs_regex_narrow(s, first, c, bytes);
        if (!is_cat) {
            return;
        }
    }
}

void krs_regex_narrow(krs_regex_store *s, uint32_t r, uint8_t c, krs_byte_set *bytes)
{
    const krs_regex_node *node = krs_regex_at(s, r);
    if (!krs_regex_steps(s, 1) || node->kind <= KRS_REGEX_KIND_ANY) {
        return;
    }
    if (node->kind == KRS_REGEX_KIND_SET) {
        narrow_set(bytes, krs_regex_set_at(s, node->a), c);
        return;
    }
    if (node->kind == KRS_REGEX_KIND_LITERAL) {
        narrow_literal(s, node, c, bytes);
        return;
    }
    krs_regex_class *at = &s->classes[krs_mix(r, c) >> 32 & (KRS_REGEX_CLASSES - 1)];
    if (at->regex != r || at->byte != c) {
        krs_byte_set same = {{~0ull, ~0ull, ~0ull, ~0ull}};
        if (node->kind == KRS_REGEX_KIND_WORDS) {
            narrow_words(s, node, c, &same);
        } else {
            narrow_parts(s, r, c, &same);
        }
        if (s->status != KRS_OK) {
            return;
        }
        *at = (krs_regex_class){.regex = r, .byte = c, .same = same};
    }
    narrow_set(bytes, &at->same, c); /* it has c */
}
