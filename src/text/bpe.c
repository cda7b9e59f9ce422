/* text/bpe.c - encoding pieces: the word cache, seams, first symbols, and the model interface.
 *
 *   piece --in the cache?--> ids
 *     no: cut at its seams (bpe_seam.h) --> parts, each --in the cache?--> ids
 *           no: a token as it is? (ignore_merges) first symbols, merges (bpe_merge.c) --> ids, cached
 *
 * The first question is all that nine pieces of ten of natural text ever see, so it is kept free of calls
 * and of branches on the length. */
#include "text/bpe_priv.h"

#include "text/bpe_cache.h"
#include "text/bytelevel.h"
#include "text/unicode.h"

typedef struct scratch {
    const krs_alloc *alloc;
    krs_bpe_room room;
    krs_idlist symbols;
    krs_buf spelled; /* a byte-level piece in its alphabet, for whole-word look-up */
    krs_bpe_cache cache;
} scratch;

static void scratch_free(void *ptr)
{
    scratch *s = ptr;
    if (s) {
        krs_bpe_room_deinit(&s->room);
        krs_idlist_deinit(&s->symbols);
        krs_buf_deinit(&s->spelled);
        krs_bpe_cache_deinit(&s->cache, s->alloc);
        krs_alloc_free(s->alloc, s);
    }
}

