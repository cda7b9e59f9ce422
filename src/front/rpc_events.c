/* front/rpc_events.c - a client that watches: events of the bus as notifications; and the choice of framing.
 *
 *   publisher --> feed's ring --wake--> post --> session's thread: ring to `event` notifications
 *
 * At most one post is under way for a session, so a storm of events costs one. It outlives the session when
 * it must: the carrier still holds it then. What the peer does not read stays in the ring, and is dropped and
 * counted there. */
#include "front/rpc_priv.h"

#include <stdatomic.h>

struct krs_rpc_watch {
    krs_rpc_post post;        /* first */
    krs_rpc_session *session; /* NULL: gone; the post frees this */
    const krs_alloc *alloc;
    _Atomic bool is_posted;
    krs_feed *feeds[KRS_RPC_TOPICS];
    uint32_t n_feeds;
};

static void put_event(krs_rpc_session *session, krs_str line)
{
    krs_emit e = krs_emit_to(&session->out, session->encoding);
    const size_t start = krs_rpc_open(&e, 3);
    krs_emit_pair_str(&e, "method", KRS_STR("event"));
    krs_emit_key(&e, "params");
    if (session->encoding == KRS_ENCODING_JSON) {
        krs_emit_raw(&e, line);
    } else {
        const krs_json_limits limits = {KRS_FEED_LINE_BYTES, true};
        json_t *tree = NULL;
        if (krs_json_parse(line, &limits, &tree, NULL) != KRS_OK) {
            e.status = KRS_EFORMAT;
        }
        krs_emit_tree(&e, tree);
        json_decref(tree);
    }
    if (krs_rpc_close(&e, start) == KRS_ENOMEM) {
        session->is_broken = true;
    }
}

void krs_rpc_watch_pump(krs_rpc_session *session)
{
    krs_rpc_watch *watch = session->watch;
    char line[KRS_FEED_LINE_BYTES];
    for (uint32_t i = 0; watch && i < watch->n_feeds; i++) {
        size_t n = 0;
        while (krs_rpc_is_hungry(session) && (n = krs_feed_next(watch->feeds[i], line)) > 0) {
            put_event(session, (krs_str){line, n});
        }
    }
}

static void run_watch(krs_rpc_post *post)
{
    krs_rpc_watch *watch = (krs_rpc_watch *)post;
    atomic_store_explicit(&watch->is_posted, false, memory_order_release);
    if (watch->session) {
        krs_rpc_watch_pump(watch->session);
    } else {
        krs_alloc_free(watch->alloc, watch);
    }
}

/* On a publisher's thread. Acquire-release: pairs with the store in run_watch, which has put the post back. */
static void wake(void *ctx)
{
    krs_rpc_watch *watch = ctx;
    if (!atomic_exchange_explicit(&watch->is_posted, true, memory_order_acq_rel)) {
        const krs_rpc_desk_options *desk = &watch->session->desk->options;
        desk->carrier->post(desk->carrier_ctx, &watch->post);
    }
}

void krs_rpc_watch_close(krs_rpc_session *session)
{
    krs_rpc_watch *watch = session->watch;
    session->watch = NULL;
    for (uint32_t i = 0; watch && i < watch->n_feeds; i++) {
        krs_feed_close(watch->feeds[i]); /* wakes no more */
    }
    if (watch && atomic_load_explicit(&watch->is_posted, memory_order_acquire)) {
        watch->session = NULL;
    } else if (watch) {
        krs_alloc_free(watch->alloc, watch);
    }
}

static krs_status open_feeds(const krs_rpc_ask *ask, const json_t *topics, krs_rpc_watch *watch,
                             krs_rpc_fault *fault)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(topics); i++) {
        const krs_feed_options options = {
            .topic = json_string_value(json_array_get(topics, i)), .ctx = watch, .wake = wake};
        status = krs_service_watch(ask->session->desk->options.service, &options,
                                   &watch->feeds[watch->n_feeds], &fault->error);
        watch->n_feeds += status == KRS_OK;
    }
    return status;
}

krs_status krs_rpc_subscribe(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_rpc_session *session = ask->session;
    const json_t *topics = json_object_get(ask->params, "topics");
    const krs_alloc *alloc = session->desk->options.alloc;
    krs_rpc_watch *watch = krs_alloc_zero(alloc, sizeof(*watch));
    if (!watch) {
        return KRS_ENOMEM;
    }
    krs_rpc_watch_close(session);
    watch->post.run = run_watch;
    watch->session = session;
    watch->alloc = alloc;
    session->watch = watch;
    const krs_status status = open_feeds(ask, topics, watch, fault);
    if (status != KRS_OK) {
        krs_rpc_watch_close(session);
        return status;
    }
    krs_rpc_reply_tree(session, ask->id, json_pack("{s:O}", "topics", topics));
    return KRS_OK;
}

krs_status krs_rpc_negotiate(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_rpc_session *session = ask->session;
    const krs_str framing = krs_method_text(ask->method, ask->params, "framing");
    (void)fault;
    krs_rpc_streams_flush(session, UINT64_MAX); /* what has gathered is in the old encoding */
    if (framing.len > 0) {
        session->next_encoding =
            krs_str_equal(framing, KRS_STR("msgpack")) ? KRS_ENCODING_MSGPACK : KRS_ENCODING_JSON;
    }
    if (krs_method_has(ask->params, "max_line_bytes")) {
        session->options.max_line_bytes =
            (size_t)krs_method_int(ask->method, ask->params, "max_line_bytes");
    }
    krs_rpc_reply_tree(session, ask->id,
                       json_pack("{s:s,s:I}", "framing",
                                 session->next_encoding == KRS_ENCODING_JSON ? "json" : "msgpack",
                                 "max_line_bytes", (json_int_t)session->options.max_line_bytes));
    return KRS_OK;
}
