/* text/pretokenize_split.c - one piece cut by matches, five ways.
 *
 * The matcher yields an alternation of gaps and matches from left to right. What becomes of each is
 * decided at once, with only the piece still open and the kind of the item before:
 *
 *   Removed             gaps only
 *   Isolated            each its own
 *   Contiguous          joins its predecessor if that was of the same kind
 *   MergedWithPrevious  a match joins a gap before it
 *   MergedWithNext      a gap joins a match before it
 *
 * Source: huggingface/tokenizers normalizer.rs, NormalizedString::split. */
#include "text/pretokenize_priv.h"

#include "text/unicode.h"

#define MIN_SPANS  256
#define SCAN_BATCH 64 /* spans, 512 bytes of stack */

typedef struct cutter {
    const krs_pretokenizer_step *step;
    const krs_alloc *alloc;
    krs_spans *out;
    size_t base; /* of the piece in the text */
    size_t open_start;
    size_t open_end;
    bool has_open;
    bool was_match; /* the item before; false at the start, as in the original */
} cutter;

/* Room for n more, n up to MIN_SPANS. */
static krs_status reserve(krs_spans *spans, const krs_alloc *alloc, size_t n)
{
    if (n <= spans->cap - spans->n) {
        return KRS_OK;
    }
    const size_t cap = spans->cap < MIN_SPANS ? MIN_SPANS : 2 * spans->cap;
    krs_span *items = krs_alloc_resize(alloc, spans->items, cap, sizeof(items[0]));
    if (!items) {
        return KRS_ENOMEM;
    }
    spans->items = items;
    spans->cap = cap;
    return KRS_OK;
}

krs_status krs_spans_push(krs_spans *spans, const krs_alloc *alloc, size_t start, size_t end)
{
    if (start == end) {
        return KRS_OK;
    }
    const krs_status status = reserve(spans, alloc, 1);
    if (status == KRS_OK) {
        spans->items[spans->n++] = (krs_span){(uint32_t)start, (uint32_t)end};
    }
    return status;
}

static krs_status close_piece(cutter *c)
{
    const bool was_open = c->has_open;
    c->has_open = false;
    return was_open
               ? krs_spans_push(c->out, c->alloc, c->base + c->open_start, c->base + c->open_end)
               : KRS_OK;
}

static bool joins(const cutter *c, bool is_match)
{
    switch (c->step->behavior) {
    case KRS_SPLIT_CONTIGUOUS:
        return is_match == c->was_match;
    case KRS_SPLIT_MERGED_WITH_PREVIOUS:
        return is_match && !c->was_match;
    case KRS_SPLIT_MERGED_WITH_NEXT:
        return !is_match && c->was_match;
    default:
        return false;
    }
}

/* The next gap or match. */
static krs_status take(cutter *c, size_t start, size_t end, bool is_match)
{
    is_match = is_match != c->step->is_inverted;
    krs_status status = KRS_OK;
    if (c->has_open && joins(c, is_match)) {
        c->open_end = end;
    } else {
        status = close_piece(c);
        c->has_open = !(is_match && c->step->behavior == KRS_SPLIT_REMOVED);
        c->open_start = start;
        c->open_end = end;
    }
    c->was_match = is_match;
    return status;
}

/* A gap (which may be empty) and the match behind it. */
static krs_status take_both(cutter *c, size_t done, size_t start, size_t end)
{
    const krs_status status = done < start ? take(c, done, start, false) : KRS_OK;
    return status == KRS_OK ? take(c, start, end, true) : status;
}

static krs_status cut_by_pattern(cutter *c, krs_pattern_room *room, krs_str s, size_t *done)
{
    krs_pattern_walk walk = krs_pattern_walk_of(c->step->pattern, room, s);
    size_t start;
    size_t end;
    krs_status status;
    while ((status = krs_pattern_next(&walk, &start, &end)) == KRS_OK) {
        status = take_both(c, *done, start, end);
        if (status != KRS_OK) {
            return status;
        }
        *done = end;
    }
    return status == KRS_EEOF ? KRS_OK : status;
}

static krs_status cut_by_character(cutter *c, krs_str s, size_t *done)
{
    krs_status status = KRS_OK;
    for (size_t i = 0, n = 0; status == KRS_OK && i < s.len; i += n) {
        if (c->step->is_match(krs_utf8_decode((krs_str){s.ptr + i, s.len - i}, &n))) {
            status = take_both(c, *done, i, i + n);
            *done = i + n;
        }
    }
    return status;
}

/* Is every match a piece of its own, whatever stands around it? *has_gaps: and is every gap? */
static bool has_lone_matches(const krs_pretokenizer_step *step, bool *has_gaps)
{
    *has_gaps = step->behavior == KRS_SPLIT_ISOLATED;
    return *has_gaps || (step->behavior == KRS_SPLIT_REMOVED && step->is_inverted);
}

/* The matches of a scanner straight into out, a batch at a time: what cutter would come to, without
 * deciding anew for each. */
static krs_status cut_by_scanner(const krs_scan *scan, bool has_gaps, const krs_alloc *alloc,
                                 krs_str text, krs_span span, krs_spans *out)
{
    const krs_str head = {text.ptr, span.end}; /* so that matches count from the start of text */
    krs_status status = KRS_OK;
    size_t at = span.start;
    size_t done = span.start;
    for (bool is_over = false; status == KRS_OK && !is_over;) {
        krs_span batch[SCAN_BATCH];
        const size_t n = krs_scan_fill(scan, head, &at, batch, SCAN_BATCH);
        for (size_t i = 0; status == KRS_OK && i < n; i++) {
            if (has_gaps) {
                status = krs_spans_push(out, alloc, done, batch[i].start);
            }
            if (status == KRS_OK) {
                status = krs_spans_push(out, alloc, batch[i].start, batch[i].end);
            }
            done = batch[i].end;
        }
        is_over = n < SCAN_BATCH;
    }
    return status == KRS_OK && has_gaps ? krs_spans_push(out, alloc, done, span.end) : status;
}

krs_status krs_split_piece(const krs_pretokenizer_step *step, krs_pattern_room *room,
                           const krs_pieces *pieces, krs_span span, krs_spans *out)
{
    const krs_scan *scan = step->pattern ? krs_pattern_scan(step->pattern) : NULL;
    bool has_gaps;
    if (scan && has_lone_matches(step, &has_gaps)) {
        return cut_by_scanner(scan, has_gaps, pieces->alloc, pieces->text, span, out);
    }
    const krs_str s = {pieces->text.ptr + span.start, span.end - span.start};
    cutter c = {.step = step, .alloc = pieces->alloc, .out = out, .base = span.start};
    size_t done = 0;
    krs_status status =
        step->pattern ? cut_by_pattern(&c, room, s, &done) : cut_by_character(&c, s, &done);
    if (status == KRS_OK && done < s.len) {
        status = take(&c, done, s.len, false);
    }
    return status == KRS_OK ? close_piece(&c) : status;
}
