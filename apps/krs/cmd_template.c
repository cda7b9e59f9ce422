/* apps/krs/cmd_template.c - `krs template render`: what a model is shown, on the shell.
 *
 *   krs template render --model DIR     --input FILE.json [--now 2026-01-02T03:04:05]
 *   krs template render --template FILE --input FILE.json [--now ...]
 *
 * The input is one JSON object, whose members are the template's variables; "-" reads standard input.
 * The text goes to stdout exactly as rendered: no newline is added, so its bytes can be compared.
 *
 * Thread: main. */
#include "command.h"
#include "model/source.h"
#include "os/clock.h"
#include "os/file.h"
#include "text/chat_template.h"

#include <stdio.h>

#define MAX_INPUT_BYTES (256u << 20) /* a conversation with images inside, as base64 */

typedef struct job {
    const krs_config *config;
    krs_chat_template *chat; /* one of the two */
    krs_template *template;
    json_t *inputs;
    krs_template_options options;
    krs_buf out;
} job;

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_before(int64_t year)
{
    const int64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400;
}

/* n digits of text at *at, then the character `end`; moves *at behind both. -1 when they are not there. */
static int64_t take_digits(const char *text, size_t *at, int n, char end)
{
    int64_t value = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (text[*at] < '0' || text[*at] > '9') {
            return -1;
        }
        value = value * 10 + (text[*at] - '0');
    }
    if (text[*at] != end) {
        return -1;
    }
    *at += end != '\0';
    return value;
}

/* Days from 1970-01-01 to a date, or -1 when the month has no such day. */
static int64_t days_to(int64_t year, int64_t month, int64_t day)
{
    static const int days_in[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t days = days_before(year) - days_before(1970) + day - 1;
    for (int64_t m = 1; m < month; m++) {
        days += days_in[m - 1] + (m == 2 && is_leap(year));
    }
    return day > days_in[month - 1] + (month == 2 && is_leap(year)) ? -1 : days;
}

static krs_status parse_now(const char *text, uint64_t *unix_s, krs_error *err)
{
    static const int widths[] = {4, 2, 2, 2, 2, 2};
    static const char ends[] = "--T::";
    static const int64_t low[] = {1970, 1, 1, 0, 0, 0};
    static const int64_t high[] = {9999, 12, 31, 23, 59, 59};
    int64_t part[6] = {0};
    size_t at = 0;
    bool is_ok = true;
    for (size_t i = 0; i < 6 && is_ok; i++) {
        part[i] = take_digits(text, &at, widths[i], ends[i]);
        is_ok = part[i] >= low[i] && part[i] <= high[i];
    }
    const int64_t days = is_ok ? days_to(part[0], part[1], part[2]) : -1;
    if (days < 0) {
        return krs_fail_field(err, KRS_EINVAL, "now",
                              "--now: \"%s\", want YYYY-MM-DDThh:mm:ss in UTC", text);
    }
    *unix_s = (uint64_t)(((days * 24 + part[3]) * 60 + part[4]) * 60 + part[5]);
    return KRS_OK;
}

static krs_status read_options(job *j, krs_error *err)
{
    const char *now = krs_config_text(j->config, KRS_OPTION_NOW);
    j->options.now_unix_s = krs_os_wall_ns() / KRS_NS_PER_S;
    return now ? parse_now(now, &j->options.now_unix_s, err) : KRS_OK;
}

static krs_status read_inputs(job *j, krs_error *err)
{
    const char *path = krs_config_text(j->config, KRS_OPTION_INPUT);
    const krs_json_limits limits = {MAX_INPUT_BYTES, false};
    krs_buf bytes;
    if (!path) {
        return krs_fail_field(err, KRS_EINVAL, "input", "--input: missing");
    }
    krs_buf_init(&bytes, NULL, MAX_INPUT_BYTES);
    krs_status status = krs_os_file_read(path, &bytes, err);
    if (status == KRS_OK) {
        status = krs_json_parse(krs_buf_view(&bytes), &limits, &j->inputs, err);
    }
    krs_buf_deinit(&bytes);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%s", path);
}

static krs_status read_source(job *j, const char *path, krs_error *err)
{
    krs_buf bytes;
    krs_buf_init(&bytes, NULL, KRS_TEMPLATE_MAX_BYTES);
    krs_status status = krs_os_file_read(path, &bytes, err);
    if (status == KRS_OK) {
        status = krs_template_parse(krs_buf_view(&bytes), NULL, &j->template, err);
    }
    krs_buf_deinit(&bytes);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%s", path);
}

static krs_status read_template(job *j, krs_error *err)
{
    const char *file = krs_config_text(j->config, KRS_OPTION_TEMPLATE);
    const char *dir = krs_config_text(j->config, KRS_OPTION_MODEL);
    if (!file == !dir) {
        return krs_fail_field(err, KRS_EINVAL, "template", "give either --template or --model");
    }
    if (file) {
        return read_source(j, file, err);
    }
    const krs_status status = krs_model_source_chat_template(dir, NULL, &j->chat, err);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%s", dir);
}

static krs_status render(job *j, krs_error *err)
{
    krs_status status =
        j->chat ? krs_chat_template_render(j->chat, j->inputs, &j->options, &j->out, err)
                : krs_template_render(j->template, j->inputs, &j->options, &j->out, err);
    if (status == KRS_OK &&
        fwrite(j->out.data ? j->out.data : "", 1, j->out.len, stdout) != j->out.len) {
        status = krs_fail(err, KRS_EIO, "cannot write to standard output");
    }
    return status;
}

int krs_cmd_template(const krs_config *config)
{
    job j = {.config = config, .options = KRS_TEMPLATE_OPTIONS_INIT};
    krs_error err = KRS_ERROR_INIT;
    krs_status status = KRS_OK;
    krs_buf_init(&j.out, NULL, KRS_TEMPLATE_MAX_OUTPUT);
    if (!krs_str_equal(krs_str_of(config->positionals[0]), KRS_STR("render"))) {
        status =
            krs_fail(&err, KRS_EINVAL, "template: \"%s\", want render", config->positionals[0]);
    }
    if (status == KRS_OK) {
        status = read_options(&j, &err);
    }
    if (status == KRS_OK) {
        status = read_template(&j, &err);
    }
    if (status == KRS_OK) {
        status = read_inputs(&j, &err);
    }
    if (status == KRS_OK) {
        status = render(&j, &err);
    }
    json_decref(j.inputs);
    krs_template_free(j.template);
    krs_chat_template_free(j.chat);
    krs_buf_deinit(&j.out);
    return status == KRS_OK ? krs_say_flush() : krs_say_error(config, &err);
}
