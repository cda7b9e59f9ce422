/* front/rpc_say.c - what a stream says: chunks, statistics, its last event.
 *
 *   token, token, ..  --add-->  pack (encoded pairs)  --write-->  one stream.chunk
 *
 * A pack keeps the tokens as bytes in the session's encoding, so that writing them costs one copy and
 * whether a message has one token or several is decided as late as possible. Fields that do not apply are
 * absent, never null: the contract's client drops a message with a null. cumulative_text is told by the last
 * token of a message and only while the answer is short, or messages would grow with the answer. */
#include "front/rpc_priv.h"

#include "base/utf8.h"
#include "os/clock.h"

#include <math.h>

#define DIGITS_LOGPROB 7 /* a float has no more */
#define DIGITS_TIME    6 /* microseconds of an answer that took seconds */

void krs_rpc_pack_init(krs_rpc_pack *pack, krs_rpc_session *session, const char *name,
                       krs_rpc_style style)
{
    *pack = (krs_rpc_pack){.session = session, .name = name, .style = style};
    krs_buf_init(&pack->bytes, session->desk->options.alloc, KRS_RPC_PACK_MAX_BYTES);
}

static void put_top(krs_emit *e, const krs_token *token)
{
    krs_emit_key(e, "top_logprobs");
    krs_emit_array(e, token->n_top);
    for (uint32_t i = 0; i < token->n_top; i++) {
        krs_emit_map(e, 3);
        krs_emit_pair_str(e, "token", token->top[i].bytes);
        krs_emit_pair_int(e, "token_id", token->top[i].token);
        krs_emit_pair_double(e, "logprob", (double)token->top[i].logprob, DIGITS_LOGPROB);
        krs_emit_end(e, '}');
    }
    krs_emit_end(e, ']');
}

/* What was asked for beside the token itself; returns how many pairs that is. */
static uint32_t put_logprobs(krs_emit *e, const krs_token *token)
{
    const bool has_logprob = isfinite((double)token->logprob);
    if (has_logprob) {
        krs_emit_pair_double(e, "logprob", (double)token->logprob, DIGITS_LOGPROB);
    }
    if (token->n_top > 0) {
        put_top(e, token);
    }
    return (uint32_t)has_logprob + (token->n_top > 0);
}

/* One token's pairs. token: NULL for text that belongs to the token before. */
static void add_piece(krs_rpc_pack *pack, const krs_token *token, krs_str text, krs_str reasoning)
{
    if (pack->n == KRS_RPC_FLUSH_TOKENS || pack->bytes.len >= KRS_RPC_PACK_BYTES) {
        krs_rpc_pack_write(pack);
    }
    pack->last_id = token ? token->id : pack->last_id;
    krs_emit e = krs_emit_to(&pack->bytes, pack->session->encoding);
    krs_emit_pair_str(&e, "token", text);
    krs_emit_pair_int(&e, "token_id", pack->last_id);
    krs_emit_pair_bool(&e, "is_final", false);
    if (reasoning.len > 0) {
        krs_emit_pair_str(&e, "reasoning", reasoning);
    }
    const uint32_t n_more =
        (reasoning.len > 0) + (pack->has_logprobs && token ? put_logprobs(&e, token) : 0);
    if (e.status != KRS_OK) {
        pack->session->is_broken = true; /* no memory for a few kilobytes */
        return;
    }
    pack->n_pairs[pack->n] = 3 + n_more;
    pack->ends[pack->n++] = (uint32_t)pack->bytes.len;
}

/* The longest beginning of text that fits a message and cuts no character. */
static size_t piece_of(krs_str text)
{
    size_t n = text.len < KRS_RPC_PIECE_BYTES ? text.len : KRS_RPC_PIECE_BYTES;
    while (n < text.len && n > KRS_RPC_PIECE_BYTES - 4 &&
           ((unsigned char)text.ptr[n] & 0xC0) == 0x80) {
        n--;
    }
    return n;
}

static void remember_text(krs_rpc_pack *pack, krs_str text)
{
    if (!pack->has_text || text.len > sizeof(pack->text) - pack->n_text) {
        pack->has_text = false;
        return;
    }
    memcpy(pack->text + pack->n_text, text.ptr, text.len);
    pack->n_text += (uint32_t)text.len;
}

