/* grammar/pattern_parse.c - the syntax of ECMA-262 patterns: alternatives, terms, quantifiers, groups.
 *
 * As engines do without the flag u, a brace that begins no quantifier is a character, and so is a lonely `]`;
 * characters are code points, as with it. */
#include "grammar/pattern_priv.h"

#include "base/utf8.h"

#define MAX_COUNT 1000000u /* of {m,n}; JSON Schema's own limits are what bound lengths */

void krs_pattern_refuse(krs_pattern_reader *reader, const char *what)
{
    if (reader->status == KRS_OK) {
        reader->status =
            krs_fail(reader->err, KRS_EINVAL, "pattern: %s (character %zu)", what, reader->at);
    }
}

static void no_memory(krs_pattern_reader *reader)
{
    if (reader->status == KRS_OK) {
        reader->status = krs_fail(reader->err, KRS_ENOMEM, "pattern: out of memory");
    }
}

uint32_t krs_pattern_peek(const krs_pattern_reader *reader)
{
    size_t n;
    return reader->left.len == 0 || reader->status != KRS_OK ? UINT32_MAX
                                                             : krs_chars_decode(reader->left, &n);
}

uint32_t krs_pattern_read(krs_pattern_reader *reader)
{
    if (reader->left.len == 0 || reader->status != KRS_OK) {
        return UINT32_MAX;
    }
    if (krs_utf8_length(reader->left.ptr, reader->left.len) == 0) {
        krs_pattern_refuse(reader, "is not UTF-8");
        return UINT32_MAX;
    }
    size_t n;
    const uint32_t c = krs_chars_decode(reader->left, &n);
    reader->left = (krs_str){reader->left.ptr + n, reader->left.len - n};
    reader->at++;
    return c;
}

bool krs_pattern_skip(krs_pattern_reader *reader, uint32_t c)
{
    if (krs_pattern_peek(reader) != c) {
        return false;
    }
    (void)krs_pattern_read(reader);
    return true;
}

static bool skip_text(krs_pattern_reader *reader, const char *text)
{
    const krs_str wanted = krs_str_of(text);
    if (reader->status != KRS_OK || !krs_str_starts_with(reader->left, wanted)) {
        return false;
    }
    reader->left.ptr += wanted.len;
    reader->left.len -= wanted.len;
    reader->at += wanted.len;
    return true;
}

void krs_pattern_add(krs_pattern_reader *reader, krs_charset *set, uint32_t first, uint32_t last)
{
    krs_status status = krs_charset_add(set, reader->arena, first, last);
    for (int shift = 0; reader->is_case_folded && shift < 2 && status == KRS_OK; shift++) {
        const uint32_t low = shift ? 'a' : 'A'; /* of the letters that have another case 32 off */
        const uint32_t from = first > low ? first : low;
        const uint32_t to = last < low + 25 ? last : low + 25;
        if (from <= to) {
            const uint32_t off = shift ? (uint32_t)-32 : 32;
            status = krs_charset_add(set, reader->arena, from + off, to + off);
        }
    }
    if (status != KRS_OK) {
        no_memory(reader);
    }
}

static krs_pattern_node *node_new(krs_pattern_reader *reader, krs_pattern_kind kind)
{
    static const bool pure[] = {
        [KRS_PATTERN_EMPTY] = true, [KRS_PATTERN_SET] = true,    [KRS_PATTERN_CAT] = true,
        [KRS_PATTERN_ALT] = true,   [KRS_PATTERN_REPEAT] = true, [KRS_PATTERN_START] = false,
        [KRS_PATTERN_END] = false,  [KRS_PATTERN_AHEAD] = false,
    };
    krs_pattern_node *node =
        reader->status == KRS_OK ? krs_arena_bytes(reader->arena, sizeof(*node)) : NULL;
    if (!node) {
        no_memory(reader);
        return NULL;
    }
    node->kind = kind;
    node->at = reader->at;
    node->is_pure = pure[kind];
    return node;
}

static krs_pattern_node *read_alternatives(krs_pattern_reader *reader);

static void finish_group(krs_pattern_reader *reader)
{
    if (!krs_pattern_skip(reader, ')')) {
        krs_pattern_refuse(reader, "a group is not closed");
    }
    reader->n_open--;
}