static void *scratch_new(const void *self, const krs_alloc *alloc)
{
    (void)self;
    scratch *s = krs_alloc_zero(alloc, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->alloc = alloc;
    s->room.alloc = alloc;
    krs_idlist_init(&s->symbols, alloc, KRS_BPE_MAX_WORD_BYTES);
    krs_buf_init(&s->spelled, alloc, 2 * (size_t)KRS_BPE_MAX_WORD_BYTES);
    if (krs_bpe_cache_init(&s->cache, alloc) != KRS_OK) {
        scratch_free(s);
        return NULL;
    }
    return s;
}

/* The run of unknown characters not yet written: the Rust library writes it only when the next known
 * character (not byte) comes, so that order is kept here too. */
typedef struct unknown {
    bool is_open;
} unknown;

static krs_status close_unknown(const krs_bpe *bpe, unknown *u, krs_idlist *out)
{
    if (!u->is_open) {
        return KRS_OK;
    }
    u->is_open = false;
    return krs_idlist_push(out, (uint32_t)bpe->options.unk_id);
}

static krs_status open_unknown(const krs_bpe *bpe, unknown *u, krs_str what, krs_idlist *out,
                               krs_error *err)
{
    if (bpe->options.unk_id < 0) {
        return krs_fail(err, KRS_EINVAL,
                        "text: \"%.*s\" has no token, and the tokenizer no unknown token",
                        KRS_STR_ARGS(what));
    }
    if (u->is_open && bpe->options.has_fused_unk) {
        return KRS_OK;
    }
    const krs_status status = close_unknown(bpe, u, out);
    u->is_open = true;
    return status;
}

static bool can_fall_back(const krs_bpe *bpe, krs_str c)
{
    if (!bpe->options.has_byte_fallback || bpe->options.is_byte_level) {
        return false;
    }
    for (size_t i = 0; i < c.len; i++) {
        if (bpe->byte_ids[(unsigned char)c.ptr[i]] < 0) {
            return false;
        }
    }
    return true;
}

/* One symbol that has an id (>= 0), or the next best thing for c. */
static krs_status add_symbol(const krs_bpe *bpe, int64_t id, krs_str c, unknown *u, krs_idlist *out,
                             krs_error *err)
{
    if (id >= 0) {
        const krs_status status = close_unknown(bpe, u, out);
        return status == KRS_OK ? krs_idlist_push(out, (uint32_t)id) : status;
    }
    if (!can_fall_back(bpe, c)) {
        return open_unknown(bpe, u, c, out, err);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < c.len; i++) {
        status = krs_idlist_push(out, (uint32_t)bpe->byte_ids[(unsigned char)c.ptr[i]]);
    }
    return status;
}

/* The symbol c with the marks of its place, which become *c. */
static krs_status mark(const krs_bpe *bpe, krs_buf *spelled, bool is_first, bool is_last,
                       krs_str *c)
{
    krs_buf_reset(spelled);
    krs_status status =
        is_first ? KRS_OK : krs_buf_append_str(spelled, bpe->options.continuing_prefix);
    if (status == KRS_OK) {
        status = krs_buf_append_str(spelled, *c);
    }
    if (status == KRS_OK && is_last) {
        status = krs_buf_append_str(spelled, bpe->options.word_suffix);
    }
    *c = krs_buf_view(spelled);
    return status;
}

/* The first n bytes of rest as a symbol: its text with marks to *c, its id or -1 to *id. */
static krs_status look_up(const krs_bpe *bpe, scratch *s, bool is_first, krs_str rest, size_t n,
                          krs_str *c, int64_t *id)
{
    *c = (krs_str){rest.ptr, n};
    *id = -1;
    if (bpe->options.is_byte_level) {
        *id = bpe->byte_ids[(unsigned char)rest.ptr[0]];
        return KRS_OK;
    }
    if (krs_bpe_has_affixes(bpe)) {
        const krs_status status = mark(bpe, &s->spelled, is_first, n == rest.len, c);
        if (status != KRS_OK) {
            return status;
        }
    }
    *id = krs_vocab_find(bpe->vocab, *c);
    return KRS_OK;
}

/* The word's symbols before any merge, to s->symbols. */
static krs_status first_symbols(const krs_bpe *bpe, scratch *s, krs_str word, krs_error *err)
{
    s->symbols.n = 0;
    krs_status status = krs_idlist_reserve(&s->symbols, word.len);
    unknown u = {false};
    for (size_t i = 0, n = 1; status == KRS_OK && i < word.len; i += n) {
        const krs_str rest = {word.ptr + i, word.len - i};
        krs_str c;
        int64_t id;
        if (!bpe->options.is_byte_level) {
            (void)krs_utf8_decode(rest, &n);
        }
        status = look_up(bpe, s, i == 0, rest, n, &c, &id);
        if (status == KRS_OK) {
            status = add_symbol(bpe, id, c, &u, &s->symbols, err);
        }
    }
    return status == KRS_OK ? close_unknown(bpe, &u, &s->symbols) : status;
}

/* The piece as one token, or -1. */
static int64_t whole_word(const krs_bpe *bpe, scratch *s, krs_str word)
{
    if (!bpe->options.is_byte_level) {
        return krs_vocab_find(bpe->vocab, word);
    }
    krs_buf_reset(&s->spelled);
    if (krs_buf_reserve(&s->spelled, 2 * word.len) != KRS_OK) {
        return -1;
    }
    for (size_t i = 0; i < word.len; i++) {
        s->spelled.len += krs_utf8_encode(krs_bytelevel_char((unsigned char)word.ptr[i]),
                                          s->spelled.data + s->spelled.len);
    }
    return krs_vocab_find(bpe->vocab, krs_buf_view(&s->spelled));
}

/* A word that no cache has. is_part: of a longer piece, so that being a token does not count. */
static krs_status encode_new(const krs_bpe *bpe, scratch *s, krs_str word, bool is_part,
                             krs_idlist *out, krs_error *err)
{
    const bool may_be_token = bpe->options.is_whole_word_ok && !is_part;
    const int64_t id = may_be_token ? whole_word(bpe, s, word) : -1;
    if (id >= 0) {
        return krs_idlist_push(out, (uint32_t)id);
    }
    krs_status status = first_symbols(bpe, s, word, err);
    if (status == KRS_OK) {
        status = krs_bpe_merge(bpe, &s->room, s->symbols.ids, &s->symbols.n);
    }
    return status == KRS_OK ? krs_idlist_append(out, s->symbols.ids, s->symbols.n) : status;
}

/* Do a part and a whole piece of the same bytes have ids of their own? */
static inline bool is_kept_apart(const krs_bpe *bpe, bool is_part)
{
    return is_part && bpe->options.is_whole_word_ok;
}

/* A word without seams that is not among the short ones. */
static krs_status encode_long(const krs_bpe *bpe, scratch *s, krs_str word, bool is_part,
                              krs_idlist *out, krs_error *err)
{
    uint64_t hash;
    bool is_there;
    krs_bpe_long_word *line =
        krs_bpe_cache_long(&s->cache, word, is_kept_apart(bpe, is_part), &hash, &is_there);
    if (is_there) {
        return krs_idlist_append(out, line->ids, line->n_ids);
    }
    const size_t before = out->n;
    const krs_status status = encode_new(bpe, s, word, is_part, out, err);
    const size_t n = out->n - before;
    const bool is_short = word.len <= KRS_BPE_WORD_BYTES && n <= KRS_BPE_WORD_IDS;
    if (status == KRS_OK && line && !is_short && n > 0 && n <= KRS_BPE_LONG_WORD_IDS) {
        krs_bpe_cache_keep_long(line, word, hash, out->ids + before, n);
    }
    return status;
}

static krs_status encode_parts(const krs_bpe *bpe, scratch *s, krs_str word, krs_idlist *out,
                               krs_error *err);

/* A word of up to KRS_BPE_WORD_BYTES, a piece or a part of one. n_readable: bytes from its start on that
 * may be read. */
static inline krs_status encode_short(const krs_bpe *bpe, scratch *s, krs_str word,
                                      size_t n_readable, bool is_part, krs_idlist *out,
                                      krs_error *err)
{
    const krs_bpe_key key =
        krs_bpe_key_of(word.ptr, word.len, n_readable, is_kept_apart(bpe, is_part));
    krs_bpe_word *set = krs_bpe_cache_set(&s->cache, key);
    const krs_bpe_word *known = krs_bpe_cache_find(set, key);
    if (known) {
        return krs_bpe_word_append(known, out);
    }
    const size_t before = out->n;
    const krs_status status =
        is_part ? encode_long(bpe, s, word, true, out, err) : encode_parts(bpe, s, word, out, err);
    const size_t n = out->n - before;
    if (status == KRS_OK && n > 0 && n <= KRS_BPE_WORD_IDS) {
        krs_bpe_cache_keep(set, key, out->ids + before, n);
    }
    return status;
}

/* A piece that is not in the cache of short ones, seam by seam. */
static krs_status encode_parts(const krs_bpe *bpe, scratch *s, krs_str word, krs_idlist *out,
                               krs_error *err)
{
    const size_t first = krs_bpe_seams_next(&bpe->seams, word);
    if (first == word.len) {
        return encode_long(bpe, s, word, false, out, err);
    }
    krs_status status = KRS_OK;
    for (size_t n = first; status == KRS_OK && word.len > 0;) {
        const krs_str part = {word.ptr, n};
        status = n <= KRS_BPE_WORD_BYTES ? encode_short(bpe, s, part, word.len, true, out, err)
                                         : encode_long(bpe, s, part, true, out, err);
        word = (krs_str){word.ptr + n, word.len - n};
        n = krs_bpe_seams_next(&bpe->seams, word);
    }
    return status;
}

/* n_readable: as in encode_short. */
static inline krs_status encode_word(const krs_bpe *bpe, scratch *s, krs_str word,
                                     size_t n_readable, krs_idlist *out, krs_error *err)
{
    if (word.len <= KRS_BPE_WORD_BYTES) {
        return encode_short(bpe, s, word, n_readable, false, out, err);
    }
    if (word.len > KRS_BPE_MAX_WORD_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "text: one word of %zu bytes, limit %u", word.len,
                        KRS_BPE_MAX_WORD_BYTES);
    }
    return encode_parts(bpe, s, word, out, err);
}

