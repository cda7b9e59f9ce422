/* bench/load/options.c - see options.h. */
#define _DEFAULT_SOURCE /* getopt_long */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2 /* as krs has it */
#define NO_RESULT  (-1)

static const char help[] =
    "usage: bench_load [options]\n\n"
    "Keeps streamed chats open against `krs serve`, checks every byte, prints one JSON object.\n"
    "Exit code 1 when anything but a refusal (429, 503) went wrong.\n\n"
    "  --host ADDRESS --port N     the server (127.0.0.1, 8080), or\n"
    "  --unix PATH                 a Unix socket\n"
    "  --model NAME                (demo)\n"
    "  --server-pid N              sample its memory, CPU time and descriptors\n"
    "  --admin-key KEY             for /metrics; the first tenant's without it\n"
    "  --cpu N                     stay on this CPU\n"
    "  --streams N                 open at once (32)\n"
    "  --seconds N --warmup N      length of the run, and of its start that is not measured (20, "
    "2)\n"
    "  --drain N --timeout N       seconds for the last answers, and until silence is an error "
    "(60, 120)\n"
    "  --tenant NAME=KEY[=STREAMS] may be given 16 times; streams are shared evenly without "
    "numbers\n"
    "  --prompt-words LOW:HIGH     (4:60) small ones as likely as ones ten times larger\n"
    "  --max-tokens LOW:HIGH       (16:200)\n"
    "  --prompts N                 different ones (64); the same one must always give the same "
    "text\n"
    "  --temperature T             (0.8; every prompt has its seed)\n"
    "  --ignore-eos                answers have their full length\n"
    "  --paused N --pause N        streams that stop reading, and for how many seconds (0: to the "
    "end)\n"
    "  --kill-percent P            of the answers are left at a random moment\n"
    "  --seed N                    of everything random (printed)\n"
    "  --texts FILE                expect the texts of an earlier run; written when it does not "
    "exist\n";

enum option_id {
    HELP = 1000,
    HOST,
    PORT,
    UNIX_PATH,
    MODEL,
    SERVER_PID,
    ADMIN_KEY,
    CPU,
    STREAMS,
    SECONDS,
    WARMUP,
    DRAIN,
    TIMEOUT,
    TENANT,
    PROMPT_WORDS,
    MAX_TOKENS,
    PROMPTS,
    TEMPERATURE,
    IGNORE_EOS,
    PAUSED,
    PAUSE,
    KILL_PERCENT,
    SEED,
    TEXTS,
};

static const struct option names[] = {
    {"help", no_argument, NULL, HELP},
    {"host", required_argument, NULL, HOST},
    {"port", required_argument, NULL, PORT},
    {"unix", required_argument, NULL, UNIX_PATH},
    {"model", required_argument, NULL, MODEL},
    {"server-pid", required_argument, NULL, SERVER_PID},
    {"admin-key", required_argument, NULL, ADMIN_KEY},
    {"cpu", required_argument, NULL, CPU},
    {"streams", required_argument, NULL, STREAMS},
    {"seconds", required_argument, NULL, SECONDS},
    {"warmup", required_argument, NULL, WARMUP},
    {"drain", required_argument, NULL, DRAIN},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"tenant", required_argument, NULL, TENANT},
    {"prompt-words", required_argument, NULL, PROMPT_WORDS},
    {"max-tokens", required_argument, NULL, MAX_TOKENS},
    {"prompts", required_argument, NULL, PROMPTS},
    {"temperature", required_argument, NULL, TEMPERATURE},
    {"ignore-eos", no_argument, NULL, IGNORE_EOS},
    {"paused", required_argument, NULL, PAUSED},
    {"pause", required_argument, NULL, PAUSE},
    {"kill-percent", required_argument, NULL, KILL_PERCENT},
    {"seed", required_argument, NULL, SEED},
    {"texts", required_argument, NULL, TEXTS},
    {NULL, 0, NULL, 0},
};

static bool read_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end = NULL;
    const uint64_t n = strtoull(text, &end, 10);
    *out = n;
    return end != text && *end == '\0' && text[0] != '-' && n >= low && n <= high;
}

static bool read_count(const char *text, uint32_t low, uint32_t high, uint32_t *out)
{
    uint64_t n = 0;
    const bool is_good = read_number(text, low, high, &n);
    *out = (uint32_t)n;
    return is_good;
}

/* "LOW:HIGH" or one number. */
static bool read_range(char *text, load_range *out)
{
    char *colon = strchr(text, ':');
    if (colon) {
        *colon = '\0';
    }
    return read_count(text, 1, 1u << 20, &out->low) &&
           read_count(colon ? colon + 1 : text, out->low, 1u << 20, &out->high);
}

/* "NAME=KEY=STREAMS", cut up in place. */
static bool read_tenant(char *text, load_options *o)
{
    char *key = strchr(text, '=');
    if (!key || o->n_tenants == LOAD_MAX_TENANTS) {
        return false;
    }
    *key++ = '\0';
    load_tenant *tenant = &o->tenants[o->n_tenants++];
    *tenant = (load_tenant){.name = text, .key = key};
    char *streams = strchr(key, '=');
    if (streams) {
        *streams++ = '\0';
        return read_count(streams, 1, LOAD_MAX_STREAMS, &tenant->n_streams);
    }
    return true;
}

