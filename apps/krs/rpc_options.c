/* apps/krs/rpc_options.c - see rpc_options.h.
 * Source of the cache's place: huggingface.co/docs/huggingface_hub, environment variables. */
#include "rpc_options.h"

#include <stdio.h>
#include <stdlib.h>

/* The first variable that is set decides. */
static const struct {
    const char *variable;
    const char *below;
} hub_places[] = {{"HF_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/huggingface/hub"}};

static const char *find_hub(rpc_options *storage, const krs_config *config)
{
    const char *given = krs_config_text(config, KRS_OPTION_HUB);
    if (given) {
        return given;
    }
    for (size_t i = 0; i < sizeof(hub_places) / sizeof(hub_places[0]); i++) {
        const char *value = getenv(hub_places[i].variable); /* before any thread starts */
        if (value && value[0]) {
            const int n =
                snprintf(storage->hub, sizeof(storage->hub), "%s%s", value, hub_places[i].below);
            return n > 0 && (size_t)n < sizeof(storage->hub) ? storage->hub : NULL;
        }
    }
    return NULL;
}

/* The text cut at its colons. One that names no folder, or is too long to be read whole, trusts none: no entry
 * would mean any. */
static uint32_t cut_trusted(rpc_options *storage, const char *text)
{
    static const char nowhere[] = "";
    uint32_t n = 0;
    const bool is_whole = strlen(text) < sizeof(storage->trusted_text);
    (void)snprintf(storage->trusted_text, sizeof(storage->trusted_text), "%s",
                   is_whole ? text : "");
    char *at = storage->trusted_text;
    while (*at && n < RPC_MAX_TRUSTED) {
        const size_t length = strcspn(at, ":");
        char *next = at + length + (at[length] == ':');
        at[length] = '\0';
        if (length > 0) {
            storage->trusted[n++] = at;
        }
        at = next;
    }
    if (n == 0) {
        storage->trusted[n++] = nowhere;
    }
    return n;
}

void rpc_options_fill(rpc_options *storage, const krs_config *config, krs_server_rpc *out)
{
    const char *trusted = krs_config_text(config, KRS_OPTION_TRUSTED_DIRS);
    *out = (krs_server_rpc){.hub_dir = find_hub(storage, config)};
    if (config->command == KRS_COMMAND_SERVE) {
        out->path = krs_config_text(config, KRS_OPTION_RPC_SOCKET);
    }
    if (trusted && trusted[0]) {
        out->trusted = storage->trusted;
        out->n_trusted = cut_trusted(storage, trusted);
    }
}
