/* front/rpc_models.c - models that come, go, and go together.
 *
 * A load answers when the service's loader thread is done with it, in whatever order: its result comes back
 * to the session's thread as a post, and finds the session gone when the client went. */
#include "front/rpc_priv.h"
#include "os/file.h"

#include <stdio.h>

#define LOAD_ERROR       (-32001)
#define GENERATION_ERROR (-32002)

struct krs_rpc_load {
    krs_rpc_post post; /* first */
    krs_rpc_desk *desk;
    krs_rpc_session *session; /* NULL: it has been closed */
    krs_rpc_load *prev;
    krs_rpc_load *next;
    json_t *id; /* a reference, or NULL */
    krs_model_spec spec;
    krs_status status;
    krs_model_info info;
    krs_error error;
};

static void unlink_load(krs_rpc_session *session, krs_rpc_load *load)
{
    if (load->prev) {
        load->prev->next = load->next;
    } else {
        session->loads = load->next;
    }
    if (load->next) {
        load->next->prev = load->prev;
    }
    session->n_unanswered--;
    load->session = NULL;
}

static void free_load(krs_rpc_load *load)
{
    json_decref(load->id);
    krs_alloc_free(load->desk->options.alloc, load);
}

static void say_loaded(krs_rpc_session *session, const krs_rpc_load *load)
{
    const krs_model_info *info = &load->info;
    krs_rpc_reply_tree(session, load->id,
                       json_pack("{s:s,s:s,s:I,s:I,s:s,s:b}", "model_id", load->spec.id, "state",
                                 "ready", "context_length", (json_int_t)info->context_tokens,
                                 "parameter_count", (json_int_t)info->n_parameters, "dtype",
                                 info->dtype, "is_vision_model", 0));
}

/* On the session's thread. */
static void run_load(krs_rpc_post *post)
{
    krs_rpc_load *load = (krs_rpc_load *)post;
    krs_rpc_session *session = load->session;
    if (session) {
        unlink_load(session, load);
        krs_service_count_method(load->desk->options.service, KRS_METHOD_LOAD_MODEL,
                                 load->status != KRS_OK);
        if (load->status == KRS_OK) {
            say_loaded(session, load);
        } else {
            krs_rpc_fault fault = {.error = load->error};
            fault.error.status = load->status;
            (void)krs_rpc_blame(&fault, LOAD_ERROR, "Failed to load model",
                                krs_str_of(load->spec.id));
            krs_rpc_reply_fault(session, load->id, &fault);
        }
    }
    free_load(load);
}

/* On the loader's thread: fill in, hand over. */
static void on_loaded(void *ctx, krs_status status, const krs_model_info *info,
                      const krs_error *err)
{
    krs_rpc_load *load = ctx;
    load->status = status;
    if (info) {
        load->info = *info;
    }
    if (err) {
        load->error = *err;
    }
    load->post.run = run_load;
    load->desk->options.carrier->post(load->desk->options.carrier_ctx, &load->post);
}

static krs_rpc_load *new_load(const krs_rpc_ask *ask, krs_str model_id)
{
    krs_rpc_session *session = ask->session;
    krs_rpc_load *load = krs_alloc_zero(session->desk->options.alloc, sizeof(*load));
    if (load) {
        load->desk = session->desk;
        load->session = session;
        load->id = json_incref(ask->id);
        memcpy(load->spec.id, model_id.ptr, model_id.len);
        load->spec.context_tokens =
            (uint32_t)krs_method_int(ask->method, ask->params, "context_length");
        load->next = session->loads;
        if (session->loads) {
            session->loads->prev = load;
        }
        session->loads = load;
        session->n_unanswered++;
    }
    return load;
}

static krs_status start_load(const krs_rpc_ask *ask, krs_str model_id, krs_rpc_fault *fault)
{
    char path[KRS_OS_PATH_BYTES];
    krs_status status = krs_rpc_locate(ask, path, &fault->error);
    krs_rpc_load *load = status == KRS_OK ? new_load(ask, model_id) : NULL;
    if (status == KRS_OK && !load) {
        status = krs_fail(&fault->error, KRS_ENOMEM, "no memory for the load");
    }
    if (status == KRS_OK) {
        load->spec.path = path;
        status = krs_service_load_model(ask->session->desk->options.service, &load->spec, on_loaded,
                                        load, &fault->error);
        if (status != KRS_OK) {
            unlink_load(ask->session, load);
            free_load(load);
        }
    }
    return status;
}

