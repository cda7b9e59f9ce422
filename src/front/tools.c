/* front/tools.c - see tools.h. Reading: what cannot be a tool is refused here, with its place; what only the
 * template or the grammar can judge (a schema) is left to them. */
#include "front/tools.h"

#include "front/call_priv.h"

#include <stdio.h>

#define FIELD_TEXT_BYTES 64 /* "tools[255].function.description" */

const krs_tools_form krs_tools_form_chat = {"function", "parameters", "function",
                                            false,      false,        KRS_CALL_MAX_TOOLS};
const krs_tools_form krs_tools_form_responses = {NULL,  "parameters", "function",
                                                 false, false,        KRS_CALL_MAX_TOOLS};
const krs_tools_form krs_tools_form_messages = {NULL, "input_schema", "custom",
                                                true, true,           KRS_CALL_MAX_TOOLS};
const krs_tools_form krs_tools_form_rpc = {"function", "parameters", "function",
                                           false,      false,        KRS_TOOLS_MAX};

/* Which entry is being read, and what of it. */
typedef struct entry {
    const krs_tools_form *form;
    const json_t *tool;
    const json_t *inner; /* where name, description and schema are */
    size_t i;
    krs_error *err;
} entry;

static krs_status no_memory(krs_error *err)
{
    return krs_fail(err, KRS_ENOMEM, "tools: no memory");
}

/* Refuse member `name` of the entry. */
static krs_status refuse(const entry *e, const char *name, const char *why)
{
    char field[FIELD_TEXT_BYTES];
    const bool is_inner = e->form->inner && strcmp(name, "type") != 0;
    (void)snprintf(field, sizeof(field), "tools[%zu].%s%s%s", e->i, is_inner ? e->form->inner : "",
                   is_inner ? "." : "", name);
    return krs_call_refuse(e->err, field, "%s", why);
}

void krs_tools_init(krs_tools *tools, const krs_model_info *model, const krs_alloc *alloc)
{
    *tools = (krs_tools){.alloc = alloc};
    (void)krs_reply_format_find(krs_str_of(model->reply_format), &tools->style.format);
    (void)krs_reply_reasoning_find(krs_str_of(model->reply_reasoning), &tools->style.reasoning);
}

void krs_tools_deinit(krs_tools *tools)
{
    krs_alloc_free(tools->alloc, tools->offered);
    json_decref(tools->list);
    tools->offered = NULL;
    tools->list = NULL;
    tools->n = 0;
}

