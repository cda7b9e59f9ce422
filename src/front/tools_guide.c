/* front/tools_guide.c - what was promised about calls, as a guidance of the request.
 *
 * text/reply_shape.h knows how the model's format writes a call; its tree is copied node by node into the
 * request, whose kinds of nodes are the same.
 *
 * A schema constrains arguments where its tool is strict or a call of it is demanded; elsewhere any JSON
 * object will do, as the APIs have it.
 *
 * A form that the request asks for (a schema, a choice, ..) is of content: it stands behind the model's reasoning,
 * and behind the head of a message where the format has one. Beside tools the answer is calls or such content, as
 * the model likes; where a call is demanded there is no content, and the form has nothing to hold. */
#include "front/tools.h"

#include "base/check.h"
#include "front/call_priv.h"
#include "front/turn.h"
#include "text/reply_shape.h"

#include <stdio.h>

_Static_assert((int)KRS_REPLY_SHAPE_LITERAL == (int)KRS_GUIDE_LITERAL &&
                   (int)KRS_REPLY_SHAPE_SCHEMA == (int)KRS_GUIDE_SCHEMA &&
                   (int)KRS_REPLY_SHAPE_REPEAT == (int)KRS_GUIDE_REPEAT,
               "kinds of shapes are kinds of guides");
_Static_assert(KRS_REPLY_SHAPE_INF == KRS_GUIDANCE_REPEAT_INF, "no end is no end");

#define MAX_WAYS 2u /* in which a message of one format may begin */

static krs_status no_memory(krs_error *err)
{
    return krs_fail(err, KRS_ENOMEM, "tools: no memory");
}

/* What an error in a schema of this tool's parameters names: "tools[3].function.parameters". NULL: no memory. */
static const char *field_of(const krs_tools *tools, krs_str name, krs_arena *arena)
{
    char field[KRS_ERROR_FIELD_BYTES];
    uint32_t i = 0;
    while (i + 1 < tools->n && !krs_str_equal(tools->offered[i].name, name)) {
        i++;
    }
    const char *inner = tools->form->inner;
    (void)snprintf(field, sizeof(field), "tools[%u].%s%s%s", i, inner ? inner : "",
                   inner ? "." : "", tools->form->schema);
    return krs_arena_copy(arena, (krs_str){field, strlen(field) + 1}).ptr;
}

/* depth: levels that may still be below. */
static krs_status copy_shape(const krs_tools *tools, const krs_reply_shape *shape, uint32_t depth,
                             krs_arena *arena, krs_guide *out, krs_error *err)
{
    *out = (krs_guide){.kind = (krs_guide_kind)shape->kind,
                       .text = shape->text,
                       .n_parts = shape->n_parts,
                       .min = shape->min,
                       .max = shape->max};
    if (shape->tool.len > 0) {
        out->field = field_of(tools, shape->tool, arena);
    }
    if (shape->tool.len > 0 && !out->field) {
        return no_memory(err);
    }
    if (shape->n_parts == 0) {
        return KRS_OK;
    }
    KRS_CHECK(depth > 0); /* a shape has a handful of levels */
    krs_guide *parts = krs_arena_array(arena, shape->n_parts, sizeof(*parts));
    if (!parts) {
        return no_memory(err);
    }
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < shape->n_parts; i++) {
        status = copy_shape(tools, &shape->parts[i], depth - 1, arena, &parts[i], err);
    }
    out->parts = parts;
    return status;
}

static bool is_demanded(const krs_tools *tools)
{
    return tools->choice == KRS_TOOLS_REQUIRED || tools->choice == KRS_TOOLS_NAMED;
}

static bool is_constrained(const krs_tools *tools)
{
    bool is_promised = is_demanded(tools) || tools->is_single || tools->n_barred > 0;
    for (uint32_t i = 0; i < tools->n; i++) {
        is_promised = is_promised || tools->is_strict[i];
    }
    return is_promised && tools->n > 0;
}

static bool may_call(const krs_tools *tools, uint32_t i)
{
    return tools->choice == KRS_TOOLS_NAMED ? i == tools->named : !tools->is_barred[i];
}

/* The tools that may be called, each with the schema that binds it, if one does. */
static const krs_reply_tool *bound_tools(const krs_tools *tools, krs_arena *arena, uint32_t *n)
{
    krs_reply_tool *bound = krs_arena_array(arena, tools->n, sizeof(*bound));
    *n = 0;
    for (uint32_t i = 0; bound && i < tools->n; i++) {
        if (!may_call(tools, i)) {
            continue;
        }
        bound[*n] = tools->offered[i];
        if (!is_demanded(tools) && !tools->is_strict[i]) {
            bound[*n].parameters = NULL;
        }
        (*n)++;
    }
    return bound;
}

