/* text/bytetree.c - see bytetree.h.
 *
 * Sorted texts with a common prefix are neighbours, so a node is a range of them and a depth. Nodes are
 * made in order of depth: each one's range is cut by the next byte, and the parts become its children. */
#include "text/bytetree.h"

#include "base/checked.h"

#include <stdlib.h>

/* What a node is while the tree is built. */
typedef struct range {
    uint32_t first; /* of the sorted texts */
    uint32_t end;
    uint32_t depth;
} range;

typedef struct builder {
    krs_bytetree *tree;
    const krs_vocab *vocab;
    krs_str *texts; /* [n_texts] sorted, not empty */
    size_t n_texts;
    range *ranges; /* [n_nodes] */
    uint32_t n_made;
} builder;

static int compare(const void *a, const void *b)
{
    const krs_str *left = a;
    const krs_str *right = b;
    const size_t n = left->len < right->len ? left->len : right->len;
    const int order = memcmp(left->ptr, right->ptr, n);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

static krs_status collect(builder *b, krs_error *err)
{
    b->texts = krs_alloc_array(b->tree->alloc, b->vocab->n_ids, sizeof(b->texts[0]));
    if (!b->texts) {
        return krs_fail(err, KRS_ENOMEM, "vocab: out of memory for %u tokens", b->vocab->n_ids);
    }
    for (uint32_t id = 0; id < b->vocab->n_ids; id++) {
        const krs_str text = krs_vocab_text(b->vocab, id);
        if (text.len > KRS_BYTETREE_MAX_TEXT_BYTES) {
            return krs_fail(err, KRS_ETOOLARGE, "vocab: token %u of %zu bytes, limit %u", id,
                            text.len, KRS_BYTETREE_MAX_TEXT_BYTES);
        }
        if (text.len > 0) {
            b->texts[b->n_texts++] = text;
        }
    }
    qsort(b->texts, b->n_texts, sizeof(b->texts[0]), compare);
    return KRS_OK;
}

static size_t common_prefix(krs_str a, krs_str b)
{
    size_t n = 0;
    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n]) {
        n++;
    }
    return n;
}

/* Each text adds the nodes its predecessor does not have. */
static size_t count_nodes(const builder *b)
{
    size_t n = 1;
    for (size_t i = 0; i < b->n_texts; i++) {
        n += b->texts[i].len - (i > 0 ? common_prefix(b->texts[i - 1], b->texts[i]) : 0);
    }
    return n; /* at most the file's bytes */
}

static krs_status take_memory(builder *b, krs_error *err)
{
    krs_bytetree *tree = b->tree;
    const size_t n = count_nodes(b);
    if (n > UINT32_MAX) {
        return krs_fail(err, KRS_ETOOLARGE, "vocab: %zu bytes of tokens", n);
    }
    tree->nodes = krs_alloc_array(tree->alloc, n, sizeof(tree->nodes[0]));
    tree->labels = krs_alloc_bytes(tree->alloc, n);
    b->ranges = krs_alloc_array(tree->alloc, n, sizeof(b->ranges[0]));
    if (!tree->nodes || !tree->labels || !b->ranges) {
        return krs_fail(err, KRS_ENOMEM, "vocab: out of memory for %zu prefixes", n);
    }
    tree->n_nodes = (uint32_t)n;
    return KRS_OK;
}

/* Make the children of a node, or note the text that ends there. */
static void grow(builder *b, uint32_t node)
{
    krs_bytetree_node *out = &b->tree->nodes[node];
    range r = b->ranges[node];
    *out = (krs_bytetree_node){KRS_BYTETREE_NO_ID, b->n_made, 0};
    while (r.first < r.end && b->texts[r.first].len == r.depth) { /* more than one: said twice */
        out->id = (uint32_t)krs_vocab_find(b->vocab, b->texts[r.first]);
        r.first++;
    }
    while (r.first < r.end) {
        const char label = b->texts[r.first].ptr[r.depth];
        uint32_t end = r.first + 1;
        while (end < r.end && b->texts[end].ptr[r.depth] == label) {
            end++;
        }
        b->tree->labels[b->n_made] = (unsigned char)label;
        b->ranges[b->n_made] = (range){r.first, end, r.depth + 1};
        b->n_made++;
        out->n_child++;
        r.first = end;
    }
}

static void build(builder *b)
{
    krs_bytetree *tree = b->tree;
    b->ranges[0] = (range){0, (uint32_t)b->n_texts, 0};
    b->n_made = 1;
    for (uint32_t node = 0; node < b->n_made; node++) {
        grow(b, node);
    }
    for (uint32_t i = 0; i < tree->nodes[0].n_child; i++) {
        const uint32_t child = tree->nodes[0].child + i;
        tree->roots[tree->labels[child]] = child;
    }
}

krs_status krs_bytetree_init(krs_bytetree *tree, const krs_vocab *vocab, const krs_alloc *alloc,
                             krs_error *err)
{
    *tree = (krs_bytetree){.alloc = alloc};
    builder b = {.tree = tree, .vocab = vocab};
    krs_status status = collect(&b, err);
    if (status == KRS_OK) {
        status = take_memory(&b, err);
    }
    if (status == KRS_OK) {
        build(&b);
    } else {
        krs_bytetree_deinit(tree);
    }
    krs_alloc_free(alloc, b.texts);
    krs_alloc_free(alloc, b.ranges);
    return status;
}

void krs_bytetree_deinit(krs_bytetree *tree)
{
    krs_alloc_free(tree->alloc, tree->nodes);
    krs_alloc_free(tree->alloc, tree->labels);
    *tree = (krs_bytetree){.alloc = tree->alloc};
}