/* End of the first part of text that no merge can leave: before a U+2581 that follows another
 * character. */
static size_t part_end(krs_str text)
{
    const krs_str space = KRS_STR("\xE2\x96\x81");
    size_t at = 0;
    while (krs_str_starts_with((krs_str){text.ptr + at, text.len - at}, space)) {
        at += space.len;
    }
    const size_t end = krs_str_find(text, space, at);
    return end == SIZE_MAX ? text.len : end;
}

static krs_status encode_spaced(const krs_bpe *bpe, scratch *s, krs_str text, krs_idlist *out,
                                krs_error *err)
{
    krs_status status = KRS_OK;
    while (status == KRS_OK && text.len > 0) {
        const size_t n = part_end(text);
        status = encode_word(bpe, s, (krs_str){text.ptr, n}, text.len, out, err);
        text = (krs_str){text.ptr + n, text.len - n};
    }
    return status;
}

static krs_status encode_pieces(const void *self, void *ptr, krs_str text, const krs_span *pieces,
                                size_t n, krs_idlist *out, krs_error *err)
{
    const krs_bpe *bpe = self;
    scratch *s = ptr;
    const bool is_spaced = bpe->can_split && !bpe->options.is_whole_word_ok;
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        const krs_str piece = {text.ptr + pieces[i].start, pieces[i].end - pieces[i].start};
        status = is_spaced ? encode_spaced(bpe, s, piece, out, err)
                           : encode_word(bpe, s, piece, text.len - pieces[i].start, out, err);
    }
    return status;
}

static krs_status encode(const void *self, void *ptr, krs_str piece, krs_idlist *out,
                         krs_error *err)
{
    const krs_span all = {0, (uint32_t)piece.len};
    return encode_pieces(self, ptr, piece, &all, 1, out, err);
}

static void free_self(void *self)
{
    krs_bpe_free(self);
}

krs_text_model krs_bpe_seal(krs_bpe *bpe)
{
    static const krs_text_model_ops ops = {free_self, scratch_new, scratch_free, encode,
                                           encode_pieces};
    krs_buf_deinit(&bpe->joined);
    return (krs_text_model){&ops, bpe};
}
