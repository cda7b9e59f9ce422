/* text/wordpiece.c - see wordpiece.h. One tree serves both kinds of token: those that go on begin at the
 * node where the prefix ends. */
#include "text/wordpiece.h"

#include "text/bytetree.h"

struct krs_wordpiece {
    const krs_alloc *alloc;
    const krs_vocab *vocab;
    krs_wordpiece_options options; /* without the prefix */
    krs_bytetree tree;             /* empty with is_whole */
    uint32_t inner;                /* the node behind the prefix; the root: the prefix is empty */
    bool has_inner;                /* false: no token begins with the prefix */
};

typedef struct scratch {
    const krs_alloc *alloc;
    uint64_t n_steps;
} scratch;

static void *scratch_new(const void *self, const krs_alloc *alloc)
{
    (void)self;
    scratch *s = krs_alloc_zero(alloc, sizeof(*s));
    if (s) {
        s->alloc = alloc;
    }
    return s;
}

static void scratch_free(void *ptr)
{
    scratch *s = ptr;
    if (s) {
        krs_alloc_free(s->alloc, s);
    }
}

uint64_t krs_wordpiece_n_steps(const void *ptr)
{
    return ((const scratch *)ptr)->n_steps;
}

/* Bytes of the longest token below `node` that rest begins with, its id to *id; 0: none. */
static size_t longest(const krs_wordpiece *w, scratch *s, uint32_t node, krs_str rest, uint32_t *id)
{
    size_t n_best = 0;
    for (size_t n = 0; n < rest.len; n++) {
        s->n_steps++;
        node = krs_bytetree_step(&w->tree, node, (unsigned char)rest.ptr[n]);
        if (node == KRS_BYTETREE_NONE) {
            break;
        }
        if (w->tree.nodes[node].id != KRS_BYTETREE_NO_ID) {
            n_best = n + 1;
            *id = w->tree.nodes[node].id;
        }
    }
    return n_best;
}

static bool has_too_many_chars(krs_str word, uint32_t max_chars)
{
    size_t n = 0;
    for (size_t i = 0; i < word.len && n <= max_chars; i++) {
        n += ((unsigned char)word.ptr[i] & 0xC0u) != 0x80u;
    }
    return n > max_chars;
}

/* The word's parts; *is_known: they reach its end. On false what was pushed is taken back. */
static krs_status cut(const krs_wordpiece *w, scratch *s, krs_str word, krs_idlist *out,
                      bool *is_known)
{
    const size_t before = out->n;
    krs_status status = KRS_OK;
    size_t at = 0;
    *is_known = !has_too_many_chars(word, w->options.max_chars);
    while (status == KRS_OK && *is_known && at < word.len) {
        uint32_t id = 0;
        const krs_str rest = {word.ptr + at, word.len - at};
        const size_t n =
            at == 0 || w->has_inner ? longest(w, s, at > 0 ? w->inner : 0, rest, &id) : 0;
        *is_known = n > 0;
        if (n > 0) {
            status = krs_idlist_push(out, id);
            at += n;
        }
    }
    if (!*is_known) {
        out->n = before;
    }
    return status;
}

static krs_status encode(const void *self, void *ptr, krs_str piece, krs_idlist *out,
                         krs_error *err)
{
    const krs_wordpiece *w = self;
    bool is_known = false;
    krs_status status = KRS_OK;
    if (w->options.is_whole) {
        const int64_t id = krs_vocab_find(w->vocab, piece);
        is_known = id >= 0;
        status = is_known ? krs_idlist_push(out, (uint32_t)id) : KRS_OK;
    } else {
        status = cut(w, ptr, piece, out, &is_known);
    }
    if (status != KRS_OK || is_known) {
        return status;
    }
    if (w->options.unk_id < 0) {
        return krs_fail(err, KRS_EINVAL,
                        "text: \"%.*s\" has no token, and the tokenizer no unknown token",
                        KRS_STR_ARGS(piece));
    }
    return krs_idlist_push(out, (uint32_t)w->options.unk_id);
}

static void find_inner(krs_wordpiece *w, krs_str prefix)
{
    w->has_inner = true;
    for (size_t i = 0; w->has_inner && i < prefix.len; i++) {
        w->inner = krs_bytetree_step(&w->tree, w->inner, (unsigned char)prefix.ptr[i]);
        w->has_inner = w->inner != KRS_BYTETREE_NONE;
    }
}

krs_status krs_wordpiece_new(const krs_vocab *vocab, const krs_wordpiece_options *options,
                             const krs_alloc *alloc, krs_wordpiece **out, krs_error *err)
{
    *out = NULL;
    krs_wordpiece *w = krs_alloc_zero(alloc, sizeof(*w));
    if (!w) {
        return krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory");
    }
    *w = (krs_wordpiece){.alloc = alloc, .vocab = vocab, .options = *options};
    w->tree.alloc = alloc;
    w->options.prefix = (krs_str){NULL, 0};
    if (!options->is_whole) {
        const krs_status status = krs_bytetree_init(&w->tree, vocab, alloc, err);
        if (status != KRS_OK) {
            krs_wordpiece_free(w);
            return status;
        }
        find_inner(w, options->prefix);
    }
    *out = w;
    return KRS_OK;
}

void krs_wordpiece_free(krs_wordpiece *w)
{
    if (w) {
        krs_bytetree_deinit(&w->tree);
        krs_alloc_free(w->alloc, w);
    }
}

static void free_self(void *self)
{
    krs_wordpiece_free(self);
}

krs_text_model krs_wordpiece_seal(krs_wordpiece *wordpiece)
{
    static const krs_text_model_ops ops = {free_self, scratch_new, scratch_free, encode, NULL};
    return (krs_text_model){&ops, wordpiece};
}
