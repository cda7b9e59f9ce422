/* front/rpc_batch.c - tokenize, detokenize and embeddings, and their batch forms: many tasks, one reply.
 *
 *   items:  [done done open open .. waiting ..]   at most BATCH_OPEN open at once, so that one call does not
 *                                                 take every place in the runtime's queue
 *
 * Tasks run in parallel on the runtime's own threads, results are kept in order, and an item fails alone.
 * A single call is a batch of one. The reply must fit the line that the client reads: token_strings are
 * left out first (the contract calls them optional), then items at the end fail, each saying why. */
#include "front/rpc_priv.h"

#include "os/clock.h"

#define BATCH_OPEN       16u /* twice what the prep pool of a large host runs */
#define MAX_INPUTS       256u
#define TOKENIZER_ERROR  (-32003)
#define DIGITS_EMBEDDING 7  /* a float has no more */
#define OUTCOME_BYTES    64 /* {"success":true,"result":,"error":null}, and some */

typedef struct item {
    krs_rpc_task task; /* first */
    krs_rpc_batch *batch;
    uint64_t opened_ns;
    json_t *result; /* of a success; NULL for embeddings */
    float *vector;  /* [n_vector] of embeddings */
    uint32_t n_vector;
    uint32_t n_prompt_tokens;
    krs_rpc_fault fault; /* status KRS_OK: none */
} item;

struct krs_rpc_batch {
    krs_rpc_session *session;
    krs_rpc_batch *prev;
    krs_rpc_batch *next;
    json_t *id;     /* a reference, or NULL */
    json_t *params; /* a reference: inputs are read when their turn comes */
    krs_method called;
    krs_method method; /* of the items */
    uint32_t n_items;
    uint32_t n_started;
    uint32_t n_open;
    item items[]; /* [n_items] */
};

/* The parameters of one item, borrowed: of the call itself, or an object of `requests`. */
static json_t *params_of(const krs_rpc_batch *batch, uint32_t i)
{
    return batch->method == batch->called
               ? batch->params
               : json_array_get(json_object_get(batch->params, "requests"), i);
}

static krs_str input_of(const krs_rpc_batch *batch, uint32_t i)
{
    const json_t *input = json_object_get(batch->params, "input");
    const json_t *text = json_is_array(input) ? json_array_get(input, i) : input;
    return (krs_str){json_string_value(text), json_string_length(text)};
}

static krs_status copy_text(krs_request *request, krs_str text)
{
    request->prompt.kind = KRS_PROMPT_TEXT;
    request->prompt.text = krs_arena_copy(&request->arena, text);
    return request->prompt.text.ptr ? KRS_OK : KRS_ENOMEM;
}

static krs_status fill_tokenize(const krs_rpc_ask *ask, krs_request *request)
{
    const krs_str text = krs_method_text(ask->method, ask->params, "text");
    request->task = KRS_TASK_TOKENIZE;
    request->task_options.has_no_special =
        !krs_method_bool(ask->method, ask->params, "add_special_tokens");
    /* Strings of the tokens take more than the text itself. */
    request->task_options.has_pieces = text.len < ask->session->options.max_line_bytes;
    return copy_text(request, text);
}

static krs_status fill_detokenize(const krs_rpc_ask *ask, krs_request *request,
                                  krs_rpc_fault *fault)
{
    request->task = KRS_TASK_DETOKENIZE;
    request->task_options.is_special_shown =
        !krs_method_bool(ask->method, ask->params, "skip_special_tokens");
    return krs_rpc_request_tokens(request, json_object_get(ask->params, "tokens"), fault);
}

static krs_status fill_embed(const krs_rpc_ask *ask, krs_str text, krs_request *request)
{
    const krs_str pooling = krs_method_text(ask->method, ask->params, "pooling");
    request->task = KRS_TASK_EMBED;
    request->task_options.pooling = krs_str_equal(pooling, KRS_STR("mean"))   ? KRS_POOLING_MEAN
                                    : krs_str_equal(pooling, KRS_STR("last")) ? KRS_POOLING_LAST
                                    : krs_str_equal(pooling, KRS_STR("cls"))  ? KRS_POOLING_CLS
                                                                              : KRS_POOLING_MODEL;
    return copy_text(request, text);
}

