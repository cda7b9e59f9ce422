/* front/guidance_fields.c - see guidance_fields.h. */
#include "front/guidance_fields.h"

#include "front/call_priv.h"

#define MAX_TYPE_BYTES 40u /* of an unknown type in a message */

/* Where a request's form comes from, and what errors name. */
typedef struct form {
    const char *field;
    krs_request *request;
    krs_error *err;
} form;

static krs_status no_memory(const form *f)
{
    return krs_fail_field(f->err, KRS_ENOMEM, f->field, "%s: no memory", f->field);
}

/* One form for a request. */
static krs_status set(const form *f, krs_guidance_kind kind, krs_guide root)
{
    krs_guidance *g = &f->request->guidance;
    if (g->kind != KRS_GUIDANCE_NONE) {
        return krs_call_refuse(f->err, f->field, "%s asks for a form, too; want one of them",
                               g->field);
    }
    g->kind = kind;
    g->root = root;
    g->field = f->field;
    const bool is_json = kind == KRS_GUIDANCE_JSON_SCHEMA;
    g->space = is_json ? KRS_GUIDANCE_SPACE_SINGLE : KRS_GUIDANCE_SPACE_ANY;
    return KRS_OK;
}

static krs_status copy(const form *f, krs_str text, krs_str *out)
{
    if (text.len > KRS_GUIDANCE_MAX_BYTES) {
        return krs_fail_field(f->err, KRS_ETOOLARGE, f->field, "%s: %zu bytes, limit %u", f->field,
                              text.len, KRS_GUIDANCE_MAX_BYTES);
    }
    *out = krs_arena_copy(&f->request->arena, text);
    return out->ptr ? KRS_OK : no_memory(f);
}

static krs_str text_of(const json_t *value)
{
    return (krs_str){json_string_value(value), json_string_length(value)};
}

/* A leaf of the text of a string. */
static krs_status set_text(const form *f, krs_guidance_kind kind, krs_guide_kind leaf,
                           const json_t *value)
{
    krs_guide root = {.kind = leaf};
    if (!json_is_string(value) || json_string_length(value) == 0) {
        return krs_call_refuse(f->err, f->field, "want a string that is not empty");
    }
    const krs_status status = copy(f, text_of(value), &root.text);
    return status == KRS_OK ? set(f, kind, root) : status;
}

static krs_status set_schema(const form *f, const json_t *schema)
{
    if (json_is_string(schema)) { /* as vLLM's clients may write it */
        return set_text(f, KRS_GUIDANCE_JSON_SCHEMA, KRS_GUIDE_SCHEMA, schema);
    }
    if (!json_is_object(schema) && !json_is_boolean(schema)) {
        return krs_call_refuse(f->err, f->field, "want a JSON Schema: an object");
    }
    krs_buf text;
    krs_guide root = {.kind = KRS_GUIDE_SCHEMA};
    krs_buf_init(&text, f->request->arena.alloc, KRS_GUIDANCE_MAX_BYTES);
    krs_status status = krs_json_write(schema, &text);
    if (status == KRS_OK) {
        status = copy(f, krs_buf_view(&text), &root.text);
    } else {
        status = krs_fail_field(f->err, status, f->field, "%s: %s, limit %u bytes", f->field,
                                krs_status_sentence(status), KRS_GUIDANCE_MAX_BYTES);
    }
    krs_buf_deinit(&text);
    return status == KRS_OK ? set(f, KRS_GUIDANCE_JSON_SCHEMA, root) : status;
}

krs_status krs_guidance_set_schema(const json_t *schema, const char *field, krs_request *request,
                                   krs_error *err)
{
    const form f = {field, request, err};
    return set_schema(&f, schema);
}

static krs_status set_choice(const form *f, const json_t *list)
{
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n >= KRS_GUIDANCE_MAX_PARTS) {
        return krs_call_refuse(f->err, f->field, "want an array of 1 .. %u strings",
                               KRS_GUIDANCE_MAX_PARTS - 1);
    }
    krs_guide *words = krs_arena_array(&f->request->arena, n, sizeof(*words));
    if (!words) {
        return no_memory(f);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        const json_t *word = json_array_get(list, i);
        words[i] = (krs_guide){.kind = KRS_GUIDE_LITERAL};
        status = json_is_string(word)
                     ? copy(f, text_of(word), &words[i].text)
                     : krs_call_refuse(f->err, f->field, "entry %zu is no string", i);
    }
    const krs_guide root = {.kind = KRS_GUIDE_ALT, .parts = words, .n_parts = (uint32_t)n};
    return status == KRS_OK ? set(f, KRS_GUIDANCE_CHOICE, root) : status;
}

static krs_status set_object(const form *f)
{
    return set(f, KRS_GUIDANCE_JSON_OBJECT, (krs_guide){.kind = KRS_GUIDE_OBJECT});
}

/* ---- OpenAI ---- */

/* Letters, digits, _ and -: a name is for logs and must not need quoting there. */
static bool is_name(krs_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
            return false;
        }
    }
    return name.len > 0;
}

