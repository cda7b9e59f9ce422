/* text/added.c - see added.h. */
#include "text/added.h"

#define MIN_NODES 64
#define MAX_NODES                                                                                  \
    (64u << 20) /* bytes of all added tokens; a file of 256 MiB cannot pass it by much */

static krs_status new_node(krs_trie *trie, const krs_alloc *alloc, unsigned char byte,
                           uint32_t sibling, uint32_t *out)
{
    if (trie->n == trie->cap) {
        const uint32_t cap = trie->cap < MIN_NODES ? MIN_NODES : 2 * trie->cap;
        if (cap > MAX_NODES) {
            return KRS_ETOOLARGE;
        }
        krs_trie_node *nodes = krs_alloc_resize(alloc, trie->nodes, cap, sizeof(nodes[0]));
        if (!nodes) {
            return KRS_ENOMEM;
        }
        trie->nodes = nodes;
        trie->cap = cap;
    }
    trie->nodes[trie->n] = (krs_trie_node){0, sibling, 0, byte};
    *out = trie->n++;
    return KRS_OK;
}

static uint32_t child_of(const krs_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t child = trie->nodes[node].child;
    while (child != 0 && trie->nodes[child].byte != byte) {
        child = trie->nodes[child].sibling;
    }
    return child;
}

/* The first token wins where two normalise to the same text. */
static krs_status trie_add(krs_trie *trie, const krs_alloc *alloc, krs_str text, uint32_t token)
{
    uint32_t node = 0;
    krs_status status = trie->n == 0 ? new_node(trie, alloc, 0, 0, &node) : KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.ptr[i];
        uint32_t child = child_of(trie, node, byte);
        if (child == 0) {
            status = new_node(trie, alloc, byte, trie->nodes[node].child, &child);
            if (status == KRS_OK) {
                trie->nodes[node].child = child;
            }
        }
        node = child;
    }
    if (status == KRS_OK && text.len > 0 && trie->nodes[node].token == 0) {
        trie->nodes[node].token = token + 1;
        trie->roots[(unsigned char)text.ptr[0]] = child_of(trie, 0, (unsigned char)text.ptr[0]);
        trie->is_empty = false;
    }
    return status;
}

krs_status krs_added_build(krs_added *added, const krs_normalizer *normalizer,
                           krs_pattern_room *room)
{
    krs_buf buffers[2];
    krs_buf_init(&buffers[0], added->alloc, MAX_NODES);
    krs_buf_init(&buffers[1], added->alloc, MAX_NODES);
    added->raw.is_empty = added->normalized.is_empty = true;
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < added->n_tokens; i++) {
        const krs_added_token *token = &added->tokens[i];
        krs_str text = token->text;
        if (token->is_normalized) {
            status = krs_normalizer_apply(normalizer, room, token->text, buffers, &text);
        }
        if (status == KRS_OK) {
            status = trie_add(token->is_normalized ? &added->normalized : &added->raw, added->alloc,
                              text, (uint32_t)i);
        }
    }
    krs_buf_deinit(&buffers[0]);
    krs_buf_deinit(&buffers[1]);
    return status;
}

void krs_added_deinit(krs_added *added)
{
    krs_alloc_free(added->alloc, added->tokens);
    krs_alloc_free(added->alloc, added->raw.nodes);
    krs_alloc_free(added->alloc, added->normalized.nodes);
    *added = (krs_added){.alloc = added->alloc};
}

krs_added_walk krs_added_walk_of(const krs_added *added, krs_str text, bool is_normalized)
{
    return (krs_added_walk){added, is_normalized ? &added->normalized : &added->raw, text, 0, 0};
}

/* Length of the longest token at `at`, its index + 1 to *token; 0 when there is none. */
static size_t longest_at(const krs_trie *trie, krs_str text, size_t at, uint32_t *token)
{
    size_t n_best = 0;
    uint32_t node = trie->roots[(unsigned char)text.ptr[at]];
    for (size_t n = 1; node != 0; n++) {
        if (trie->nodes[node].token != 0) {
            n_best = n;
            *token = trie->nodes[node].token;
        }
        node = n < text.len - at ? child_of(trie, node, (unsigned char)text.ptr[at + n]) : 0;
    }
    return n_best;
}

static size_t char_start_before(krs_str text, size_t end)
{
    do {
        end--;
    } while (end > 0 && ((unsigned char)text.ptr[end] & 0xC0u) == 0x80u);
    return end;
}

static uint32_t char_at(krs_str text, size_t at, size_t *n)
{
    return krs_utf8_decode((krs_str){text.ptr + at, text.len - at}, n);
}

static bool is_lone_word(krs_str text, size_t start, size_t end)
{
    size_t n;
    const bool is_word_before =
        start > 0 && krs_unicode_is_word(char_at(text, char_start_before(text, start), &n));
    return !is_word_before && (end == text.len || !krs_unicode_is_word(char_at(text, end, &n)));
}

/* Widen [*start, *end) over white space, not to the left of floor. */
static void strip_around(const krs_added_token *token, krs_str text, size_t floor, size_t *start,
                         size_t *end)
{
    size_t n;
    while (token->has_lstrip && *start > floor) {
        const size_t before = char_start_before(text, *start);
        if (!krs_unicode_is_space(char_at(text, before, &n))) {
            break;
        }
        *start = before;
    }
    while (token->has_rstrip && *end < text.len && krs_unicode_is_space(char_at(text, *end, &n))) {
        *end += n;
    }
}

/* Find the next token that its flags allow; NULL at the end. */
static const krs_added_token *find(krs_added_walk *walk, size_t *start, size_t *end)
{
    const krs_str text = walk->text;
    while (walk->at < text.len) {
        uint32_t found = 0;
        const size_t n = longest_at(walk->trie, text, walk->at, &found);
        if (n == 0) {
            walk->at++;
            continue;
        }
        *start = walk->at;
        *end = walk->at + n;
        walk->at = *end; /* also past a token that its flags refuse, as the original does */
        const krs_added_token *token = &walk->added->tokens[found - 1];
        if (!token->is_single_word || is_lone_word(text, *start, *end)) {
            return token;
        }
    }
    return NULL;
}

bool krs_added_next(krs_added_walk *walk, krs_added_part *part)
{
    if (walk->done > walk->text.len) {
        return false;
    }
    size_t start = walk->text.len;
    size_t end = start + 1; /* past the end: the walk is over after this part */
    const krs_added_token *token = walk->trie->is_empty ? NULL : find(walk, &start, &end);
    if (token) {
        strip_around(token, walk->text, walk->done, &start, &end);
    } else {
        start = walk->text.len;
        end = start + 1;
    }
    const size_t from = walk->done < start ? walk->done : start; /* rstrip may have passed start */
    *part = (krs_added_part){{walk->text.ptr + from, start - from}, from, token};
    walk->done = end;
    return true;
}
