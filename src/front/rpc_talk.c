/* front/rpc_talk.c - the answer of a chat, taken apart (turn.h) on its way into chunks.
 *
 *   stream.chunk   token: text of the answer; reasoning: what the model thought, when it did; a token that was
 *                  neither (a tag, a part of a call) has an empty text, so that every token is told
 *   stream.event   "tool_call": a whole call, with its arguments as JSON text; comes before what follows it
 *
 * The last stream.event has the finish_reason "tool_calls" when the answer ended with any.
 *
 * Thread: one, see rpc.h.  Memory: the turn's items, bounded, and one token's texts. */
#include "front/rpc_priv.h"

#include "os/random.h"

#define TOKEN_MAX_BYTES (4u << 20) /* held text that comes out with one token */

static bool has_more_than_text(const krs_tools *tools)
{
    return tools->n > 0 || tools->style.reasoning != KRS_REPLY_REASONING_NONE ||
           tools->style.format == KRS_REPLY_HARMONY;
}

/* choice and constraint of the tools that were read. */
static krs_status apply(krs_rpc_talk *talk, const krs_rpc_ask *ask, krs_request *request,
                        krs_error *err)
{
    krs_status status = krs_tools_read_choice(&talk->tools, ask->params, err);
    if (status == KRS_OK) {
        status = krs_tools_show(&talk->tools, request->prompt.chat, err);
    }
    return status == KRS_OK ? krs_tools_constrain(&talk->tools, request, err) : status;
}

krs_status krs_rpc_talk_new(const krs_rpc_ask *ask, const krs_model_info *info,
                            krs_request *request, krs_rpc_talk **out, krs_rpc_fault *fault)
{
    const krs_alloc *alloc = ask->session->desk->options.alloc;
    *out = NULL;
    krs_rpc_talk *talk = krs_alloc_zero(alloc, sizeof(*talk));
    if (!talk) {
        return krs_fail(&fault->error, KRS_ENOMEM, "no memory for the request");
    }
    krs_tools_init(&talk->tools, info, alloc);
    const krs_turn_options options = {.tools = &talk->tools,
                                      .id_prefix = "call_",
                                      .salt = krs_os_random_u64(),
                                      .is_kept = true,
                                      .alloc = alloc};
    krs_turn_init(&talk->turn, &options);
    krs_buf_init(&talk->content, alloc, TOKEN_MAX_BYTES);
    krs_buf_init(&talk->reasoning, alloc, TOKEN_MAX_BYTES);
    krs_status status =
        krs_tools_read(&talk->tools, ask->params, &krs_tools_form_rpc, &fault->error);
    if (status == KRS_OK) {
        status = apply(talk, ask, request, &fault->error);
    }
    if (status != KRS_OK || !has_more_than_text(&talk->tools)) {
        krs_rpc_talk_free(talk);
        return status;
    }
    *out = talk;
    return KRS_OK;
}

void krs_rpc_talk_free(krs_rpc_talk *talk)
{
    if (talk) {
        const krs_alloc *alloc = talk->tools.alloc;
        krs_turn_deinit(&talk->turn);
        krs_tools_deinit(&talk->tools);
        krs_buf_deinit(&talk->content);
        krs_buf_deinit(&talk->reasoning);
        krs_alloc_free(alloc, talk);
    }
}

/* One token on its way. */
typedef struct passage {
    krs_rpc_talk *talk;
    krs_rpc_pack *pack;
    const krs_token *token; /* until it is told */
} passage;

/* What has gathered of this token. is_last: nothing more will, so it is told in any case. */
static void say_token(passage *p, bool is_last)
{
    krs_rpc_talk *talk = p->talk;
    if (talk->content.len > 0 || talk->reasoning.len > 0 || (is_last && p->token)) {
        krs_rpc_pack_token(p->pack, p->token, krs_buf_view(&talk->content),
                           krs_buf_view(&talk->reasoning));
        p->token = NULL;
    }
    krs_buf_reset(&talk->content);
    krs_buf_reset(&talk->reasoning);
}

/* The whole call, behind everything that came before it. */
static void say_call(passage *p, const krs_turn_item *item)
{
    krs_emit e;
    size_t start;
    say_token(p, false);
    krs_rpc_pack_write(p->pack);
    krs_rpc_notify_begin(p->pack->session, "stream.event", 7, &e, &start);
    krs_emit_pair_str(&e, "stream_id", krs_str_of(p->pack->name));
    krs_emit_pair_str(&e, "event", KRS_STR("tool_call"));
    krs_emit_pair_int(&e, "index", item->call);
    krs_emit_pair_str(&e, "id", krs_str_of(item->id));
    krs_emit_pair_str(&e, "name", krs_str_of(item->name));
    krs_emit_pair_str(&e, "arguments", krs_buf_view(&item->text));
    krs_emit_pair_bool(&e, "is_final", false);
    krs_rpc_notify_end(p->pack->session, &e, start);
}

static krs_status hear_item(void *user, krs_turn_step step, krs_turn_item *item, krs_str text)
{
    passage *p = user;
    if (step == KRS_TURN_END && item->kind == KRS_TURN_CALL) {
        say_call(p, item);
    }
    if (step != KRS_TURN_PIECE || item->kind == KRS_TURN_CALL) {
        return KRS_OK;
    }
    return krs_buf_append_str(item->kind == KRS_TURN_TEXT ? &p->talk->content : &p->talk->reasoning,
                              text);
}

/* A token with its text; or text, or an end, without one. */
static void add_part(krs_rpc_talk *talk, krs_rpc_pack *pack, const krs_stream_event *part)
{
    passage p = {talk, pack, part->tokens};
    const krs_turn_sink sink = {&p, hear_item};
    const krs_status status =
        talk->is_lost ? KRS_ETOOLARGE : krs_turn_add(&talk->turn, part, &sink);
    if (status == KRS_ETOOLARGE) { /* what cannot be taken apart is told as it is */
        talk->is_lost = true;
        krs_rpc_pack_token(pack, p.token, part->text, (krs_str){NULL, 0});
    } else if (status != KRS_OK) {
        pack->session->is_broken = true; /* no memory for an answer */
    } else {
        say_token(&p, true);
    }
}

void krs_rpc_talk_add(krs_rpc_talk *talk, krs_rpc_pack *pack, const krs_stream_event *event)
{
    krs_str text = event->text;
    const uint32_t n = event->tokens ? event->n_tokens : 0;
    for (uint32_t i = 0; i < n; i++) {
        /* The last has the rest: its own, and what was held back until the end. */
        const bool is_last = i + 1 == n;
        const size_t n_own =
            event->tokens[i].n_text < text.len ? event->tokens[i].n_text : text.len;
        const size_t n_text = is_last ? text.len : n_own;
        const krs_stream_event part = {.text = {text.ptr, n_text},
                                       .tokens = &event->tokens[i],
                                       .n_tokens = 1,
                                       .is_reasoning = event->is_reasoning,
                                       .is_end = is_last && event->is_end};
        add_part(talk, pack, &part);
        text = (krs_str){text.ptr + n_text, text.len - n_text};
    }
    if (n == 0) {
        const krs_stream_event part = {
            .text = text, .is_reasoning = event->is_reasoning, .is_end = event->is_end};
        add_part(talk, pack, &part);
    }
}
