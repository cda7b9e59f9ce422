/* apps/krs/cmd_run.c - krs run MODEL [PROMPT]: one answer on standard output. */
#include "answer.h"
#include "command.h"
#include "local.h"
#include "os/file.h"

#define PROMPT_MAX_BYTES (16u << 20) /* a prompt from standard input; far above any context */

/* The prompt argument, or all of standard input. */
static krs_status read_prompt(const krs_config *config, krs_buf *out, krs_error *err)
{
    if (config->n_positionals > 1) {
        const krs_status status = krs_buf_append_str(out, krs_str_of(config->positionals[1]));
        return status == KRS_OK
                   ? status
                   : krs_fail(err, status, "prompt: more than %u bytes", PROMPT_MAX_BYTES);
    }
    return krs_os_file_read("-", out, err);
}

/* [{system}?, {user}]: a new reference, also on failure. */
static krs_status make_messages(const krs_config *config, krs_str prompt, json_t **out,
                                krs_error *err)
{
    const char *system = krs_config_text(config, KRS_OPTION_SYSTEM);
    krs_status status = KRS_OK;
    *out = json_array();
    if (system) {
        status = krs_answer_add_message(*out, "system", krs_str_of(system), err);
    }
    return status == KRS_OK ? krs_answer_add_message(*out, "user", prompt, err) : status;
}

static krs_status answer_prompt(const krs_config *config, krs_str prompt, krs_runtime *runtime,
                                const krs_os_signals *signals, krs_answer *answer, krs_error *err)
{
    json_t *messages = NULL;
    krs_request *request = NULL;
    krs_status status = KRS_OK;
    if (!krs_config_bool(config, KRS_OPTION_RAW)) {
        status = make_messages(config, prompt, &messages, err);
    }
    if (status == KRS_OK) {
        status = krs_answer_request(config, messages, prompt, &request, err);
    }
    json_decref(messages);
    if (status == KRS_OK) {
        FILE *stream = krs_config_bool(config, KRS_OPTION_JSON) ? NULL : stdout;
        status = krs_answer_run(runtime, request, signals, stream, answer, err);
    }
    return status;
}

static int print_end(const krs_config *config, const krs_answer *answer)
{
    int code;
    if (krs_config_bool(config, KRS_OPTION_JSON)) {
        code = krs_say_json(krs_answer_json(answer));
    } else {
        (void)fputc('\n', stdout);
        code = krs_say_flush();
    }
    const bool was_stopped = answer->finish == KRS_FINISH_CANCELLED;
    return code == 0 && was_stopped ? krs_status_exit_code(KRS_ECANCELLED) : code;
}

int krs_cmd_run(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    krs_buf prompt;
    krs_buf_init(&prompt, NULL, PROMPT_MAX_BYTES);
    krs_os_signals signals = {-1};
    krs_runtime *runtime = NULL;
    const krs_engine_options options = krs_local_options(config, config->positionals[0]);
    krs_answer answer;
    krs_answer_init(&answer);
    krs_status status = read_prompt(config, &prompt, &err);
    if (status == KRS_OK) {
        status = krs_os_signals_open(&signals, &err);
    }
    if (status == KRS_OK) {
        status = krs_local_open(config, &options, &runtime, &err);
    }
    if (status == KRS_OK) {
        status = answer_prompt(config, krs_buf_view(&prompt), runtime, &signals, &answer, &err);
    }
    const int code = status == KRS_OK ? print_end(config, &answer) : krs_say_error(config, &err);
    krs_runtime_free(runtime);
    krs_os_signals_close(&signals);
    krs_answer_deinit(&answer);
    krs_buf_deinit(&prompt);
    return code;
}
