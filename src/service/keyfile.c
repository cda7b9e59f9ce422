/* service/keyfile.c - see keyfile.h. */
#include "service/keyfile.h"

#include "base/alloc.h"

#include <string.h>

#define MAX_QUOTED 32 /* bytes of an unknown word in a message */

typedef struct parser {
    krs_keyfile *file;
    uint32_t capacity;
    uint32_t line;
    krs_error *err;
} parser;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cut the first word off *rest; empty at the end or before a comment. */
static krs_str next_word(krs_str *rest)
{
    while (rest->len > 0 && is_blank(rest->ptr[0])) {
        rest->ptr++;
        rest->len--;
    }
    krs_str word = {rest->ptr, 0};
    if (rest->len > 0 && rest->ptr[0] == '#') {
        return word;
    }
    while (rest->len > 0 && !is_blank(rest->ptr[0])) {
        rest->ptr++;
        rest->len--;
        word.len++;
    }
    return word;
}

static krs_status refuse(const parser *p, const char *what)
{
    return krs_fail(p->err, KRS_EFORMAT, "line %u: %s", p->line, what);
}

/* Quotes a word only up to its '=': without one it may be a key that someone pasted. */
static krs_status refuse_unknown(const parser *p, krs_str key)
{
    static const char wanted[] =
        "want admin, rpm=N, tpm=N, concurrent=N, weight=N or best=urgent|normal|background";
    return key.len == 0
               ? refuse(p, wanted)
               : krs_fail(p->err, KRS_EFORMAT, "line %u: \"%.*s\": %s", p->line,
                          (int)(key.len < MAX_QUOTED ? key.len : MAX_QUOTED), key.ptr, wanted);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static krs_status read_name(const parser *p, krs_str word, krs_key_row *row)
{
    bool is_good = word.len > 0 && word.len < sizeof(row->name);
    for (size_t i = 0; is_good && i < word.len; i++) {
        is_good = is_name_char(word.ptr[i]);
    }
    if (!is_good) {
        return refuse(p, "want a name of 1..63 letters, digits and ._-");
    }
    memcpy(row->name, word.ptr, word.len);
    return KRS_OK;
}

static krs_status read_digest(const parser *p, krs_str word, krs_key_row *row)
{
    const krs_str head = KRS_STR("sha256:");
    if (!krs_str_starts_with(word, head) ||
        !krs_sha256_read((krs_str){word.ptr + head.len, word.len - head.len}, row->digest)) {
        return refuse(p, "want sha256: and 64 hexadecimal digits after the name");
    }
    return KRS_OK;
}

/* A whole number from 1 to max. */
static bool read_number(krs_str text, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len && n <= max; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = (uint32_t)n;
    return text.len > 0 && n >= 1 && n <= max;
}

/* "60" or "60/120". */
static bool read_rate(krs_str text, krs_bucket_rate *out)
{
    const size_t slash = krs_str_find(text, KRS_STR("/"), 0);
    const krs_str hard = {text.ptr, slash == SIZE_MAX ? text.len : slash};
    if (!read_number(hard, KRS_BUCKET_MAX_PER_MINUTE, &out->per_minute)) {
        return false;
    }
    out->burst = out->per_minute;
    return slash == SIZE_MAX || read_number((krs_str){text.ptr + slash + 1, text.len - slash - 1},
                                            KRS_BUCKET_MAX_PER_MINUTE, &out->burst);
}

static bool read_best(krs_str text, krs_priority *out)
{
    static const char *const names[] = {"urgent", "normal", "background"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (krs_str_equal(text, krs_str_of(names[i]))) {
            *out = (krs_priority)i;
            return true;
        }
    }
    return false;
}

static bool read_limit(krs_str key, krs_str value, krs_tenant_limits *limits, const char **wanted)
{
    if (krs_str_equal(key, KRS_STR("rpm="))) {
        *wanted = "rpm: want N or N/BURST, 1..1000000000";
        return read_rate(value, &limits->calls);
    }
    if (krs_str_equal(key, KRS_STR("tpm="))) {
        *wanted = "tpm: want N or N/BURST, 1..1000000000";
        return read_rate(value, &limits->tokens);
    }
    if (krs_str_equal(key, KRS_STR("concurrent="))) {
        *wanted = "concurrent: want 1..65536";
        return read_number(value, KRS_KEYFILE_MAX_AT_ONCE, &limits->max_in_flight);
    }
    *wanted = "weight: want 1..1000";
    return krs_str_equal(key, KRS_STR("weight=")) &&
           read_number(value, KRS_KEYFILE_MAX_WEIGHT, &limits->weight);
}

static krs_status read_word(const parser *p, krs_str word, krs_key_row *row)
{
    if (krs_str_equal(word, KRS_STR("admin"))) {
        row->is_admin = true;
        return KRS_OK;
    }
    const size_t equals = krs_str_find(word, KRS_STR("="), 0);
    if (equals == SIZE_MAX) {
        return refuse_unknown(p, KRS_STR(""));
    }
    const krs_str key = {word.ptr, equals + 1};
    const krs_str value = {word.ptr + equals + 1, word.len - equals - 1};
    if (krs_str_equal(key, KRS_STR("best="))) {
        return read_best(value, &row->best_priority)
                   ? KRS_OK
                   : refuse(p, "best: want urgent, normal or background");
    }
    static const char *const limits[] = {"rpm=", "tpm=", "concurrent=", "weight="};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (krs_str_equal(key, krs_str_of(limits[i]))) {
            const char *wanted = NULL;
            if (!row->is_first) {
                return refuse(p, "limits stand on the first line of a name only");
            }
            return read_limit(key, value, &row->limits, &wanted) ? KRS_OK : refuse(p, wanted);
        }
    }
    return refuse_unknown(p, key);
}