static bool is_name(krs_str name)
{
    static const char good[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "_-.:/";
    bool is_good = name.len > 0 && name.len <= KRS_TOOLS_MAX_NAME_BYTES;
    for (size_t i = 0; is_good && i < name.len; i++) {
        is_good = memchr(good, name.ptr[i], sizeof(good) - 1) != NULL;
    }
    return is_good;
}

static krs_str text_of(const json_t *value)
{
    return (krs_str){json_string_value(value), json_string_length(value)};
}

static krs_status check_type(const entry *e)
{
    const json_t *type = json_object_get(e->tool, "type");
    char why[96];
    if (!json_is_object(e->tool)) {
        return krs_call_refuse(e->err, "tools", "entry %zu is not an object", e->i);
    }
    if (e->form->is_type_optional && (!type || json_is_null(type))) {
        return KRS_OK;
    }
    if (!json_is_string(type) || strcmp(json_string_value(type), e->form->type) != 0) {
        (void)snprintf(why, sizeof(why), "\"%.40s\", want \"%s\"",
                       json_is_string(type) ? json_string_value(type) : "", e->form->type);
        return refuse(e, "type", why);
    }
    return KRS_OK;
}

static bool is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

static krs_status check_schema(const entry *e)
{
    const json_t *schema = json_object_get(e->inner, e->form->schema);
    if (is_absent(schema)) {
        return e->form->is_schema_needed
                   ? refuse(e, e->form->schema, "missing, want an object, a JSON Schema")
                   : KRS_OK;
    }
    return json_is_object(schema) ? KRS_OK
                                  : refuse(e, e->form->schema, "want an object, a JSON Schema");
}

static krs_status check_members(const entry *e)
{
    const json_t *description = json_object_get(e->inner, "description");
    const json_t *strict = json_object_get(e->inner, "strict");
    const json_t *name = json_object_get(e->inner, "name");
    if (!json_is_string(name)) {
        return refuse(e, "name", "missing, want a string");
    }
    if (!is_name(text_of(name))) {
        return refuse(e, "name", "want 1..128 letters, digits or _-.:/");
    }
    if (!is_absent(description) && !json_is_string(description)) {
        return refuse(e, "description", "want a string");
    }
    if (!is_absent(strict) && !json_is_boolean(strict)) {
        return refuse(e, "strict", "want true or false");
    }
    return check_schema(e);
}

/* Is the name of the entry one of those before it? */
static bool is_taken(const krs_tools *tools, krs_str name)
{
    for (uint32_t i = 0; i < tools->n; i++) {
        if (krs_str_equal(tools->offered[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Is this member none of the model's business? Where a function is wrapped, what is within is its own. */
static bool is_for_servers(const entry *e, const char *key)
{
    if (e->form->inner) {
        return strcmp(key, "strict") == 0;
    }
    return strcmp(key, "name") != 0 && strcmp(key, "description") != 0 &&
           strcmp(key, e->form->schema) != 0;
}

/* {"type": "function", "function": {name, description, parameters and whatever else there is}}: the members
 * in the order they came, without what only speaks to servers. */
static json_t *normal_form(const entry *e)
{
    json_t *function = json_object();
    json_t *tool = json_pack("{s:s,s:o}", "type", "function", "function", function);
    bool is_good = tool != NULL;
    json_t *inner = (json_t *)(uintptr_t)e->inner; /* iterated, not changed */
    for (void *it = json_object_iter(inner); it && is_good; it = json_object_iter_next(inner, it)) {
        const char *key = json_object_iter_key(it);
        const bool is_ours = is_for_servers(e, key);
        const char *name = strcmp(key, e->form->schema) == 0 ? "parameters" : key;
        is_good =
            is_ours || json_is_null(json_object_iter_value(it)) ||
            json_object_set_new(function, name, json_deep_copy(json_object_iter_value(it))) == 0;
    }
    if (!is_good) {
        json_decref(tool);
        return NULL;
    }
    return tool;
}

static krs_status add_tool(krs_tools *tools, entry *e)
{
    krs_status status = check_type(e);
    if (status != KRS_OK) {
        return status;
    }
    e->inner = e->form->inner ? json_object_get(e->tool, e->form->inner) : e->tool;
    status = check_members(e);
    if (status != KRS_OK) {
        return status;
    }
    const json_t *name = json_object_get(e->inner, "name");
    if (is_taken(tools, text_of(name))) {
        return refuse(e, "name", "another tool has it, too");
    }
    json_t *tool = normal_form(e);
    if (!tool || json_array_append_new(tools->list, tool) != 0) {
        return no_memory(e->err);
    }
    const json_t *function = json_object_get(tool, "function");
    tools->is_strict[tools->n] = json_is_true(json_object_get(e->inner, "strict"));
    tools->offered[tools->n++] = (krs_reply_tool){text_of(json_object_get(function, "name")),
                                                  json_object_get(function, "parameters")};
    return KRS_OK;
}

krs_status krs_tools_read(krs_tools *tools, const json_t *body, const krs_tools_form *form,
                          krs_error *err)
{
    json_t *given = NULL;
    krs_status status = krs_json_get_tree(body, "tools", JSON_ARRAY, &given, err);
    const size_t n = json_array_size(given);
    if (status != KRS_OK || n == 0) {
        return status;
    }
    if (n > form->max) {
        return krs_call_refuse(err, "tools", "%zu tools, limit %zu", n, form->max);
    }
    tools->form = form;
    tools->list = json_array();
    tools->offered = krs_alloc_array(tools->alloc, n, sizeof(*tools->offered));
    if (!tools->list || !tools->offered) {
        return no_memory(err);
    }
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        entry e = {.form = form, .tool = json_array_get(given, i), .i = i, .err = err};
        status = add_tool(tools, &e);
    }
    return status;
}