/* A request for item i; nothing of it is left on failure. */
static krs_status make_request(const krs_rpc_batch *batch, uint32_t i, krs_request **out,
                               krs_rpc_fault *fault)
{
    const krs_rpc_ask ask = {batch->session, batch->method, params_of(batch, i), NULL,
                             krs_os_now_ns()};
    krs_model_info info;
    krs_request *request = NULL;
    krs_status status = krs_method_check(ask.method, ask.params, &fault->error);
    if (status == KRS_OK) {
        status = krs_rpc_request_for(&ask, krs_method_text(ask.method, ask.params, "model_id"),
                                     &info, &request, fault);
    }
    if (status == KRS_OK) {
        status = batch->method == KRS_METHOD_TOKENIZE ? fill_tokenize(&ask, request)
                 : batch->method == KRS_METHOD_DETOKENIZE
                     ? fill_detokenize(&ask, request, fault)
                     : fill_embed(&ask, input_of(batch, i), request);
    }
    if (status != KRS_OK) {
        krs_request_free(request);
        return status;
    }
    *out = request;
    return KRS_OK;
}

/* False: the runtime is full of our own items; try again when one has ended. */
static bool start_item(krs_rpc_batch *batch, uint32_t i)
{
    item *it = &batch->items[i];
    const krs_rpc_carrier *carrier = batch->session->desk->options.carrier;
    krs_request *request = NULL;
    krs_status status = make_request(batch, i, &request, &it->fault);
    if (status == KRS_OK) {
        it->task = (krs_rpc_task){KRS_RPC_TASK_ITEM, batch->session, NULL};
        it->batch = batch;
        it->opened_ns = krs_os_now_ns();
        status = carrier->open(batch->session->options.carrier_ctx, request, &it->task,
                               &it->task.handle, &it->fault.error);
        if (status == KRS_OK) {
            batch->n_open++;
            return true;
        }
        krs_request_free(request);
    }
    if (status == KRS_EBUSY && batch->n_open > 0) {
        it->fault = (krs_rpc_fault){.error = KRS_ERROR_INIT};
        return false;
    }
    it->fault.error.status = status;
    return true;
}

static void free_batch(krs_rpc_batch *batch)
{
    krs_rpc_session *session = batch->session;
    if (batch->prev) {
        batch->prev->next = batch->next;
    } else {
        session->batches = batch->next;
    }
    if (batch->next) {
        batch->next->prev = batch->prev;
    }
    session->n_unanswered--;
    for (uint32_t i = 0; i < batch->n_items; i++) {
        json_decref(batch->items[i].result);
        krs_alloc_free(session->desk->options.alloc, batch->items[i].vector);
    }
    json_decref(batch->params);
    json_decref(batch->id);
    krs_alloc_free(session->desk->options.alloc, batch);
}

static bool is_failed(const item *it)
{
    return it->fault.error.status != KRS_OK;
}

/* What a client is told of a task that failed: not loaded and wrong parameters by their own codes. */
static void blame(krs_rpc_batch *batch, uint32_t i)
{
    krs_rpc_fault *fault = &batch->items[i].fault;
    const krs_status status = fault->error.status;
    const bool is_own = status == KRS_ENOTLOADED || status == KRS_EINVAL || status == KRS_EBUSY ||
                        status == KRS_EUNAVAILABLE || batch->method == KRS_METHOD_EMBEDDINGS;
    if (!is_own) {
        (void)krs_rpc_blame(fault, TOKENIZER_ERROR, "Tokenizer error for",
                            krs_method_text(batch->method, params_of(batch, i), "model_id"));
    }
    krs_rpc_hide_paths(fault->error.message);
}

/* What the results take, as they would be written. */
static size_t bytes_of(const item *it)
{
    return is_failed(it) ? strlen(it->fault.error.message) + OUTCOME_BYTES
                         : json_dumpb(it->result, NULL, 0, JSON_COMPACT) + OUTCOME_BYTES;
}

static size_t bytes_of_all(const krs_rpc_batch *batch)
{
    size_t n = OUTCOME_BYTES + KRS_RPC_MAX_ID_BYTES;
    for (uint32_t i = 0; i < batch->n_items; i++) {
        n += bytes_of(&batch->items[i]);
    }
    return n;
}

/* Make it fit the line that the client reads. */
static void shorten(krs_rpc_batch *batch)
{
    const size_t limit = batch->session->options.max_line_bytes;
    if (bytes_of_all(batch) <= limit) {
        return;
    }
    for (uint32_t i = 0; i < batch->n_items; i++) {
        (void)json_object_del(batch->items[i].result, "token_strings"); /* NULL: nothing happens */
    }
    size_t n = OUTCOME_BYTES + KRS_RPC_MAX_ID_BYTES + batch->n_items * 2 * (size_t)OUTCOME_BYTES;
    for (uint32_t i = 0; i < batch->n_items && batch->method != batch->called; i++) {
        item *it = &batch->items[i];
        const size_t n_item = bytes_of(it);
        if (!is_failed(it) && n + n_item > limit) {
            (void)krs_fail(&it->fault.error, KRS_ETOOLARGE, "the reply would be too long");
        } else {
            n += n_item;
        }
    }
}