static void add_text(krs_rpc_pack *pack, const krs_token *token, krs_str text)
{
    do {
        const size_t n = piece_of(text);
        if (n > 0) {
            remember_text(pack, (krs_str){text.ptr, n});
        }
        add_piece(pack, token, (krs_str){text.ptr, n}, (krs_str){NULL, 0});
        text = (krs_str){text.ptr + n, text.len - n};
        token = NULL;
        if (pack->style == KRS_RPC_STYLE_CONTINUOUS) {
            krs_rpc_pack_write(pack); /* single chunks only, says the contract */
        }
    } while (text.len > 0);
}

void krs_rpc_pack_token(krs_rpc_pack *pack, const krs_token *token, krs_str text, krs_str reasoning)
{
    const bool has_reasoning = reasoning.len > 0;
    while (reasoning.len > 0) {
        const size_t n = piece_of(reasoning);
        add_piece(pack, token, (krs_str){NULL, 0}, (krs_str){reasoning.ptr, n});
        reasoning = (krs_str){reasoning.ptr + n, reasoning.len - n};
        token = NULL; /* told once */
    }
    if (has_reasoning && text.len == 0) {
        return;
    }
    add_text(pack, token, text);
}

void krs_rpc_pack_add(krs_rpc_pack *pack, const krs_stream_event *event)
{
    krs_str text = event->text;
    for (uint32_t i = 0; event->tokens && i + 1 < event->n_tokens; i++) {
        const krs_token *token = &event->tokens[i];
        const size_t n = token->n_text < text.len ? token->n_text : text.len;
        add_text(pack, token, (krs_str){text.ptr, n});
        text = (krs_str){text.ptr + n, text.len - n};
    }
    /* The last has the rest: its own, and what was held back until the end. */
    const krs_token *last =
        event->tokens && event->n_tokens > 0 ? &event->tokens[event->n_tokens - 1] : NULL;
    if (last || text.len > 0) {
        add_text(pack, last, text);
    }
}

static krs_str token_of(const krs_rpc_pack *pack, uint32_t i)
{
    const uint32_t begin = i ? pack->ends[i - 1] : 0;
    return (krs_str){pack->bytes.data + begin, pack->ends[i] - begin};
}

static void put_text_so_far(const krs_rpc_pack *pack, krs_emit *e)
{
    if (pack->has_text) {
        krs_emit_pair_str(e, "cumulative_text", (krs_str){pack->text, pack->n_text});
    }
}

static void put_several(const krs_rpc_pack *pack, krs_emit *e)
{
    krs_emit_key(e, "tokens");
    krs_emit_array(e, pack->n);
    for (uint32_t i = 0; i < pack->n; i++) {
        const bool is_last = i + 1 == pack->n;
        krs_emit_map(e, pack->n_pairs[i] + (is_last && pack->has_text));
        krs_emit_raw(e, token_of(pack, i));
        if (is_last) {
            put_text_so_far(pack, e);
        }
        krs_emit_end(e, '}');
    }
    krs_emit_end(e, ']');
    krs_emit_pair_int(e, "batch_size", pack->n);
    krs_emit_pair_bool(e, "is_batch", true);
}

void krs_rpc_pack_write(krs_rpc_pack *pack)
{
    if (pack->n == 0) {
        return;
    }
    krs_emit e;
    size_t start;
    const uint32_t n_pairs = pack->n > 1 ? 3 : pack->n_pairs[0] + pack->has_text;
    krs_rpc_notify_begin(pack->session, "stream.chunk", 1 + n_pairs, &e, &start);
    krs_emit_pair_str(&e, "stream_id", krs_str_of(pack->name));
    if (pack->n > 1) {
        put_several(pack, &e);
    } else {
        krs_emit_raw(&e, token_of(pack, 0));
        put_text_so_far(pack, &e);
    }
    krs_rpc_notify_end(pack->session, &e, start);
    pack->n = 0;
    krs_buf_reset(&pack->bytes);
}

const char *krs_rpc_finish_name(krs_rpc_style style, krs_finish finish)
{
    switch (finish) {
    case KRS_FINISH_STOP:
        return style == KRS_RPC_STYLE_CONTINUOUS ? "eos" : "stop";
    case KRS_FINISH_DEADLINE:
        return "timeout";
    default:
        return krs_finish_name(finish);
    }
}

static double seconds(uint64_t ns)
{
    return (double)ns / KRS_NS_PER_S;
}

static double rate_of(const krs_usage *usage)
{
    return usage->total_ns > usage->first_token_ns && usage->first_token_ns > 0
               ? usage->n_answer_tokens / seconds(usage->total_ns - usage->first_token_ns)
               : 0;
}

