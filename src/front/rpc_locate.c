/* front/rpc_locate.c - where the model lies that load_model names.
 *
 *   local_path, or model_id as a folder or a .gguf file, or <hub>/models--org--name/snapshots/<commit>
 *
 * The hub cache is the Hugging Face client's own layout, read and never written: refs/<revision> holds the
 * commit, snapshots/<commit> the files. Messages are for strangers and name no folder.
 *
 * Source: huggingface.co/docs/huggingface_hub, "Understand caching". */
#include "front/rpc_priv.h"
#include "os/file.h"

#include <stdio.h>

#define MAX_REF_BYTES 256 /* a commit is 40 digits */

static bool is_inside(const char *path, const char *folder)
{
    char real[KRS_OS_PATH_BYTES];
    if (krs_os_path_real(folder, real, NULL) != KRS_OK) {
        return false;
    }
    const size_t n = strlen(real);
    return strncmp(path, real, n) == 0 &&
           (path[n] == '/' || path[n] == '\0' || strcmp(real, "/") == 0);
}

/* A folder, or a GGUF file: what may hold a model. */
static bool is_model(const char *path)
{
    const krs_os_kind kind = krs_os_path_kind(path);
    return kind == KRS_OS_DIR ||
           (kind == KRS_OS_FILE && krs_str_ends_with(krs_str_of(path), KRS_STR(".gguf")));
}

/* path as it really is, when it may be loaded from. */
static krs_status admit(const krs_rpc_desk *desk, const char *path, const char *field, char *out,
                        krs_error *err)
{
    char real[KRS_OS_PATH_BYTES];
    if (!is_model(path) || krs_os_path_real(path, real, NULL) != KRS_OK) {
        return krs_fail_field(err, KRS_EINVAL, field,
                              "Invalid params: %s: does not exist, or is neither a folder nor a "
                              ".gguf file",
                              field);
    }
    bool is_trusted = desk->options.n_trusted == 0;
    for (uint32_t i = 0; !is_trusted && i < desk->options.n_trusted; i++) {
        is_trusted = is_inside(real, desk->options.trusted[i]);
    }
    if (!is_trusted) {
        return krs_fail_field(err, KRS_EINVAL, field,
                              "Invalid params: %s: not within trusted directories", field);
    }
    memcpy(out, real, sizeof(real));
    return KRS_OK;
}

static krs_status from_local_path(const krs_rpc_ask *ask, char *out, krs_error *err)
{
    const krs_str path = krs_method_text(ask->method, ask->params, "local_path");
    if (krs_str_find(path, KRS_STR(".."), 0) != SIZE_MAX || memchr(path.ptr, '~', path.len) ||
        memchr(path.ptr, 0, path.len)) {
        return krs_fail_field(err, KRS_EINVAL, "local_path",
                              "Invalid params: local_path: contains potentially unsafe sequences");
    }
    if (path.ptr[0] != '/') {
        return krs_fail_field(err, KRS_EINVAL, "local_path",
                              "Invalid params: local_path: must be absolute");
    }
    return admit(ask->session->desk, path.ptr, "local_path", out, err);
}

/* A revision becomes a file's name: nothing that leaves the folder. */
static bool is_plain(krs_str name)
{
    return krs_str_find(name, KRS_STR(".."), 0) == SIZE_MAX && name.ptr[0] != '/' &&
           !memchr(name.ptr, 0, name.len);
}

/* The commit that a branch or tag stands for; the revision itself when it is none. */
static void commit_of(const char *repo, const char *revision, char out[MAX_REF_BYTES])
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf text;
    krs_buf_init(&text, NULL, MAX_REF_BYTES - 1);
    (void)snprintf(out, MAX_REF_BYTES, "%s", revision);
    if ((size_t)snprintf(path, sizeof(path), "%s/refs/%s", repo, revision) < sizeof(path) &&
        krs_os_file_read(path, &text, NULL) == KRS_OK && text.len > 0) {
        (void)snprintf(out, MAX_REF_BYTES, "%.*s", (int)strcspn(text.data, " \r\n"), text.data);
    }
    krs_buf_deinit(&text);
}

static krs_status not_found(krs_error *err)
{
    return krs_fail_field(err, KRS_ENOENT, "model_id",
                          "no such folder, and not in the hub cache of this host");
}

/* "org/name" to "<hub>/models--org--name"; false for anything else. */
static bool repo_of(const char *hub, krs_str model_id, char *out, size_t max_bytes)
{
    const char *slash = memchr(model_id.ptr, '/', model_id.len);
    if (!hub || !slash || slash == model_id.ptr) {
        return false;
    }
    const int n_org = (int)(slash - model_id.ptr);
    const int n_name = (int)model_id.len - n_org - 1;
    const int n = snprintf(out, max_bytes, "%s/models--%.*s--%.*s", hub, n_org, model_id.ptr,
                           n_name, slash + 1);
    return n > 0 && (size_t)n < max_bytes && !memchr(slash + 1, '/', (size_t)n_name);
}

static krs_status from_hub(const krs_rpc_ask *ask, krs_str model_id, char *out, krs_error *err)
{
    krs_str revision = krs_method_text(ask->method, ask->params, "revision");
    char repo[KRS_OS_PATH_BYTES / 2];
    char commit[MAX_REF_BYTES];
    revision = revision.len ? revision : KRS_STR("main");
    if (!is_plain(revision) ||
        !repo_of(ask->session->desk->options.hub_dir, model_id, repo, sizeof(repo))) {
        return not_found(err);
    }
    commit_of(repo, revision.ptr, commit);
    (void)snprintf(out, KRS_OS_PATH_BYTES, "%s/snapshots/%s", repo, commit);
    return is_plain(krs_str_of(commit)) && krs_os_path_kind(out) == KRS_OS_DIR ? KRS_OK
                                                                               : not_found(err);
}

krs_status krs_rpc_locate(const krs_rpc_ask *ask, char *out, krs_error *err)
{
    if (krs_method_has(ask->params, "local_path")) {
        return from_local_path(ask, out, err);
    }
    const krs_str model_id = krs_method_text(ask->method, ask->params, "model_id");
    if (is_model(model_id.ptr)) {
        return admit(ask->session->desk, model_id.ptr, "model_id", out, err);
    }
    return from_hub(ask, model_id, out, err);
}