static void skip_group_name(krs_pattern_reader *reader)
{
    uint32_t c;
    do {
        c = krs_pattern_read(reader);
    } while (c != '>' && c != UINT32_MAX);
    if (c == UINT32_MAX) {
        krs_pattern_refuse(reader, "a group's name is not closed");
    }
}

/* After (?= or (?!. */
static krs_pattern_node *read_ahead(krs_pattern_reader *reader, bool is_not)
{
    krs_pattern_node *ahead = node_new(reader, KRS_PATTERN_AHEAD);
    krs_pattern_node *inner = read_alternatives(reader);
    finish_group(reader);
    if (!ahead || !inner) {
        return NULL;
    }
    ahead->is_negated = is_not;
    ahead->child = inner;
    return ahead;
}

/* After '(': what kind of group is it? Lookaheads are read elsewhere. */
static void read_group_kind(krs_pattern_reader *reader)
{
    if (skip_text(reader, "?<=") || skip_text(reader, "?<!")) {
        krs_pattern_refuse(reader, "a lookbehind is not supported");
    } else if (skip_text(reader, "?<") || skip_text(reader, "?P<")) {
        skip_group_name(reader);
    } else if (!skip_text(reader, "?:") && krs_pattern_peek(reader) == '?') {
        krs_pattern_refuse(reader, "this kind of group is not supported");
    }
}

/* After '('. */
static krs_pattern_node *read_group(krs_pattern_reader *reader)
{
    if (++reader->n_open > KRS_GRAMMAR_PATTERN_MAX_DEPTH) {
        krs_pattern_refuse(reader, "groups nest deeper than 250");
        return NULL;
    }
    if (skip_text(reader, "?!")) {
        return read_ahead(reader, true);
    }
    if (skip_text(reader, "?=")) {
        return read_ahead(reader, false);
    }
    read_group_kind(reader);
    krs_pattern_node *inner = reader->status == KRS_OK ? read_alternatives(reader) : NULL;
    finish_group(reader);
    return reader->status == KRS_OK ? inner : NULL;
}

static void add_dot(krs_pattern_reader *reader, krs_charset *set)
{
    if (reader->is_dot_all) {
        krs_pattern_add(reader, set, 0, KRS_CHARS_MAX);
        return;
    }
    krs_pattern_add(reader, set, 0, '\n' - 1);
    krs_pattern_add(reader, set, '\n' + 1, '\r' - 1);
    krs_pattern_add(reader, set, '\r' + 1, 0x2027);
    krs_pattern_add(reader, set, 0x202A, KRS_CHARS_MAX);
}

/* A term that is one character. */
static krs_pattern_node *read_set(krs_pattern_reader *reader, uint32_t c)
{
    krs_pattern_node *node = node_new(reader, KRS_PATTERN_SET);
    if (!node) {
        return NULL;
    }
    if (c == '.') {
        add_dot(reader, &node->set);
    } else if (c == '[') {
        krs_pattern_read_class(reader, &node->set);
    } else if (c == '\\') {
        uint32_t one;
        krs_pattern_read_escape(reader, false, &node->set, &one);
    } else {
        krs_pattern_add(reader, &node->set, c, c);
    }
    krs_charset_tidy(&node->set);
    return reader->status == KRS_OK ? node : NULL;
}

static krs_pattern_node *read_term(krs_pattern_reader *reader)
{
    const uint32_t c = krs_pattern_read(reader);
    switch (c) {
    case '^':
        return node_new(reader, KRS_PATTERN_START);
    case '$':
        return node_new(reader, KRS_PATTERN_END);
    case '(':
        return read_group(reader);
    case '*':
    case '+':
    case '?':
        krs_pattern_refuse(reader, "a quantifier has nothing to repeat");
        return NULL;
    case UINT32_MAX:
        return NULL;
    default:
        return read_set(reader, c);
    }
}

/* A number at *s; false when there is none. Numbers beyond MAX_COUNT stay there. */
static bool take_count(krs_str *s, uint32_t *count)
{
    size_t n = 0;
    *count = 0;
    for (; n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++) {
        const uint32_t more = *count * 10 + (uint32_t)(s->ptr[n] - '0');
        *count = more > MAX_COUNT ? MAX_COUNT + 1 : more;
    }
    *s = (krs_str){s->ptr + n, s->len - n};
    return n > 0;
}