/* Is it the first of its name, and a key of its own? */
static krs_status compare_with_rows(const parser *p, krs_key_row *row)
{
    row->is_first = true;
    for (uint32_t i = 0; i < p->file->n_rows; i++) {
        const krs_key_row *other = &p->file->rows[i];
        if (memcmp(other->digest, row->digest, sizeof(row->digest)) == 0) {
            return krs_fail(p->err, KRS_EFORMAT, "line %u: the key of line %u again", p->line,
                            other->line);
        }
        row->is_first = row->is_first && strcmp(other->name, row->name) != 0;
    }
    return KRS_OK;
}

static krs_status append(parser *p, const krs_key_row *row)
{
    krs_keyfile *file = p->file;
    if (file->n_rows == KRS_KEYFILE_MAX_KEYS) {
        return krs_fail(p->err, KRS_ETOOLARGE, "line %u: more than %d keys", p->line,
                        KRS_KEYFILE_MAX_KEYS);
    }
    if (file->n_rows == p->capacity) {
        const uint32_t capacity = p->capacity ? 2 * p->capacity : 16;
        krs_key_row *rows =
            krs_alloc_resize(file->alloc, file->rows, capacity, sizeof(*file->rows));
        if (!rows) {
            return krs_fail(p->err, KRS_ENOMEM, "no memory for %u keys", capacity);
        }
        file->rows = rows;
        p->capacity = capacity;
    }
    file->rows[file->n_rows++] = *row;
    return KRS_OK;
}

static krs_status read_line(parser *p, krs_str line)
{
    krs_str word = next_word(&line);
    if (word.len == 0) {
        return KRS_OK;
    }
    krs_key_row row = {
        .line = p->line, .best_priority = KRS_PRIORITY_URGENT, .limits = {.weight = 1}};
    krs_status status = read_name(p, word, &row);
    if (status == KRS_OK) {
        status = read_digest(p, next_word(&line), &row);
    }
    if (status == KRS_OK) {
        status = compare_with_rows(p, &row);
    }
    for (word = next_word(&line); status == KRS_OK && word.len > 0; word = next_word(&line)) {
        status = read_word(p, word, &row);
    }
    return status == KRS_OK ? append(p, &row) : status;
}

krs_status krs_keyfile_parse(krs_str text, const krs_alloc *alloc, krs_keyfile *out, krs_error *err)
{
    *out = (krs_keyfile){.alloc = alloc};
    if (text.len > KRS_KEYFILE_MAX_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "%zu bytes, want at most %u", text.len,
                        KRS_KEYFILE_MAX_BYTES);
    }
    parser p = {.file = out, .err = err};
    krs_status status = KRS_OK;
    for (size_t at = 0; status == KRS_OK && at < text.len;) {
        const size_t end = krs_str_find(text, KRS_STR("\n"), at);
        const size_t stop = end == SIZE_MAX ? text.len : end;
        p.line++;
        status = read_line(&p, (krs_str){text.ptr + at, stop - at});
        at = stop + 1;
    }
    if (status != KRS_OK) {
        krs_keyfile_deinit(out);
    }
    return status;
}

void krs_keyfile_deinit(krs_keyfile *file)
{
    krs_alloc_free(file->alloc, file->rows);
    *file = (krs_keyfile){.alloc = file->alloc};
}