static void reply_single(krs_rpc_batch *batch)
{
    item *it = &batch->items[0];
    if (is_failed(it)) {
        krs_rpc_reply_fault(batch->session, batch->id, &it->fault);
    } else {
        krs_rpc_reply_tree(batch->session, batch->id, json_incref(it->result));
    }
}

static void put_result(krs_emit *e, const item *it)
{
    krs_emit_map(e, 3);
    krs_emit_pair_bool(e, "success", !is_failed(it));
    krs_emit_key(e, "result");
    krs_emit_tree(e, is_failed(it) ? NULL : it->result);
    krs_emit_key(e, "error");
    if (is_failed(it)) {
        krs_emit_str(e, krs_rpc_fault_text(&it->fault));
    } else {
        krs_emit_null(e);
    }
    krs_emit_end(e, '}');
}

static void reply_many(krs_rpc_batch *batch)
{
    krs_emit e;
    size_t start;
    if (krs_rpc_reply_begin(batch->session, batch->id, &e, &start)) {
        krs_emit_map(&e, 1);
        krs_emit_key(&e, "results");
        krs_emit_array(&e, batch->n_items);
        for (uint32_t i = 0; i < batch->n_items; i++) {
            put_result(&e, &batch->items[i]);
        }
        krs_emit_end(&e, ']');
        krs_emit_end(&e, '}');
        krs_rpc_reply_end(batch->session, batch->id, &e, start);
    }
}

static void put_vector(krs_emit *e, const item *it)
{
    krs_emit_array(e, it->n_vector);
    for (uint32_t k = 0; k < it->n_vector; k++) {
        krs_emit_double(e, (double)it->vector[k], DIGITS_EMBEDDING);
    }
    krs_emit_end(e, ']');
}

/* All vectors or none: a hole among them would shift the rest. */
static void reply_embeddings(krs_rpc_batch *batch)
{
    int64_t n_prompt_tokens = 0;
    for (uint32_t i = 0; i < batch->n_items; i++) {
        n_prompt_tokens += batch->items[i].n_prompt_tokens;
        if (is_failed(&batch->items[i])) {
            krs_rpc_reply_fault(batch->session, batch->id, &batch->items[i].fault);
            return;
        }
    }
    krs_emit e;
    size_t start;
    if (krs_rpc_reply_begin(batch->session, batch->id, &e, &start)) {
        krs_emit_map(&e, 2);
        krs_emit_key(&e, "embeddings");
        krs_emit_array(&e, batch->n_items);
        for (uint32_t i = 0; i < batch->n_items; i++) {
            put_vector(&e, &batch->items[i]);
        }
        krs_emit_end(&e, ']');
        krs_emit_pair_int(&e, "prompt_tokens", n_prompt_tokens);
        krs_emit_end(&e, '}');
        krs_rpc_reply_end(batch->session, batch->id, &e, start);
    }
}

static void finish(krs_rpc_batch *batch)
{
    const bool is_error = batch->method == batch->called && is_failed(&batch->items[0]);
    krs_service_count_method(batch->session->desk->options.service, batch->called, is_error);
    for (uint32_t i = 0; i < batch->n_items; i++) {
        if (is_failed(&batch->items[i])) {
            blame(batch, i);
        }
    }
    if (batch->method == KRS_METHOD_EMBEDDINGS) {
        reply_embeddings(batch);
    } else {
        shorten(batch);
        if (batch->method == batch->called) {
            reply_single(batch);
        } else {
            reply_many(batch);
        }
    }
    free_batch(batch);
}

/* Start what may be started; answer when nothing is left. */
static void advance(krs_rpc_batch *batch)
{
    while (batch->n_started < batch->n_items && batch->n_open < BATCH_OPEN &&
           start_item(batch, batch->n_started)) {
        batch->n_started++;
    }
    if (batch->n_started == batch->n_items && batch->n_open == 0) {
        finish(batch);
    }
}

static json_t *ids_tree(const krs_stream_event *event)
{
    json_t *ids = json_array();
    for (uint32_t i = 0; ids && i < event->n_ids; i++) {
        if (json_array_append_new(ids, json_integer(event->ids[i])) != 0) {
            json_decref(ids);
            return NULL;
        }
    }
    return ids;
}

static json_t *pieces_tree(const krs_stream_event *event)
{
    json_t *pieces = event->pieces ? json_array() : NULL;
    for (uint32_t i = 0; pieces && i < event->n_ids; i++) {
        if (json_array_append_new(pieces, krs_rpc_string(event->pieces[i])) != 0) {
            json_decref(pieces);
            return NULL;
        }
    }
    return pieces;
}

