/* apps/krs/rpc_options.h - what the options say about JSON-RPC, for krs serve and krs stdio.
 *
 * Thread: main. */
#pragma once

#include "api/config.h"
#include "os/file.h"
#include "server/server.h"

#define RPC_MAX_TRUSTED 16 /* folders of --trusted-dirs; more are not looked at, so refused */

/* Where the strings live; outlives the server. */
typedef struct rpc_options {
    char hub[KRS_OS_PATH_BYTES];
    char trusted_text[KRS_OS_PATH_BYTES];
    const char *trusted[RPC_MAX_TRUSTED];
} rpc_options;

/* Fill out from --rpc-socket, --trusted-dirs, --hub and where the Hugging Face tools keep their cache. */
void rpc_options_fill(rpc_options *storage, const krs_config *config, krs_server_rpc *out);
