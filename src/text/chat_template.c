/* text/chat_template.c - see chat_template.h.
 *
 *   chat_template.jinja         the newer way: a file of its own, wins
 *   tokenizer_config.json       chat_template, a string or a list of {name, template}; the tokens
 *   chat_template.json          {"chat_template": ...}, as processors of multimodal models keep it
 *   special_tokens_map.json     the tokens, where tokenizer_config.json is silent
 *
 * A token is a string or {"content": ...}. One a folder does not name stays undefined in the template,
 * which prints as nothing, as transformers has it.
 *
 * Thread: immutable after load.  Memory: the templates' arenas and two small strings. */
#include "text/chat_template.h"

#include "os/file.h"
#include "text/chat_arguments.h"

#define CHAT_MAX_FILE_BYTES                                                                        \
    (64u << 20) /* tokenizer_config.json lists added tokens; 10 MiB are seen */

enum {
    TOKEN_BOS,
    TOKEN_EOS,
    N_TOKENS,
};

static const char *const token_names[N_TOKENS] = {"bos_token", "eos_token"};

struct krs_chat_template {
    const krs_alloc *alloc;
    krs_template *main;
    krs_template *tool_use;   /* NULL: main serves requests with tools too */
    krs_str tokens[N_TOKENS]; /* ptr NULL: the model names none */
    krs_reply_style style;    /* by the source of tool_use, or of main where that says nothing */
};

typedef struct loading {
    krs_chat_template *chat;
    const char *dir;
    krs_error *err;
} loading;

/* Append dir/name to out. KRS_ENOENT when there is no such file. */
static krs_status read_file(const loading *load, const char *name, krs_buf *out)
{
    char path[KRS_OS_PATH_BYTES];
    krs_status status = krs_os_path_join(load->dir, name, path, sizeof(path));
    if (status != KRS_OK) {
        return krs_fail(load->err, status, "%s: the path is too long", name);
    }
    if (krs_os_path_kind(path) == KRS_OS_ABSENT) {
        return KRS_ENOENT;
    }
    return krs_os_file_read(path, out, load->err);
}

/* The JSON object in dir/name; *out is NULL when there is no such file. */
static krs_status read_object(const loading *load, const char *name, json_t **out)
{
    krs_buf bytes;
    const krs_json_limits limits = {CHAT_MAX_FILE_BYTES, true};
    *out = NULL;
    krs_buf_init(&bytes, load->chat->alloc, CHAT_MAX_FILE_BYTES);
    krs_status status = read_file(load, name, &bytes);
    if (status == KRS_OK) {
        status = krs_json_parse(krs_buf_view(&bytes), &limits, out, load->err);
    }
    krs_buf_deinit(&bytes);
    if (status == KRS_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        status = krs_fail(load->err, KRS_EFORMAT, "want a JSON object");
    }
    if (status == KRS_ENOENT) {
        return KRS_OK;
    }
    status = status == KRS_EINVAL ? KRS_EFORMAT : status; /* a file is wrong, not an argument */
    return status == KRS_OK ? KRS_OK : krs_error_wrap(load->err, status, "%s", name);
}

/* What the template that shows tools says of calls counts more than what the other says. */
static void learn_style(krs_chat_template *chat, krs_str source, bool is_tool_use)
{
    const krs_reply_style style = krs_reply_style_detect(source);
    if (style.format != KRS_REPLY_PLAIN && (is_tool_use || chat->style.format == KRS_REPLY_PLAIN)) {
        chat->style.format = style.format;
    }
    if (chat->style.reasoning == KRS_REPLY_REASONING_NONE) {
        chat->style.reasoning = style.reasoning;
    }
}