static void say_stats(krs_rpc_session *session, const char *name, const krs_usage *usage)
{
    krs_emit e;
    size_t start;
    const bool has_draft = usage->n_accepted + usage->n_rejected > 0;
    krs_rpc_notify_begin(session, "stream.stats", has_draft ? 7 : 5, &e, &start);
    krs_emit_pair_str(&e, "stream_id", krs_str_of(name));
    krs_emit_pair_int(&e, "tokens_generated", usage->n_answer_tokens);
    krs_emit_pair_double(&e, "tokens_per_second", rate_of(usage), DIGITS_TIME);
    krs_emit_pair_double(&e, "time_to_first_token", seconds(usage->first_token_ns), DIGITS_TIME);
    krs_emit_pair_double(&e, "total_time", seconds(usage->total_ns), DIGITS_TIME);
    if (has_draft) {
        krs_emit_pair_int(&e, "draft_tokens_accepted", usage->n_accepted);
        krs_emit_pair_int(&e, "draft_tokens_rejected", usage->n_rejected);
    }
    krs_rpc_notify_end(session, &e, start);
}

static void put_continuous_stats(krs_emit *e, const char *reason, const krs_usage *usage)
{
    krs_emit_key(e, "stats");
    krs_emit_map(e, 5);
    krs_emit_pair_str(e, "finish_reason", krs_str_of(reason));
    krs_emit_pair_int(e, "tokens_generated", usage->n_answer_tokens);
    krs_emit_pair_double(e, "duration_ms", seconds(usage->total_ns) * 1e3, DIGITS_TIME);
    krs_emit_pair_double(e, "ttft_ms", seconds(usage->first_token_ns) * 1e3, DIGITS_TIME);
    krs_emit_pair_double(e, "tokens_per_sec", rate_of(usage), DIGITS_TIME);
    krs_emit_end(e, '}');
}

static const char *reason_of(krs_rpc_style style, const krs_rpc_ending *ending)
{
    if (!ending->reason && ending->has_calls && ending->finish == KRS_FINISH_STOP) {
        return "tool_calls";
    }
    return ending->reason ? ending->reason : krs_rpc_finish_name(style, ending->finish);
}

/* "completed" with stats inside, whatever happened; a failure is told beside them. */
static void end_continuous(krs_rpc_session *session, const char *name, const krs_rpc_ending *ending)
{
    const bool is_failed = ending->finish == KRS_FINISH_ERROR;
    krs_emit e;
    size_t start;
    krs_rpc_notify_begin(session, "stream.event", is_failed ? 5 : 4, &e, &start);
    krs_emit_pair_str(&e, "stream_id", krs_str_of(name));
    krs_emit_pair_str(&e, "event", KRS_STR("completed"));
    if (is_failed) {
        krs_emit_pair_str(&e, "error", ending->why);
    }
    put_continuous_stats(&e, reason_of(KRS_RPC_STYLE_CONTINUOUS, ending), &ending->usage);
    krs_emit_pair_bool(&e, "is_final", true);
    krs_rpc_notify_end(session, &e, start);
}

static void end_chunks(krs_rpc_session *session, const char *name, const krs_rpc_ending *ending)
{
    const bool is_failed = ending->finish == KRS_FINISH_ERROR;
    krs_emit e;
    size_t start;
    if (!is_failed) {
        say_stats(session, name, &ending->usage); /* before the event, or the client loses them */
    }
    krs_rpc_notify_begin(session, "stream.event", 4, &e, &start);
    krs_emit_pair_str(&e, "stream_id", krs_str_of(name));
    krs_emit_pair_str(&e, "event", is_failed ? KRS_STR("error") : KRS_STR("completed"));
    if (is_failed) {
        krs_emit_pair_str(&e, "error", ending->why);
    } else {
        krs_emit_pair_str(&e, "finish_reason", krs_str_of(reason_of(KRS_RPC_STYLE_CHUNKS, ending)));
    }
    krs_emit_pair_bool(&e, "is_final", true);
    krs_rpc_notify_end(session, &e, start);
}

void krs_rpc_say_end(krs_rpc_session *session, krs_rpc_style style, const char *name,
                     const krs_rpc_ending *ending)
{
    if (style == KRS_RPC_STYLE_CONTINUOUS) {
        end_continuous(session, name, ending);
    } else {
        end_chunks(session, name, ending);
    }
}
