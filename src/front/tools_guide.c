/* front/tools_guide.c - what was asked for beside the tools themselves: shown to the template, and promised.
 *
 * A choice that demands a call needs the answer constrained, which is refused until it can be. */
#include "front/tools.h"

#include "front/call_priv.h"
#include "front/turn.h"

krs_status krs_tools_show(const krs_tools *tools, json_t *chat, krs_error *err)
{
    if (tools->n == 0) {
        return KRS_OK;
    }
    return json_object_set_new(chat, "tools", json_deep_copy(tools->list)) == 0
               ? KRS_OK
               : krs_fail(err, KRS_ENOMEM, "tools: no memory");
}

krs_status krs_tools_constrain(const krs_tools *tools, krs_request *request, krs_error *err)
{
    request->task_options.is_special_shown = krs_turn_needs_special(tools);
    if (tools->choice == KRS_TOOLS_REQUIRED || tools->choice == KRS_TOOLS_NAMED) {
        return krs_call_refuse(err, "tool_choice", "only \"auto\" and \"none\" are supported");
    }
    return KRS_OK;
}