static krs_status parse_into(const loading *load, krs_str source, const char *where,
                             krs_template **out)
{
    if (*out) {
        return KRS_OK; /* the first source wins */
    }
    krs_status status = krs_template_parse(source, load->chat->alloc, out, load->err);
    if (status == KRS_OK) {
        learn_style(load->chat, source, out == &load->chat->tool_use);
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(load->err, status, "%s", where);
}

static krs_status parse_jinja_file(const loading *load)
{
    static const char name[] = "chat_template.jinja";
    krs_buf bytes;
    krs_buf_init(&bytes, load->chat->alloc, CHAT_MAX_FILE_BYTES);
    krs_status status = read_file(load, name, &bytes);
    if (status == KRS_OK) {
        status = parse_into(load, krs_buf_view(&bytes), name, &load->chat->main);
    }
    krs_buf_deinit(&bytes);
    return status == KRS_ENOENT ? KRS_OK : status;
}

static krs_str string_of(const json_t *value)
{
    return (krs_str){json_string_value(value), json_string_length(value)};
}

/* One {name, template} of a list. */
static krs_status parse_named(const loading *load, const json_t *item, const char *file)
{
    const json_t *name = json_object_get(item, "name");
    const json_t *source = json_object_get(item, "template");
    if (!json_is_string(name) || !json_is_string(source)) {
        return krs_fail(load->err, KRS_EFORMAT,
                        "%s: chat_template: want a list of {name, template}", file);
    }
    if (krs_str_equal(string_of(name), KRS_STR("default"))) {
        return parse_into(load, string_of(source), file, &load->chat->main);
    }
    if (krs_str_equal(string_of(name), KRS_STR("tool_use"))) {
        return parse_into(load, string_of(source), file, &load->chat->tool_use);
    }
    return KRS_OK; /* "rag" and others: nobody asks for them here */
}

/* The member chat_template of a file's object. */
static krs_status parse_member(const loading *load, const json_t *object, const char *file)
{
    const json_t *value = json_object_get(object, "chat_template");
    if (load->chat->main || !value || json_is_null(value)) {
        return KRS_OK;
    }
    if (json_is_string(value)) {
        return parse_into(load, string_of(value), file, &load->chat->main);
    }
    if (!json_is_array(value)) {
        return krs_fail(load->err, KRS_EFORMAT, "%s: chat_template: want a string or a list", file);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; i < json_array_size(value) && status == KRS_OK; i++) {
        status = parse_named(load, json_array_get(value, i), file);
    }
    return status;
}

static krs_status take_tokens(const loading *load, const json_t *object)
{
    krs_chat_template *chat = load->chat;
    for (size_t i = 0; i < N_TOKENS; i++) {
        const json_t *value = json_object_get(object, token_names[i]);
        value = json_is_object(value) ? json_object_get(value, "content") : value;
        if (chat->tokens[i].ptr || !json_is_string(value)) {
            continue;
        }
        const krs_str text = string_of(value);
        const char *copy = krs_alloc_text(chat->alloc, text.ptr, text.len);
        if (!copy) {
            return krs_fail(load->err, KRS_ENOMEM, "%s: out of memory", token_names[i]);
        }
        chat->tokens[i] = (krs_str){copy, text.len};
    }
    return KRS_OK;
}

static krs_status load_object(const loading *load, const char *file)
{
    json_t *object = NULL;
    krs_status status = read_object(load, file, &object);
    if (status == KRS_OK) {
        status = parse_member(load, object, file);
    }
    if (status == KRS_OK) {
        status = take_tokens(load, object);
    }
    json_decref(object);
    return status;
}

static krs_status fail_no_template(krs_error *err)
{
    return krs_fail(err, KRS_ENOENT,
                    "no chat template: neither chat_template.jinja nor chat_template in "
                    "tokenizer_config.json");
}

static krs_status load_all(const loading *load)
{
    static const char *const files[] = {"tokenizer_config.json", "chat_template.json",
                                        "special_tokens_map.json"};
    krs_status status = parse_jinja_file(load);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && status == KRS_OK; i++) {
        status = load_object(load, files[i]);
    }
    if (status == KRS_OK && !load->chat->main) {
        return fail_no_template(load->err);
    }
    return status;
}

static krs_chat_template *new_empty(const krs_alloc *alloc, krs_error *err)
{
    krs_chat_template *chat = krs_alloc_zero(alloc, sizeof(*chat));
    if (!chat) {
        (void)krs_fail(err, KRS_ENOMEM, "chat template: out of memory");
        return NULL;
    }
    chat->alloc = alloc;
    return chat;
}

