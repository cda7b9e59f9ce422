/* front/rpc_generate.c - the methods that begin answers: one, many, many at once; and those that steer them. */
#include "front/rpc_priv.h"

#include "os/clock.h"

#define DIGITS_WALL 17 /* unix seconds with microseconds */

/* Streams whose ends one request waits for (batch_generate_parallel). */
struct krs_rpc_group {
    krs_rpc_session *session;
    krs_rpc_group *prev;
    krs_rpc_group *next;
    json_t *id; /* a reference, or NULL */
    uint32_t n_left;
};

/* {"stream_id": .., "started_at": ..} */
static void put_handshake(krs_emit *e, const char *name)
{
    krs_emit_map(e, 2);
    krs_emit_pair_str(e, "stream_id", krs_str_of(name));
    krs_emit_pair_double(e, "started_at", (double)krs_os_wall_ns() / KRS_NS_PER_S, DIGITS_WALL);
    krs_emit_end(e, '}');
}

krs_status krs_rpc_generate(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const char *name = NULL;
    const krs_status status = krs_rpc_stream_open(ask, KRS_RPC_STYLE_CHUNKS, NULL, &name, fault);
    krs_emit e;
    size_t start;
    if (status == KRS_OK && krs_rpc_reply_begin(ask->session, ask->id, &e, &start)) {
        put_handshake(&e, name);
        krs_rpc_reply_end(ask->session, ask->id, &e, start);
    }
    return status;
}

/* Every item names its stream, and no two the same: else nobody could tell whose tokens are whose. */
static krs_status check_names(const json_t *requests, krs_rpc_fault *fault)
{
    for (size_t i = 0; i < json_array_size(requests); i++) {
        const json_t *name = json_object_get(json_array_get(requests, i), "stream_id");
        if (!json_is_string(name) || json_string_length(name) == 0) {
            return krs_fail_field(&fault->error, KRS_EINVAL, "stream_id",
                                  "Invalid params: requests[%zu]: stream_id: required parameter is "
                                  "missing",
                                  i);
        }
        for (size_t k = 0; k < i; k++) {
            if (json_equal(name, json_object_get(json_array_get(requests, k), "stream_id"))) {
                return krs_fail_field(&fault->error, KRS_EINVAL, "stream_id",
                                      "Invalid params: requests[%zu]: stream_id \"%.100s\" is a "
                                      "duplicate",
                                      i, json_string_value(name));
            }
        }
    }
    return KRS_OK;
}

static krs_rpc_ask ask_of_item(const krs_rpc_ask *ask, json_t *item)
{
    const krs_method method = krs_method_row_of(ask->method)->items;
    return (krs_rpc_ask){ask->session, method, item, NULL, ask->now_ns};
}

static krs_status open_item(const krs_rpc_ask *item, krs_rpc_style style, krs_rpc_group *group,
                            const char **name, krs_rpc_fault *fault)
{
    const krs_status status = krs_method_check(item->method, item->params, &fault->error);
    return status == KRS_OK ? krs_rpc_stream_open(item, style, group, name, fault) : status;
}

static void put_outcome(krs_emit *e, const char *name, const krs_rpc_fault *fault)
{
    krs_emit_map(e, 3);
    krs_emit_pair_bool(e, "success", name != NULL);
    krs_emit_key(e, "result");
    if (name) {
        put_handshake(e, name);
    } else {
        krs_emit_null(e);
    }
    krs_emit_key(e, "error");
    if (name) {
        krs_emit_null(e);
    } else {
        krs_emit_str(e, krs_rpc_fault_text(fault));
    }
    krs_emit_end(e, '}');
}

krs_status krs_rpc_batch_generate(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const json_t *requests = json_object_get(ask->params, "requests");
    const krs_status status = check_names(requests, fault);
    if (status != KRS_OK) {
        return status;
    }
    krs_emit e = {.status = KRS_OK};
    size_t start;
    const bool is_asked = krs_rpc_reply_begin(ask->session, ask->id, &e, &start);
    if (is_asked) {
        krs_emit_map(&e, 1);
        krs_emit_key(&e, "results");
        krs_emit_array(&e, (uint32_t)json_array_size(requests));
    }
    for (size_t i = 0; i < json_array_size(requests); i++) {
        const krs_rpc_ask item = ask_of_item(ask, json_array_get(requests, i));
        krs_rpc_fault why = {.error = KRS_ERROR_INIT};
        const char *name = NULL;
        why.error.status = open_item(&item, KRS_RPC_STYLE_CHUNKS, NULL, &name, &why);
        if (is_asked) {
            put_outcome(&e, name, &why);
        }
    }
    if (is_asked) {
        krs_emit_end(&e, ']');
        krs_emit_end(&e, '}');
        krs_rpc_reply_end(ask->session, ask->id, &e, start);
    }
    return KRS_OK;
}

