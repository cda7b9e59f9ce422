/* apps/krs/cmd_chat.c - krs chat MODEL: a conversation with history.
 *
 * Ctrl-C stops the answer being written (what came of it stays in the history); at the prompt it clears
 * the line, as in a shell. Ctrl-D or /exit ends; /reset forgets the conversation. Lines are edited on
 * a terminal and read plainly otherwise, so `krs chat` also works in a pipe; there Ctrl-C between answers
 * ends the program, which waits for nobody's typing. */
#define _POSIX_C_SOURCE 200809L
#include "answer.h"
#include "command.h"
#include "line.h"
#include "local.h"
#include "os/term.h"

#include <stdlib.h>

#define LINE_MAX_BYTES (1u << 20) /* one typed or piped line */

typedef struct chat {
    const krs_config *config;
    krs_runtime *runtime;
    json_t *messages;
    krs_line *line; /* NULL: standard input is no terminal */
    krs_os_signals signals;
} chat;

/* Forget everything but --system. */
static krs_status reset_history(chat *c, krs_error *err)
{
    json_decref(c->messages);
    c->messages = json_array();
    const char *system = krs_config_text(c->config, KRS_OPTION_SYSTEM);
    return system ? krs_answer_add_message(c->messages, "system", krs_str_of(system), err) : KRS_OK;
}

/* Both question and answer, or the history as it was. */
static krs_status exchange(chat *c, const char *line, krs_error *err)
{
    krs_request *request = NULL;
    krs_answer answer;
    krs_answer_init(&answer);
    const size_t n_before = json_array_size(c->messages);
    krs_status status = krs_answer_add_message(c->messages, "user", krs_str_of(line), err);
    if (status == KRS_OK) {
        status = krs_answer_request(c->config, c->messages, KRS_STR(""), &request, err);
    }
    if (status == KRS_OK) {
        status = krs_answer_run(c->runtime, request, &c->signals, stdout, &answer, err);
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
    }
    if (status == KRS_OK) {
        status = krs_answer_add_message(c->messages, "assistant", krs_buf_view(&answer.text), err);
    }
    while (status != KRS_OK && json_array_size(c->messages) > n_before) {
        (void)json_array_remove(c->messages, n_before);
    }
    krs_answer_deinit(&answer);
    return status;
}

/* What a line asks for. True when the conversation is over. */
static bool obey(chat *c, const char *line)
{
    krs_error err = KRS_ERROR_INIT;
    krs_status status = KRS_OK;
    if (strcmp(line, "/exit") == 0) {
        return true;
    }
    if (strcmp(line, "/reset") == 0) {
        status = reset_history(c, &err);
    } else if (line[0]) {
        status = exchange(c, line, &err);
    }
    if (status != KRS_OK) {
        (void)krs_say_error(c->config, &err);
    }
    return ferror(stdout) != 0; /* nobody reads the answers */
}

static void converse_with_terminal(chat *c)
{
    bool is_over = false;
    while (!is_over) {
        const char *text = "";
        const krs_line_end end = krs_line_read(c->line, &text);
        is_over = end == KRS_LINE_OVER || (end == KRS_LINE_TYPED && obey(c, text));
    }
}

static void converse_with_pipe(chat *c)
{
    char *line = NULL;
    size_t cap = 0;
    bool is_over = false;
    while (!is_over) {
        const ssize_t n = getline(&line, &cap, stdin);
        if (n > 0 && line[n - 1] == '\n') {
            line[n - 1] = '\0';
        }
        krs_error err = KRS_ERROR_INIT;
        if (n < 0) {
            is_over = true;
        } else if (n > (ssize_t)LINE_MAX_BYTES) {
            (void)krs_fail(&err, KRS_ETOOLARGE, "line: %zd bytes, want at most %u", n,
                           LINE_MAX_BYTES);
            (void)krs_say_error(c->config, &err);
        } else if (krs_os_signals_open(&c->signals, &err) != KRS_OK) {
            (void)krs_say_error(c->config, &err);
            is_over = true;
        } else {
            is_over = obey(c, line);
            krs_os_signals_close(&c->signals);
        }
    }
    free(line);
}

static krs_status open_chat(chat *c, krs_error *err)
{
    const krs_engine_options options = krs_local_options(c->config, c->config->positionals[0]);
    /* Threads of the runtime inherit the blocked signals. */
    krs_status status = krs_os_signals_open(&c->signals, err);
    if (status == KRS_OK) {
        status = reset_history(c, err);
    }
    return status == KRS_OK ? krs_local_open(c->config, &options, &c->runtime, err) : status;
}

int krs_cmd_chat(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    chat c = {.config = config, .signals = {-1}};
    const krs_status status = open_chat(&c, &err);
    if (status == KRS_OK && krs_os_is_terminal(0)) {
        c.line = krs_line_new(&c.signals);
    }
    if (c.line) {
        converse_with_terminal(&c);
    } else if (status == KRS_OK) {
        krs_os_signals_close(&c.signals);
        converse_with_pipe(&c);
    }
    krs_line_free(c.line);
    krs_runtime_free(c.runtime);
    krs_os_signals_close(&c.signals);
    json_decref(c.messages);
    return status == KRS_OK ? krs_say_flush() : krs_say_error(config, &err);
}