/* Options that hold a text or are there or not; false for all others. */
static bool take_text(int id, char *text, load_options *o)
{
    switch (id) {
    case HOST:
        o->host = text;
        return true;
    case UNIX_PATH:
        o->unix_path = text;
        return true;
    case MODEL:
        o->model = text;
        return true;
    case ADMIN_KEY:
        o->admin_key = text;
        return true;
    case TEXTS:
        o->texts_path = text;
        return true;
    case IGNORE_EOS:
        o->ignore_eos = true;
        return true;
    default:
        return false;
    }
}

/* Options that are one count. */
static bool take_count(int id, const char *text, load_options *o)
{
    const struct {
        int id;
        uint32_t low;
        uint32_t high;
        uint32_t *to;
    } counts[] = {
        {STREAMS, 1, LOAD_MAX_STREAMS, &o->n_streams}, {SECONDS, 1, 1u << 20, &o->seconds},
        {WARMUP, 0, 1u << 20, &o->warmup_s},           {DRAIN, 0, 1u << 20, &o->drain_s},
        {TIMEOUT, 1, 1u << 20, &o->timeout_s},         {PROMPTS, 1, 1u << 16, &o->n_prompts},
        {PAUSED, 0, LOAD_MAX_STREAMS, &o->n_paused},   {PAUSE, 0, 1u << 20, &o->pause_s},
        {KILL_PERCENT, 0, 100, &o->kill_percent}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i].id == id) {
            return read_count(text, counts[i].low, counts[i].high, counts[i].to);
        }
    }
    return false;
}

/* Everything else. */
static bool take_other(int id, char *text, load_options *o)
{
    uint64_t n = 0;
    bool is_good = true;
    switch (id) {
    case PORT:
        is_good = read_number(text, 1, 65535, &n);
        o->port = (uint16_t)n;
        return is_good;
    case SERVER_PID:
        is_good = read_number(text, 1, INT_MAX, &n);
        o->server_pid = (int)n;
        return is_good;
    case CPU:
        is_good = read_number(text, 0, 1023, &n);
        o->cpu = (int)n;
        return is_good;
    case SEED:
        return read_number(text, 0, UINT64_MAX, &o->seed);
    case TEMPERATURE:
        o->temperature = strtod(text, NULL);
        return o->temperature >= 0 && o->temperature <= 2;
    case PROMPT_WORDS:
        return read_range(text, &o->prompt_words);
    case MAX_TOKENS:
        return read_range(text, &o->max_tokens);
    case TENANT:
        return read_tenant(text, o);
    default:
        return false;
    }
}

/* Streams for the tenants that named no number: what is left, evenly. */
static bool share_streams(load_options *o)
{
    if (o->n_tenants == 0) {
        o->tenants[o->n_tenants++] = (load_tenant){"all", "", o->n_streams};
        return true;
    }
    uint32_t n_given = 0;
    uint32_t n_open = 0;
    for (uint32_t i = 0; i < o->n_tenants; i++) {
        n_given += o->tenants[i].n_streams;
        n_open += o->tenants[i].n_streams == 0;
    }
    if (n_open == 0) {
        o->n_streams = n_given;
    }
    uint32_t left = o->n_streams - n_given;
    if (n_given > o->n_streams || left < n_open || o->n_streams > LOAD_MAX_STREAMS) {
        return false;
    }
    for (uint32_t i = 0; i < o->n_tenants; i++) {
        if (o->tenants[i].n_streams == 0) {
            o->tenants[i].n_streams = left / n_open--;
            left -= o->tenants[i].n_streams;
        }
    }
    return true;
}

static int read_all(int argc, char **argv, load_options *o)
{
    int id;
    int index = 0;
    while ((id = getopt_long(argc, argv, "", names, &index)) != -1) {
        if (id == HELP) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (id == '?' ||
            !(take_text(id, optarg, o) || take_count(id, optarg, o) || take_other(id, optarg, o))) {
            if (id != '?') {
                (void)fprintf(stderr, "bench_load: --%s: \"%s\" is out of range; see --help\n",
                              names[index].name, optarg ? optarg : "");
            }
            return EXIT_USAGE;
        }
    }
    return NO_RESULT;
}

int load_options_read(int argc, char **argv, load_options *out)
{
    *out = (load_options){.host = "127.0.0.1",
                          .port = 8080,
                          .model = "demo",
                          .cpu = -1,
                          .n_streams = 32,
                          .seconds = 20,
                          .warmup_s = 2,
                          .drain_s = 60,
                          .timeout_s = 120,
                          .prompt_words = {4, 60},
                          .max_tokens = {16, 200},
                          .n_prompts = 64,
                          .temperature = 0.8,
                          .seed = 1};
    const int code = read_all(argc, argv, out);
    if (code != NO_RESULT) {
        return code;
    }
    if (optind < argc || !share_streams(out) || out->warmup_s >= out->seconds ||
        out->n_paused >= out->n_streams) {
        (void)fprintf(stderr, "bench_load: options contradict each other; see --help\n");
        return EXIT_USAGE;
    }
    return NO_RESULT;
}