/* Calls as a guide; is_alone: nothing but calls. */
static krs_status make_calls(const krs_tools *tools, bool is_alone, bool is_after_reasoning,
                             krs_arena *arena, krs_guide *out, krs_error *err)
{
    krs_reply_demand demand = {.is_required = is_alone, .is_parallel = !tools->is_single};
    demand.tools = bound_tools(tools, arena, &demand.n_tools);
    if (!demand.tools) {
        return no_memory(err);
    }
    krs_reply_shape shape;
    krs_status status =
        krs_reply_shape_calls(tools->style, &demand, is_after_reasoning, arena, &shape, err);
    if (status == KRS_OK) {
        status = copy_shape(tools, &shape, KRS_GUIDANCE_MAX_DEPTH, arena, out, err);
        out->field = "tools";
    }
    if (status != KRS_OK && err && err->field[0] == '\0') {
        const krs_error why = *err;
        const char *field = is_demanded(tools) ? "tool_choice" : "tools";
        return krs_fail_field(err, status, field, "%s: %s", field, why.message);
    }
    return status;
}

/* Harmony's messages begin differently behind reasoning: either way will do. */
static uint32_t n_ways(const krs_tools *tools)
{
    return tools->style.format == KRS_REPLY_HARMONY ? MAX_WAYS : 1;
}

/* Content of the form that the request asks for, with the head that the model's format has before it. */
static krs_status make_content(const krs_tools *tools, const krs_guidance *form, krs_arena *arena,
                               krs_guide *out, krs_error *err)
{
    krs_guide *parts = krs_arena_array(arena, 2, sizeof(*parts));
    krs_guide *heads = krs_arena_array(arena, MAX_WAYS, sizeof(*heads));
    const uint32_t n = n_ways(tools);
    krs_status status = KRS_OK;
    if (!parts || !heads) {
        return no_memory(err);
    }
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        krs_reply_shape head;
        status = krs_reply_shape_content_head(tools->style, i == 1, arena, &head);
        status = status == KRS_OK
                     ? copy_shape(tools, &head, KRS_GUIDANCE_MAX_DEPTH, arena, &heads[i], err)
                     : no_memory(err);
    }
    if (status == KRS_OK) {
        parts[0] = (krs_guide){.kind = KRS_GUIDE_ALT, .parts = heads, .n_parts = n};
        parts[1] = form->root;
        *out =
            n == 1 ? form->root : (krs_guide){.kind = KRS_GUIDE_SEQ, .parts = parts, .n_parts = 2};
        out->field = form->field;
    }
    return status;
}

/* The answer behind its reasoning: calls, or content of the form, or either. form: NULL for none. */
static krs_status make_root(const krs_tools *tools, const krs_guidance *form, bool has_calls,
                            krs_arena *arena, krs_guide *out, krs_error *err)
{
    krs_guide *ways = krs_arena_array(arena, MAX_WAYS + 1, sizeof(*ways));
    const bool is_alone = form || is_demanded(tools);
    krs_status status = KRS_OK;
    if (!ways) {
        return no_memory(err);
    }
    const uint32_t n_calls = has_calls ? n_ways(tools) : 0;
    uint32_t n = 0;
    while (status == KRS_OK && n < n_calls) {
        status = make_calls(tools, is_alone, n == 1, arena, &ways[n], err);
        n++;
    }
    if (status == KRS_OK && form) {
        status = make_content(tools, form, arena, &ways[n++], err);
    }
    if (status == KRS_OK) {
        *out = n == 1 ? ways[0] : (krs_guide){.kind = KRS_GUIDE_ALT, .parts = ways, .n_parts = n};
    }
    return status;
}

/* Does the model have a format of calls at all? Where it has none, tools are but words in its prompt. */
static bool has_format(const krs_tools *tools)
{
    return tools->style.format != KRS_REPLY_PLAIN;
}

static krs_status constrain(const krs_tools *tools, krs_request *request, krs_error *err)
{
    krs_guidance *guidance = &request->guidance;
    const krs_guidance asked = *guidance;
    const bool has_form = asked.kind != KRS_GUIDANCE_NONE && !is_demanded(tools);
    const bool has_calls = is_constrained(tools) || (tools->n > 0 && has_format(tools));
    krs_guidance made = has_form ? asked
                                 : (krs_guidance){.kind = KRS_GUIDANCE_CALLS,
                                                  .space = KRS_GUIDANCE_SPACE_SINGLE,
                                                  .field = "tools"};
    krs_reply_style_tags(tools->style, &made.reasoning_open, &made.reasoning_close);
    const krs_status status =
        make_root(tools, has_form ? &asked : NULL, has_calls, &request->arena, &made.root, err);
    if (status == KRS_OK) {
        *guidance = made;
    }
    return status;
}

krs_status krs_tools_show(const krs_tools *tools, json_t *chat, krs_error *err)
{
    if (tools->n == 0) {
        return KRS_OK;
    }
    return json_object_set_new(chat, "tools", json_deep_copy(tools->list)) == 0 ? KRS_OK
                                                                                : no_memory(err);
}

krs_status krs_tools_constrain(const krs_tools *tools, krs_request *request, krs_error *err)
{
    request->task_options.is_special_shown = krs_turn_needs_special(tools);
    const bool is_asked = is_constrained(tools) || request->guidance.kind != KRS_GUIDANCE_NONE;
    return is_asked ? constrain(tools, request, err) : KRS_OK;
}
