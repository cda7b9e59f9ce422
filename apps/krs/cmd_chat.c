/* apps/krs/cmd_chat.c - krs chat MODEL: a conversation with history.
 *
 * Ctrl-C stops the answer being written (what came of it stays in the history); at the prompt it clears
 * the line, as in a shell. Ctrl-D or /exit ends; /reset forgets the conversation. Lines are edited with
 * libedit on a terminal and read plainly otherwise, so `krs chat` also works in a pipe. */
#define _POSIX_C_SOURCE 200809L
#include "answer.h"
#include "command.h"
#include "local.h"
#include "os/term.h"

#include <editline/readline.h>
#include <stdlib.h>

#define LINE_MAX_BYTES (1u << 20) /* one typed or piped line */

typedef struct chat {
    const krs_config *config;
    krs_runtime *runtime;
    json_t *messages;
    bool is_terminal;
} chat;

static void reset_history(chat *c)
{
    json_decref(c->messages);
    c->messages = json_array();
    const char *system = krs_config_text(c->config, KRS_OPTION_SYSTEM);
    if (system) {
        (void)json_array_append_new(c->messages,
                                    json_pack("{s:s, s:s}", "role", "system", "content", system));
    }
}

static void add_message(chat *c, const char *role, krs_str content)
{
    (void)json_array_append_new(c->messages,
                                json_pack("{s:s, s:s%}", "role", role, "content",
                                          content.ptr ? content.ptr : "", content.len));
}

/* The next line, malloc'd, without its end; NULL at the end of input. */
static char *read_line(const chat *c)
{
    if (c->is_terminal) {
        char *line = readline("> ");
        if (line && line[0]) {
            (void)add_history(line);
        }
        return line;
    }
    char *line = NULL;
    size_t cap = 0;
    const ssize_t n = getline(&line, &cap, stdin);
    if (n < 0 || n > (ssize_t)LINE_MAX_BYTES) {
        free(line);
        return NULL;
    }
    if (n > 0 && line[n - 1] == '\n') {
        line[n - 1] = '\0';
    }
    return line;
}

/* One exchange; a failed one leaves the history as it was and the conversation goes on. */
static void exchange(chat *c, const char *line)
{
    krs_error err = KRS_ERROR_INIT;
    krs_os_signals signals = {-1};
    krs_request *request = NULL;
    krs_answer answer;
    krs_answer_init(&answer);
    add_message(c, "user", krs_str_of(line));
    krs_status status = krs_os_signals_open(&signals, &err);
    if (status == KRS_OK) {
        status = krs_answer_request(c->config, c->messages, KRS_STR(""), &request, &err);
    }
    if (status == KRS_OK) {
        status = krs_answer_run(c->runtime, request, &signals, stdout, &answer, &err);
    }
    krs_os_signals_close(&signals);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    if (status == KRS_OK) {
        add_message(c, "assistant", krs_buf_view(&answer.text));
    } else {
        (void)krs_say_error(c->config, &err);
        (void)json_array_remove(c->messages, json_array_size(c->messages) - 1);
    }
    krs_answer_deinit(&answer);
}

static void converse(chat *c)
{
    bool is_over = false;
    while (!is_over) {
        char *line = read_line(c);
        if (!line || strcmp(line, "/exit") == 0) {
            is_over = true;
        } else if (strcmp(line, "/reset") == 0) {
            reset_history(c);
        } else if (line[0]) {
            exchange(c, line);
        }
        free(line);
    }
}

int krs_cmd_chat(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    krs_os_signals signals = {-1};
    const krs_engine_options options = krs_local_options(config, config->positionals[0]);
    chat c = {.config = config, .is_terminal = krs_os_is_terminal(0)};
    /* Threads of the runtime inherit the blocked signals; at the prompt they are libedit's again. */
    krs_status status = krs_os_signals_open(&signals, &err);
    if (status == KRS_OK) {
        status = krs_local_open(config, &options, &c.runtime, &err);
    }
    krs_os_signals_close(&signals);
    if (status != KRS_OK) {
        return krs_say_error(config, &err);
    }
    reset_history(&c);
    converse(&c);
    json_decref(c.messages);
    krs_runtime_free(c.runtime);
    return krs_say_flush();
}