krs_status krs_rpc_load_model(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const krs_str model_id = krs_method_text(ask->method, ask->params, "model_id");
    if (model_id.len >= KRS_MODEL_ID_BYTES) {
        return krs_fail_field(&fault->error, KRS_EINVAL, "model_id",
                              "Invalid params: model_id: %zu characters, want up to %d to load",
                              model_id.len, KRS_MODEL_ID_BYTES - 1);
    }
    if (krs_method_bool(ask->method, ask->params, "force_vision")) {
        return krs_rpc_vision(ask, fault);
    }
    const krs_status status = start_load(ask, model_id, fault);
    if (status == KRS_OK || (status == KRS_EINVAL && strstr(fault->error.message, "Invalid"))) {
        return status;
    }
    fault->error.status = status;
    return krs_rpc_blame(fault, LOAD_ERROR, "Failed to load model", model_id);
}

/* What runs may finish; a name nobody knows is as unloaded as it can be. */
krs_status krs_rpc_unload_model(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const krs_str model_id = krs_method_text(ask->method, ask->params, "model_id");
    char id[KRS_MODEL_ID_BYTES] = "";
    if (model_id.len < sizeof(id)) {
        memcpy(id, model_id.ptr, model_id.len);
        const krs_status status =
            krs_service_unload_model(ask->session->desk->options.service, id, &fault->error);
        if (status != KRS_OK && status != KRS_ENOTLOADED) {
            return status;
        }
    }
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:b}", "success", 1));
    return KRS_OK;
}

krs_status krs_rpc_models(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n =
        krs_service_models(ask->session->desk->options.service, models, KRS_SERVICE_MAX_MODELS);
    json_t *list = json_array();
    (void)fault;
    for (uint32_t i = 0; i < n; i++) {
        const krs_model_info *m = &models[i];
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "model_id", m->id, "state",
                            "ready", "family", m->family, "dtype", m->dtype, "context_length",
                            (json_int_t)m->context_tokens, "parameter_count",
                            (json_int_t)m->n_parameters, "vocab_size", (json_int_t)m->vocab,
                            "has_chat_template", m->has_chat_template));
    }
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:o}", "models", list));
    return KRS_OK;
}

krs_status krs_rpc_vision(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const bool is_load = ask->method != KRS_METHOD_GENERATE_IMAGE;
    (void)krs_fail(&fault->error, KRS_EUNSUPPORTED,
                   "vision models are not supported by this build");
    return krs_rpc_blame(fault, is_load ? LOAD_ERROR : GENERATION_ERROR,
                         is_load ? "Failed to load model" : "Generation failed for",
                         krs_method_text(ask->method, ask->params, "model_id"));
}

static json_t *side_of(const krs_model_info *info)
{
    return json_pack("{s:s,s:I,s:I,s:s}", "id", info->id, "vocab_size", (json_int_t)info->vocab,
                     "parameter_count", (json_int_t)info->n_parameters, "architecture",
                     info->family);
}

static json_t *warnings_of(const krs_model_info *primary, const krs_model_info *draft)
{
    json_t *list = json_array();
    if (strcmp(primary->family, draft->family) != 0) {
        (void)json_array_append_new(
            list, json_sprintf("Architectures differ: %s and %s", primary->family, draft->family));
    }
    if (draft->n_parameters >= primary->n_parameters) {
        (void)json_array_append_new(
            list, json_string("The draft model is not smaller than the primary model"));
    }
    if (primary->bos != draft->bos || primary->eos != draft->eos) {
        (void)json_array_append_new(list, json_string("BOS or EOS token ids differ"));
    }
    return list;
}

/* What keeps one from proposing to the other: ids must mean the same to both. The sizes of the matrices may
 * be padded differently, and are named because the contract names them. */
