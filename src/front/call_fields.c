/* front/call_fields.c - fields of a body that we do not know, and those we know and must refuse.
 *
 * An unknown field is accepted, as the APIs accept it, but never in silence: its name is kept for whoever
 * debugs a client. Names come from strangers and end in a response header, so only letters, digits and
 * "_.-" are kept. */
#include "front/call_priv.h"

#include <stdlib.h>

#define NAME_MAX_BYTES 64 /* of one unknown name; longer ones are cut */
#define MAX_FIELDS                                                                                 \
    256 /* looked at in one object: real ones have some 30, and the list holds fewer */

/* Is field "name", or "object.name" when there is an object? */
static bool is_field(const char *field, krs_str object, krs_str name)
{
    const krs_str known = krs_str_of(field);
    if (object.len == 0) {
        return krs_str_equal(known, name);
    }
    return known.len == object.len + 1 + name.len && krs_str_starts_with(known, object) &&
           known.ptr[object.len] == '.' && krs_str_ends_with(known, name);
}

static bool is_row_field(const krs_call_row *row, krs_str object, krs_str name)
{
    for (size_t i = 0; i < KRS_CALL_FIELD_LISTS; i++) {
        for (const char *const *field = row->fields[i]; field && *field; field++) {
            if (is_field(*field, object, name)) {
                return true;
            }
        }
    }
    return false;
}

/* Does the row know fields inside this object? */
static bool has_inner_fields(const krs_call_row *row, krs_str object)
{
    for (size_t i = 0; i < KRS_CALL_FIELD_LISTS; i++) {
        for (const char *const *field = row->fields[i]; field && *field; field++) {
            if (krs_str_starts_with(krs_str_of(*field), object) && (*field)[object.len] == '.') {
                return true;
            }
        }
    }
    return false;
}

static char safe_char(char c)
{
    const bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    return is_safe ? c : '?';
}

static size_t copy_safe(krs_str name, char *out)
{
    const size_t n = name.len < NAME_MAX_BYTES ? name.len : NAME_MAX_BYTES;
    for (size_t i = 0; i < n; i++) {
        out[i] = safe_char(name.ptr[i]);
    }
    return n;
}

/* Append "object.name", or nothing when it does not fit whole. */
static void note(krs_call *call, krs_str object, krs_str name)
{
    char text[2 * NAME_MAX_BYTES + 4];
    const size_t used = strlen(call->ignored);
    size_t n = 0;
    if (used > 0) {
        text[n++] = ',';
        text[n++] = ' ';
    }
    if (object.len > 0) {
        n += copy_safe(object, text + n);
        text[n++] = '.';
    }
    n += copy_safe(name, text + n);
    if (n < sizeof(call->ignored) - used) {
        memcpy(call->ignored + used, text, n);
        call->ignored[used + n] = '\0';
    }
}

static krs_str key_of(void *it)
{
    return (krs_str){json_object_iter_key(it), json_object_iter_key_len(it)};
}

/* jansson iterates without writing, but its parameter is not const. */
static void *first_of(const json_t *object)
{
    return json_object_iter((json_t *)(uintptr_t)object);
}

static void *next_of(const json_t *object, void *it)
{
    return json_object_iter_next((json_t *)(uintptr_t)object, it);
}

static void note_inner(const krs_call_row *row, krs_str name, const json_t *object, krs_call *call)
{
    uint32_t n_left = MAX_FIELDS;
    for (void *it = first_of(object); it && n_left > 0; it = next_of(object, it), n_left--) {
        if (!is_row_field(row, name, key_of(it))) {
            note(call, name, key_of(it));
        }
    }
}

void krs_call_note_unknown(const krs_call_row *row, const json_t *body, krs_call *call)
{
    const krs_str none = {NULL, 0};
    uint32_t n_left = MAX_FIELDS;
    for (void *it = first_of(body); it && n_left > 0; it = next_of(body, it), n_left--) {
        const krs_str name = key_of(it);
        if (!is_row_field(row, none, name)) {
            note(call, none, name);
        } else if (has_inner_fields(row, name)) {
            note_inner(row, name, json_object_iter_value(it), call);
        }
    }
}

void krs_call_note_ignored(krs_call *call, const char *field)
{
    note(call, (krs_str){NULL, 0}, krs_str_of(field));
}

static bool is_empty(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    default:
        return false;
    }
}

/* Is this the value that text writes: a word, a number, true or false? */
static bool is_value(const json_t *value, const char *text)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return strcmp(json_string_value(value), text) == 0;
    case JSON_INTEGER:
        return text[0] >= '0' && text[0] <= '9' &&
               json_integer_value(value) == strtoll(text, NULL, 10);
    case JSON_TRUE:
        return strcmp(text, "true") == 0;
    case JSON_FALSE:
        return strcmp(text, "false") == 0;
    default:
        return false;
    }
}

static bool is_harmless(const json_t *value, const krs_refusal *row)
{
    if (!value || json_is_null(value)) {
        return true;
    }
    switch (row->rule) {
    case KRS_REFUSE_GIVEN:
        return false;
    case KRS_REFUSE_OTHER:
        return is_value(value, row->harmless);
    default:
        return is_empty(value);
    }
}

krs_status krs_call_refuse_unsupported(const krs_call_reader *reader, const krs_refusal *rows,
                                       size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (is_harmless(json_object_get(reader->body, rows[i].field), &rows[i])) {
            continue;
        }
        return rows[i].rule == KRS_REFUSE_OTHER
                   ? krs_call_refuse(reader->err, rows[i].field,
                                     "only %s is supported by this server", rows[i].harmless)
                   : krs_call_refuse(reader->err, rows[i].field, "not supported by this server");
    }
    return KRS_OK;
}