static krs_status keep_vector(item *it, const krs_stream_event *event)
{
    const krs_alloc *alloc = it->task.session->desk->options.alloc;
    it->vector = krs_alloc_array(alloc, event->n_embedding ? event->n_embedding : 1, sizeof(float));
    if (!it->vector) {
        return KRS_ENOMEM;
    }
    if (event->n_embedding > 0) {
        memcpy(it->vector, event->embedding, event->n_embedding * sizeof(float));
    }
    it->n_vector = event->n_embedding;
    it->n_prompt_tokens = event->usage.n_prompt_tokens;
    return KRS_OK;
}

static krs_status keep_result(item *it, const krs_stream_event *event)
{
    switch (it->batch->method) {
    case KRS_METHOD_TOKENIZE: /* "o*": no strings, no field */
        it->result =
            json_pack("{s:o,s:o*}", "tokens", ids_tree(event), "token_strings", pieces_tree(event));
        break;
    case KRS_METHOD_DETOKENIZE:
        it->result = json_pack("{s:o}", "text", krs_rpc_string(event->text));
        break;
    default:
        return keep_vector(it, event);
    }
    return it->result ? KRS_OK : KRS_ENOMEM;
}

void krs_rpc_item_event(krs_rpc_task *task, const krs_stream_event *event, uint64_t now_ns)
{
    item *it = (item *)task;
    krs_rpc_batch *batch = it->batch;
    if (!event->is_end) {
        return;
    }
    if (event->finish == KRS_FINISH_STOP || event->finish == KRS_FINISH_LENGTH) {
        it->fault.error.status = keep_result(it, event);
    } else if (event->finish == KRS_FINISH_ERROR) {
        it->fault.error = event->error;
    } else {
        (void)krs_fail(&it->fault.error,
                       event->finish == KRS_FINISH_DEADLINE ? KRS_EDEADLINE : KRS_ECANCELLED,
                       "ended before it was done");
    }
    if (batch->method == KRS_METHOD_TOKENIZE) {
        krs_rpc_latency_add(&batch->session->desk->figures.tokenize, now_ns - it->opened_ns);
    }
    it->task.handle = NULL; /* it ends with its end event */
    batch->n_open--;
    advance(batch);
}

/* How many inputs an embeddings call has. Errors: KRS_EINVAL. */
static krs_status count_inputs(const json_t *input, uint32_t *out, krs_rpc_fault *fault)
{
    const size_t n = json_is_array(input) ? json_array_size(input) : 1;
    bool is_text = n > 0 && n <= MAX_INPUTS;
    for (size_t i = 0; is_text && i < n; i++) {
        is_text = json_is_string(json_is_array(input) ? json_array_get(input, i) : input);
    }
    *out = (uint32_t)n;
    return is_text ? KRS_OK
                   : krs_fail_field(&fault->error, KRS_EINVAL, "input",
                                    "Invalid params: input: want a string or 1..%u strings",
                                    MAX_INPUTS);
}

static krs_rpc_batch *new_batch(const krs_rpc_ask *ask, krs_method method, uint32_t n_items)
{
    krs_rpc_session *session = ask->session;
    krs_rpc_batch *batch = krs_alloc_zero(session->desk->options.alloc,
                                          sizeof(*batch) + n_items * sizeof(batch->items[0]));
    if (batch) {
        batch->session = session;
        batch->id = json_incref(ask->id);
        batch->params = json_incref(ask->params);
        batch->called = ask->method;
        batch->method = method;
        batch->n_items = n_items;
        batch->next = session->batches;
        if (session->batches) {
            session->batches->prev = batch;
        }
        session->batches = batch;
        session->n_unanswered++;
    }
    return batch;
}

krs_status krs_rpc_batch_call(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const krs_method items = krs_method_row_of(ask->method)->items;
    const bool is_many = items != KRS_METHOD_NONE;
    uint32_t n = is_many ? (uint32_t)json_array_size(json_object_get(ask->params, "requests")) : 1;
    krs_status status = KRS_OK;
    if (ask->method == KRS_METHOD_EMBEDDINGS) {
        status = count_inputs(json_object_get(ask->params, "input"), &n, fault);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_rpc_batch *batch = new_batch(ask, is_many ? items : ask->method, n);
    if (!batch) {
        return KRS_ENOMEM;
    }
    advance(batch);
    return KRS_OK;
}

void krs_rpc_batches_drop(krs_rpc_session *session)
{
    while (session->batches) {
        krs_rpc_batch *batch = session->batches;
        for (uint32_t i = 0; i < batch->n_started; i++) {
            if (batch->items[i].task.handle) {
                session->desk->options.carrier->drop(batch->items[i].task.handle, KRS_CANCEL_GONE);
            }
        }
        free_batch(batch);
    }
}