static json_t *mismatches_of(const krs_model_info *primary, const krs_model_info *draft)
{
    json_t *list = json_array();
    if (primary->tokens_hash == draft->tokens_hash) {
        return list;
    }
    if (primary->vocab != draft->vocab) {
        (void)json_array_append_new(
            list, json_sprintf("Vocabulary sizes differ: %u and %u", primary->vocab, draft->vocab));
    }
    (void)json_array_append_new(list, json_string("The same ids stand for other tokens"));
    if (primary->specials_hash != draft->specials_hash) {
        (void)json_array_append_new(list, json_string("Special tokens differ"));
    }
    return list;
}

/* The contract's own estimate: 1 + (1 - size ratio) * 0.3. */
static json_t *estimate_of(const krs_model_info *primary, const krs_model_info *draft,
                           bool is_compatible)
{
    const bool is_known = primary->n_parameters > 0 && draft->n_parameters > 0;
    const double ratio =
        is_known ? (double)draft->n_parameters / (double)primary->n_parameters : 1.0;
    char size[32] = "N/A";
    char speedup[32];
    if (is_known) {
        (void)snprintf(size, sizeof(size), "%.1f%%", ratio * 100);
    }
    (void)snprintf(speedup, sizeof(speedup), "%.2fx", 1 + (1 - ratio) * 0.3);
    return json_pack(
        "{s:s,s:s,s:s}", "expected_speedup", speedup, "size_ratio", size, "recommendation",
        is_compatible && ratio < 0.5 ? "Good pairing" : "May not provide significant speedup");
}

/* *out: a new tree. Errors: KRS_ENOTLOADED. */
static krs_status check_pair(const krs_rpc_ask *ask, json_t **out, krs_rpc_fault *fault)
{
    krs_model_info primary;
    krs_model_info draft;
    krs_status status = krs_method_check(ask->method, ask->params, &fault->error);
    if (status == KRS_OK) {
        status = krs_rpc_model_of(
            ask->session, krs_method_text(ask->method, ask->params, "primary_id"), &primary, fault);
    }
    if (status == KRS_OK) {
        status = krs_rpc_model_of(
            ask->session, krs_method_text(ask->method, ask->params, "draft_id"), &draft, fault);
    }
    if (status != KRS_OK) {
        return status;
    }
    json_t *errors = mismatches_of(&primary, &draft);
    const bool is_compatible = json_array_size(errors) == 0;
    *out = json_pack("{s:b,s:o,s:o,s:{s:o,s:o,s:o}}", "compatible", is_compatible, "errors", errors,
                     "warnings", warnings_of(&primary, &draft), "details", "primary_model",
                     side_of(&primary), "draft_model", side_of(&draft), "performance_estimate",
                     estimate_of(&primary, &draft, is_compatible));
    return *out ? KRS_OK : KRS_ENOMEM;
}

krs_status krs_rpc_check_draft(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    json_t *result = NULL;
    const krs_status status = check_pair(ask, &result, fault);
    if (status == KRS_OK) {
        krs_rpc_reply_tree(ask->session, ask->id, result);
    }
    return status;
}

krs_status krs_rpc_batch_check_draft(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const json_t *requests = json_object_get(ask->params, "requests");
    json_t *results = json_array();
    (void)fault;
    for (size_t i = 0; i < json_array_size(requests); i++) {
        const krs_rpc_ask item = {ask->session, KRS_METHOD_CHECK_DRAFT, json_array_get(requests, i),
                                  NULL, ask->now_ns};
        krs_rpc_fault why = {.error = KRS_ERROR_INIT};
        json_t *result = NULL;
        why.error.status = check_pair(&item, &result, &why);
        const bool is_ok = result != NULL;
        const krs_str text = krs_rpc_fault_text(&why);
        (void)json_array_append_new(results,
                                    json_pack("{s:b,s:o?,s:s?}", "success", is_ok, "result", result,
                                              "error", is_ok ? NULL : text.ptr));
    }
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:o}", "results", results));
    return KRS_OK;
}

void krs_rpc_loads_drop(krs_rpc_session *session)
{
    while (session->loads) {
        unlink_load(session, session->loads); /* its post frees it */
    }
}