/* Hand chat over, or free it. */
static krs_status give(krs_chat_template *chat, krs_status status, krs_chat_template **out)
{
    if (status != KRS_OK) {
        krs_chat_template_free(chat);
        return status;
    }
    *out = chat;
    return KRS_OK;
}

krs_status krs_chat_template_load(const char *dir, const krs_alloc *alloc, krs_chat_template **out,
                                  krs_error *err)
{
    *out = NULL;
    krs_chat_template *chat = new_empty(alloc, err);
    const loading load = {chat, dir, err};
    return chat ? give(chat, load_all(&load), out) : KRS_ENOMEM;
}

krs_status krs_chat_template_read(const json_t *object, const krs_alloc *alloc,
                                  krs_chat_template **out, krs_error *err)
{
    *out = NULL;
    krs_chat_template *chat = new_empty(alloc, err);
    if (!chat) {
        return KRS_ENOMEM;
    }
    const loading load = {chat, NULL, err};
    krs_status status = parse_member(&load, object, "chat template");
    if (status == KRS_OK) {
        status = chat->main ? take_tokens(&load, object) : fail_no_template(err);
    }
    return give(chat, status, out);
}

void krs_chat_template_free(krs_chat_template *chat)
{
    if (!chat) {
        return;
    }
    const krs_alloc *alloc = chat->alloc;
    krs_template_free(chat->main);
    krs_template_free(chat->tool_use);
    for (size_t i = 0; i < N_TOKENS; i++) {
        /* Ours from krs_alloc_text; krs_str merely points at it as const. */
        krs_alloc_free(alloc, (void *)(uintptr_t)chat->tokens[i].ptr);
    }
    krs_alloc_free(alloc, chat);
}

krs_reply_style krs_chat_template_style(const krs_chat_template *chat)
{
    return chat->style;
}

static krs_status add_tokens(const krs_chat_template *chat, json_t *inputs, krs_error *err)
{
    for (size_t i = 0; i < N_TOKENS; i++) {
        const krs_str text = chat->tokens[i];
        if (!text.ptr || json_object_get(inputs, token_names[i])) {
            continue;
        }
        if (json_object_set_new(inputs, token_names[i], json_stringn(text.ptr, text.len)) != 0) {
            return krs_fail(err, KRS_ENOMEM, "%s: out of memory", token_names[i]);
        }
    }
    return KRS_OK;
}

/* Once more, with the arguments of calls as text; err stays what it was where that fails, too. */
static krs_status render_with_text(const krs_template *template, const json_t *inputs,
                                   const krs_template_options *options, krs_buf *out)
{
    json_t *changed = NULL;
    krs_status status = krs_chat_arguments_to_text(inputs, &changed);
    if (status == KRS_OK) {
        status = changed ? krs_template_render(template, changed, options, out, NULL) : KRS_EINVAL;
    }
    json_decref(changed);
    return status;
}

krs_status krs_chat_template_render(const krs_chat_template *chat, const json_t *inputs,
                                    const krs_template_options *options, krs_buf *out,
                                    krs_error *err)
{
    if (!json_is_object(inputs)) {
        return krs_fail(err, KRS_EINVAL, "template: the inputs are not a JSON object");
    }
    const json_t *tools = json_object_get(inputs, "tools");
    const bool has_tools = tools && !json_is_null(tools);
    const krs_template *template = has_tools && chat->tool_use ? chat->tool_use : chat->main;
    /* A shallow copy: the caller's tree is not ours to add to. jansson's copy takes a non-const
     * handle but changes only reference counts. */
    json_t *all = json_copy((json_t *)(uintptr_t)inputs);
    if (!all) {
        return krs_fail(err, KRS_ENOMEM, "template: out of memory");
    }
    krs_status status = add_tokens(chat, all, err);
    if (status == KRS_OK) {
        const size_t n_before = out->len;
        status = krs_template_render(template, all, options, out, err);
        if (status == KRS_EINVAL && out->len == n_before &&
            render_with_text(template, all, options, out) == KRS_OK) {
            status = KRS_OK;
        }
    }
    json_decref(all);
    return status;
}
