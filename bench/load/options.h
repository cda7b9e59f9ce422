/* bench/load/options.h - what the generator is told. Thread: filled at start, immutable after. */
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define LOAD_MAX_TENANTS 16
#define LOAD_MAX_STREAMS 4096

typedef struct load_range {
    uint32_t low;
    uint32_t high;
} load_range;

typedef struct load_tenant {
    const char *name;
    const char *key; /* "" for a server without keys */
    uint32_t n_streams;
} load_tenant;

typedef struct load_options {
    const char *host;
    uint16_t port;
    const char *unix_path; /* NULL: TCP */
    const char *model;
    const char *admin_key; /* for /metrics; NULL: the first tenant's */
    int server_pid;        /* 0: not known, not sampled */
    int cpu;               /* to stay on; -1: any */
    uint32_t n_streams;    /* kept open */
    uint32_t seconds;
    uint32_t warmup_s;  /* not measured */
    uint32_t drain_s;   /* what running answers get at the end */
    uint32_t timeout_s; /* a stream that says nothing so long is an error */
    load_tenant tenants[LOAD_MAX_TENANTS];
    uint32_t n_tenants;
    load_range prompt_words;
    load_range max_tokens;
    uint32_t n_prompts; /* different ones */
    double temperature;
    bool ignore_eos;
    uint32_t n_paused;     /* streams that stop reading */
    uint32_t pause_s;      /* for so long; 0: until the end */
    uint32_t kill_percent; /* of answers that the client leaves at a random moment */
    uint64_t seed;
    const char *
        texts_path; /* read expected texts from here, or write them when it does not exist; NULL: neither */
} load_options;

/* Read argv. -1 to go on, or the exit code: 0 after --help, else 2 after telling why on standard error. */
int load_options_read(int argc, char **argv, load_options *out);