/* name, description, strict, schema. Answers always follow the schema, so `strict` changes nothing. */
static krs_status read_schema(const form *f, const json_t *object)
{
    krs_str name = {NULL, 0};
    krs_str unused;
    bool is_strict = true;
    krs_status status = krs_json_get_str(object, "name", KRS_GUIDANCE_MAX_NAME_BYTES, &name, NULL);
    if (status != KRS_OK || !is_name(name)) {
        return krs_call_refuse(f->err, f->field, "name: want 1 .. %u letters, digits, _ and -",
                               KRS_GUIDANCE_MAX_NAME_BYTES);
    }
    if (krs_json_get_bool(object, "strict", &is_strict, NULL) != KRS_OK) {
        return krs_call_refuse(f->err, f->field, "strict: want true or false");
    }
    status = krs_json_get_str(object, "description", KRS_GUIDANCE_MAX_BYTES, &unused, NULL);
    if (status != KRS_OK) {
        return krs_call_refuse(f->err, f->field, "description: want a string");
    }
    const json_t *schema = json_object_get(object, "schema");
    return schema && !json_is_null(schema) ? set_schema(f, schema)
                                           : krs_call_refuse(f->err, f->field, "schema: missing");
}

krs_status krs_guidance_read_format(const json_t *format, const char *field, const char *member,
                                    krs_request *request, krs_error *err)
{
    const form f = {field, request, err};
    if (!format || json_is_null(format)) {
        return KRS_OK;
    }
    const krs_str type = text_of(json_object_get(format, "type"));
    if (krs_str_equal(type, KRS_STR("text"))) {
        return KRS_OK;
    }
    if (krs_str_equal(type, KRS_STR("json_object"))) {
        return set_object(&f);
    }
    if (!krs_str_equal(type, KRS_STR("json_schema"))) {
        return krs_call_refuse(err, field, "type \"%.*s\", want text, json_object or json_schema",
                               (int)(type.len < MAX_TYPE_BYTES ? type.len : MAX_TYPE_BYTES),
                               type.ptr ? type.ptr : "");
    }
    const json_t *object = member ? json_object_get(format, member) : format;
    return json_is_object(object) ? read_schema(&f, object)
                                  : krs_call_refuse(err, field, "json_schema: want an object");
}

/* ---- vLLM ---- */

/* What a member asks for, under the name it has alone and inside structured_outputs. */
typedef struct member_row {
    const char *alone;
    const char *inside;
    krs_status (*set)(const form *f, const json_t *value);
} member_row;

static krs_status set_regex(const form *f, const json_t *value)
{
    return set_text(f, KRS_GUIDANCE_REGEX, KRS_GUIDE_REGEX, value);
}

static krs_status set_grammar(const form *f, const json_t *value)
{
    return set_text(f, KRS_GUIDANCE_GRAMMAR, KRS_GUIDE_GRAMMAR, value);
}

static krs_status set_flag(const form *f, const json_t *value)
{
    if (!json_is_boolean(value)) {
        return krs_call_refuse(f->err, f->field, "want true or false");
    }
    return json_is_true(value) ? set_object(f) : KRS_OK;
}

static const member_row members[] = {
    {"guided_json", "json", set_schema},     {"guided_regex", "regex", set_regex},
    {"guided_choice", "choice", set_choice}, {"guided_grammar", "grammar", set_grammar},
    {NULL, "json_object", set_flag},
};

#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

static bool is_given(const json_t *value)
{
    return value && !json_is_null(value);
}

/* A member of structured_outputs that is none of ours asks for something we would not do. */
static krs_status check_members(const form *f, const json_t *object)
{
    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        const char *key = json_object_iter_key(it);
        bool is_known = strcmp(key, "disable_any_whitespace") == 0;
        for (size_t i = 0; i < N_MEMBERS; i++) {
            is_known = is_known || strcmp(key, members[i].inside) == 0;
        }
        if (!is_known && is_given(json_object_iter_value(it))) {
            return krs_call_refuse(f->err, f->field, "%.60s: not supported", key);
        }
    }
    return KRS_OK;
}

static krs_status read_structured(const form *f, const json_t *object)
{
    bool is_compact = false;
    if (!json_is_object(object)) {
        return krs_call_refuse(f->err, f->field, "want an object");
    }
    krs_status status = check_members(f, object);
    for (size_t i = 0; status == KRS_OK && i < N_MEMBERS; i++) {
        const json_t *value = json_object_get(object, members[i].inside);
        status = is_given(value) ? members[i].set(f, value) : KRS_OK;
    }
    if (status == KRS_OK &&
        krs_json_get_bool(object, "disable_any_whitespace", &is_compact, NULL) != KRS_OK) {
        status = krs_call_refuse(f->err, f->field, "disable_any_whitespace: want true or false");
    }
    if (is_compact) {
        f->request->guidance.space = KRS_GUIDANCE_SPACE_COMPACT;
    }
    return status;
}

krs_status krs_guidance_read_extensions(const json_t *body, krs_request *request, krs_error *err)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < N_MEMBERS; i++) {
        const json_t *value = members[i].alone ? json_object_get(body, members[i].alone) : NULL;
        const form f = {members[i].alone, request, err};
        status = is_given(value) ? members[i].set(&f, value) : KRS_OK;
    }
    const json_t *object = json_object_get(body, "structured_outputs");
    const form f = {"structured_outputs", request, err};
    return status == KRS_OK && is_given(object) ? read_structured(&f, object) : status;
}
