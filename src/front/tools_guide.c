/* front/tools_guide.c - what was promised about calls, as a guidance of the request.
 *
 * text/reply_shape.h knows how the model's format writes a call; its tree is copied node by node into the
 * request, whose kinds of nodes are the same.
 *
 * A schema constrains arguments where its tool is strict or a call of it is demanded; elsewhere any JSON
 * object will do, as the APIs have it. */
#include "front/tools.h"

#include "base/check.h"
#include "front/call_priv.h"
#include "front/turn.h"
#include "text/reply_shape.h"

_Static_assert((int)KRS_REPLY_SHAPE_LITERAL == (int)KRS_GUIDE_LITERAL &&
                   (int)KRS_REPLY_SHAPE_SCHEMA == (int)KRS_GUIDE_SCHEMA &&
                   (int)KRS_REPLY_SHAPE_REPEAT == (int)KRS_GUIDE_REPEAT,
               "kinds of shapes are kinds of guides");
_Static_assert(KRS_REPLY_SHAPE_INF == KRS_GUIDANCE_REPEAT_INF, "no end is no end");

static krs_status no_memory(krs_error *err)
{
    return krs_fail(err, KRS_ENOMEM, "tools: no memory");
}

/* depth: levels that may still be below. */
static krs_status copy_shape(const krs_reply_shape *shape, uint32_t depth, krs_arena *arena,
                             krs_guide *out, krs_error *err)
{
    *out = (krs_guide){.kind = (krs_guide_kind)shape->kind,
                       .text = shape->text,
                       .n_parts = shape->n_parts,
                       .min = shape->min,
                       .max = shape->max};
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
        status = copy_shape(&shape->parts[i], depth - 1, arena, &parts[i], err);
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
    bool is_promised = is_demanded(tools) || tools->is_single;
    for (uint32_t i = 0; i < tools->n; i++) {
        is_promised = is_promised || tools->is_strict[i];
    }
    return is_promised && tools->n > 0;
}

/* The tools that may be called, each with the schema that binds it, if one does. */
static const krs_reply_tool *bound_tools(const krs_tools *tools, krs_arena *arena, uint32_t *n)
{
    const uint32_t first = tools->choice == KRS_TOOLS_NAMED ? tools->named : 0;
    *n = tools->choice == KRS_TOOLS_NAMED ? 1 : tools->n;
    krs_reply_tool *bound = krs_arena_array(arena, *n, sizeof(*bound));
    for (uint32_t i = 0; bound && i < *n; i++) {
        bound[i] = tools->offered[first + i];
        if (!is_demanded(tools) && !tools->is_strict[first + i]) {
            bound[i].parameters = NULL;
        }
    }
    return bound;
}

/* One shape of the calls as a guide. */
static krs_status make_guide(const krs_tools *tools, bool is_after_reasoning, krs_arena *arena,
                             krs_guide *out, krs_error *err)
{
    krs_reply_demand demand = {.is_required = is_demanded(tools), .is_parallel = !tools->is_single};
    demand.tools = bound_tools(tools, arena, &demand.n_tools);
    if (!demand.tools) {
        return no_memory(err);
    }
    krs_reply_shape shape;
    const krs_status status =
        krs_reply_shape_calls(tools->style, &demand, is_after_reasoning, arena, &shape, err);
    return status == KRS_OK ? copy_shape(&shape, KRS_GUIDANCE_MAX_DEPTH, arena, out, err) : status;
}

/* Harmony's answers begin differently behind reasoning: either will do. */
static krs_status make_either(const krs_tools *tools, krs_arena *arena, krs_guide *out,
                              krs_error *err)
{
    krs_guide *both = krs_arena_array(arena, 2, sizeof(*both));
    if (!both) {
        return no_memory(err);
    }
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < 2; i++) {
        status = make_guide(tools, i == 1, arena, &both[i], err);
    }
    *out = (krs_guide){.kind = KRS_GUIDE_ALT, .parts = both, .n_parts = 2};
    return status;
}

static krs_status constrain(const krs_tools *tools, krs_request *request, krs_error *err)
{
    krs_guidance *guidance = &request->guidance;
    if (guidance->kind != KRS_GUIDANCE_NONE) {
        return krs_call_refuse(err, "tool_choice",
                               "demands a call, and %s something else: only one can be had",
                               guidance->field ? guidance->field : "the request");
    }
    krs_guidance made = {.kind = KRS_GUIDANCE_CALLS, .field = "tools"};
    krs_reply_style_tags(tools->style, &made.reasoning_open, &made.reasoning_close);
    const krs_status status = tools->style.format == KRS_REPLY_HARMONY
                                  ? make_either(tools, &request->arena, &made.root, err)
                                  : make_guide(tools, false, &request->arena, &made.root, err);
    if (status == KRS_OK) {
        *guidance = made;
        return KRS_OK;
    }
    if (err && err->field[0] == '\0') {
        const krs_error why = *err;
        const char *field = is_demanded(tools) ? "tool_choice" : "tools";
        return krs_fail_field(err, status, field, "%s: %s", field, why.message);
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
    return is_constrained(tools) ? constrain(tools, request, err) : KRS_OK;
}