/* The inside of {m}, {m,} or {m,n}, at *s, with the closing brace. */
static bool take_counts(krs_str *s, uint32_t *min, uint32_t *max)
{
    if (!take_count(s, min)) {
        return false;
    }
    *max = *min;
    if (s->len > 0 && s->ptr[0] == ',') {
        *s = (krs_str){s->ptr + 1, s->len - 1};
        if (!take_count(s, max)) {
            *max = KRS_REGEX_INF;
        }
    }
    if (s->len == 0 || s->ptr[0] != '}') {
        return false;
    }
    *s = (krs_str){s->ptr + 1, s->len - 1};
    return true;
}

/* A quantifier in braces at the reader's place, as a whole or not at all. */
static bool read_braces(krs_pattern_reader *reader, uint32_t *min, uint32_t *max)
{
    krs_str s = reader->left;
    if (s.len == 0 || s.ptr[0] != '{') {
        return false;
    }
    s = (krs_str){s.ptr + 1, s.len - 1};
    if (!take_counts(&s, min, max)) {
        return false;
    }
    reader->at += reader->left.len - s.len;
    reader->left = s;
    if (*min > MAX_COUNT || (*max > MAX_COUNT && *max != KRS_REGEX_INF)) {
        krs_pattern_refuse(reader, "a quantifier counts beyond 1000000");
    } else if (*min > *max) {
        krs_pattern_refuse(reader, "a quantifier's numbers are out of order");
    }
    return true;
}

static bool read_quantifier(krs_pattern_reader *reader, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = KRS_REGEX_INF;
    if (krs_pattern_skip(reader, '*')) {
        return true;
    }
    if (krs_pattern_skip(reader, '+')) {
        *min = 1;
        return true;
    }
    if (krs_pattern_skip(reader, '?')) {
        *max = 1;
        return true;
    }
    return reader->status == KRS_OK && read_braces(reader, min, max);
}

/* A term with its quantifier. */
static krs_pattern_node *read_piece(krs_pattern_reader *reader)
{
    krs_pattern_node *term = read_term(reader);
    uint32_t min;
    uint32_t max;
    if (!term || !read_quantifier(reader, &min, &max)) {
        return term;
    }
    (void)krs_pattern_skip(reader, '?'); /* lazy: the same texts match */
    if (krs_pattern_peek(reader) == '+' || krs_pattern_peek(reader) == '*') {
        krs_pattern_refuse(reader, "a quantifier has nothing to repeat");
    }
    krs_pattern_node *repeat = node_new(reader, KRS_PATTERN_REPEAT);
    if (!repeat) {
        return NULL;
    }
    repeat->min = min;
    repeat->max = max;
    repeat->child = term;
    repeat->is_pure = term->is_pure;
    return repeat;
}

/* Pieces up to | or ) or the end. */
static krs_pattern_node *read_sequence(krs_pattern_reader *reader)
{
    krs_pattern_node *cat = node_new(reader, KRS_PATTERN_CAT);
    krs_pattern_node **link = cat ? &cat->child : NULL;
    while (link && reader->left.len > 0 && reader->left.ptr[0] != '|' &&
           reader->left.ptr[0] != ')') {
        krs_pattern_node *piece = read_piece(reader);
        if (!piece) {
            return NULL;
        }
        cat->is_pure = cat->is_pure && piece->is_pure;
        *link = piece;
        link = &piece->next;
    }
    return reader->status == KRS_OK ? cat : NULL;
}

static krs_pattern_node *read_alternatives(krs_pattern_reader *reader)
{
    krs_pattern_node *alt = node_new(reader, KRS_PATTERN_ALT);
    krs_pattern_node **link = alt ? &alt->child : NULL;
    while (link) {
        krs_pattern_node *sequence = read_sequence(reader);
        if (!sequence) {
            return NULL;
        }
        alt->is_pure = alt->is_pure && sequence->is_pure;
        *link = sequence;
        link = &sequence->next;
        if (!krs_pattern_skip(reader, '|')) {
            break;
        }
    }
    return reader->status == KRS_OK ? alt : NULL;
}

krs_pattern_node *krs_pattern_parse(krs_pattern_reader *reader)
{
    krs_pattern_node *whole = read_alternatives(reader);
    if (reader->status == KRS_OK && reader->left.len > 0) {
        krs_pattern_refuse(reader, "a ) closes nothing");
    }
    return reader->status == KRS_OK ? whole : NULL;
}
