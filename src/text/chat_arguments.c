/* text/chat_arguments.c - see chat_arguments.h. Only what leads to the arguments is copied: messages with
 * calls, the list of messages and the inputs themselves. */
#include "text/chat_arguments.h"

#include <stdlib.h>

static const json_t *arguments_of(const json_t *call)
{
    return json_object_get(json_object_get(call, "function"), "arguments");
}

static bool has_objects(const json_t *message)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        if (json_is_object(arguments_of(json_array_get(calls, i)))) {
            return true;
        }
    }
    return false;
}

/* In a message of our own. False: out of memory. */
static bool change_calls(json_t *message)
{
    json_t *calls = json_object_get(message, "tool_calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *function = json_object_get(json_array_get(calls, i), "function");
        const json_t *arguments = json_object_get(function, "arguments");
        if (!json_is_object(arguments)) {
            continue;
        }
        char *text = json_dumps(arguments, 0); /* as Python's json writes it */
        const bool is_good =
            text && json_object_set_new(function, "arguments", json_string(text)) == 0;
        free(text);
        if (!is_good) {
            return false;
        }
    }
    return true;
}

/* messages with the changed ones in place. NULL: out of memory. */
static json_t *change_messages(const json_t *messages)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)messages);
    for (size_t i = 0; copy && i < json_array_size(copy); i++) {
        if (!has_objects(json_array_get(copy, i))) {
            continue;
        }
        json_t *message = json_deep_copy(json_array_get(copy, i));
        const bool is_changed = message && change_calls(message);
        if (!is_changed) {
            json_decref(message);
        }
        if (!is_changed || json_array_set_new(copy, i, message) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

krs_status krs_chat_arguments_to_text(const json_t *inputs, json_t **out)
{
    const json_t *messages = json_object_get(inputs, "messages");
    bool has_any = false;
    *out = NULL;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        has_any = has_any || has_objects(json_array_get(messages, i));
    }
    if (!has_any) {
        return KRS_OK;
    }
    json_t *copy = json_copy((json_t *)(uintptr_t)inputs);
    if (!copy || json_object_set_new(copy, "messages", change_messages(messages)) != 0) {
        json_decref(copy);
        return KRS_ENOMEM;
    }
    *out = copy;
    return KRS_OK;
}