krs_status krs_rpc_continuous(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const char *name = NULL;
    const krs_status status =
        krs_rpc_stream_open(ask, KRS_RPC_STYLE_CONTINUOUS, NULL, &name, fault);
    if (status == KRS_OK) {
        krs_rpc_reply_tree(ask->session, ask->id, NULL);
    }
    return status;
}

/* One model, and no more requests than asked for. */
static krs_status check_parallel(const krs_rpc_ask *ask, const json_t *requests,
                                 krs_rpc_fault *fault)
{
    const size_t n = json_array_size(requests);
    const int64_t max = krs_method_int(ask->method, ask->params, "batch_size");
    if (n > (size_t)max) {
        return krs_fail_field(&fault->error, KRS_EINVAL, "requests",
                              "Invalid params: requests: %zu entries, want up to batch_size (%d)",
                              n, (int)max);
    }
    const json_t *model = json_object_get(json_array_get(requests, 0), "model_id");
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        json_t *item = json_array_get(requests, i);
        status = krs_method_check(KRS_METHOD_CONTINUOUS, item, &fault->error);
        if (status == KRS_OK && !json_equal(model, json_object_get(item, "model_id"))) {
            status =
                krs_fail_field(&fault->error, KRS_EINVAL, "model_id",
                               "Invalid params: requests[%zu]: model_id: want the same model in "
                               "all requests",
                               i);
        }
    }
    krs_model_info info;
    if (status == KRS_OK && n > 0) {
        status = krs_rpc_model_of(ask->session, krs_str_of(json_string_value(model)), &info, fault);
    }
    return status;
}

static krs_rpc_group *new_group(const krs_rpc_ask *ask)
{
    krs_rpc_session *session = ask->session;
    krs_rpc_group *group = krs_alloc_zero(session->desk->options.alloc, sizeof(*group));
    if (group) {
        *group = (krs_rpc_group){.session = session, .id = json_incref(ask->id), .n_left = 1};
        group->next = session->groups;
        if (session->groups) {
            session->groups->prev = group;
        }
        session->groups = group;
        session->n_unanswered++;
    }
    return group;
}

static void free_group(krs_rpc_group *group)
{
    krs_rpc_session *session = group->session;
    if (group->prev) {
        group->prev->next = group->next;
    } else {
        session->groups = group->next;
    }
    if (group->next) {
        group->next->prev = group->prev;
    }
    session->n_unanswered--;
    json_decref(group->id);
    krs_alloc_free(session->desk->options.alloc, group);
}

void krs_rpc_group_leave(krs_rpc_group *group)
{
    if (--group->n_left == 0) {
        krs_service_count_method(group->session->desk->options.service, KRS_METHOD_PARALLEL, false);
        krs_rpc_reply_tree(group->session, group->id, NULL);
        free_group(group);
    }
}

void krs_rpc_groups_drop(krs_rpc_session *session)
{
    while (session->groups) {
        free_group(session->groups);
    }
}

krs_status krs_rpc_parallel(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const json_t *requests = json_object_get(ask->params, "requests");
    const krs_status status = check_parallel(ask, requests, fault);
    if (status != KRS_OK) {
        return status;
    }
    krs_rpc_group *group = new_group(ask);
    if (!group) {
        return KRS_ENOMEM;
    }
    for (size_t i = 0; i < json_array_size(requests); i++) {
        const krs_rpc_ask item = ask_of_item(ask, json_array_get(requests, i));
        krs_rpc_fault why = {.error = KRS_ERROR_INIT};
        const char *name = NULL;
        why.error.status = open_item(&item, KRS_RPC_STYLE_CONTINUOUS, group, &name, &why);
        if (name) {
            group->n_left++;
        } else {
            krs_rpc_stream_refuse(ask->session,
                                  krs_method_text(item.method, item.params, "stream_id"), &why);
        }
    }
    krs_rpc_group_leave(group); /* the one it began with: an empty group is answered now */
    return KRS_OK;
}

static krs_rpc_stream *stream_of(const krs_rpc_ask *ask)
{
    return krs_rpc_stream_named(ask->session,
                                krs_method_text(ask->method, ask->params, "stream_id"));
}

krs_status krs_rpc_cancel(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_rpc_stream *stream = stream_of(ask);
    (void)fault;
    if (stream) {
        krs_rpc_stream_cancel(stream);
    }
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:b}", "cancelled", stream != NULL));
    return KRS_OK;
}

krs_status krs_rpc_credit(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_rpc_stream *stream = stream_of(ask);
    const uint32_t n = (uint32_t)krs_method_int(ask->method, ask->params, "n");
    const uint32_t n_granted = stream ? krs_rpc_stream_credit(stream, n) : 0;
    (void)fault;
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:I}", "granted", (json_int_t)n_granted));
    return KRS_OK;
}
