/* apps/krs/cmd_tokenize.c - `krs tokenize` and `krs detokenize`: text to ids and back, on the shell.
 *
 *   krs tokenize   --model DIR|tokenizer.json[.gz] [--special] [--jsonl]        < text > [1,2,3]
 *   krs detokenize --model DIR|tokenizer.json[.gz] [--skip-special] [--jsonl]   < ids  > text
 *
 * Without --jsonl all of standard input is one text (or one array of ids). With it each line is one
 * JSON string (or array), and gives one line. Data goes to stdout; one line on stderr says what went
 * wrong, with the line of the input.
 *
 * Thread: main. */
#include "command.h"
#include "model/source.h"
#include "os/file.h"
#include "text/tokenizer.h"
#include "wire/json.h"

#include <stdio.h>

#define MAX_INPUT_BYTES  (1u << 30) /* all of standard input; lines are bounded by the tokenizer */
#define MAX_OUTPUT_BYTES (1u << 30) /* one text or line */

typedef struct job {
    const krs_config *config;
    bool has_special; /* tokenize: add them; detokenize: leave them out */
    krs_tokenizer *tokenizer;
    krs_encoder *encoder; /* tokenize only */
    krs_buf out;
} job;

/* Turns one text or one list of ids into job->out. */
typedef krs_status (*convert)(job *j, krs_str in, krs_error *err);

static krs_status write_ids(krs_ids ids, krs_buf *out)
{
    krs_status status = krs_buf_append_char(out, '[');
    for (size_t i = 0; status == KRS_OK && i < ids.n; i++) {
        status = krs_buf_printf(out, i > 0 ? ",%u" : "%u", ids.ids[i]);
    }
    return status == KRS_OK ? krs_buf_append(out, "]\n", 2) : status;
}

static krs_status encode_text(job *j, krs_str text, krs_error *err)
{
    krs_ids ids;
    krs_status status = krs_encode(j->encoder, text, j->has_special, &ids, err);
    if (status == KRS_OK) {
        status = write_ids(ids, &j->out);
        if (status != KRS_OK) {
            return krs_fail(err, status, "output: more than %u bytes", MAX_OUTPUT_BYTES);
        }
    }
    return status;
}

static krs_status parse_json(krs_str in, json_t **out, krs_error *err)
{
    const krs_json_limits limits = {MAX_INPUT_BYTES, false};
    return krs_json_parse(in, &limits, out, err);
}

static krs_status encode_line(job *j, krs_str line, krs_error *err)
{
    json_t *value;
    krs_status status = parse_json(line, &value, err);
    if (status == KRS_OK && !json_is_string(value)) {
        status = krs_fail(err, KRS_EINVAL, "want a JSON string");
    }
    if (status == KRS_OK) {
        status =
            encode_text(j, (krs_str){json_string_value(value), json_string_length(value)}, err);
    }
    json_decref(value);
    return status;
}

/* The ids of a JSON array into list[]. */
static krs_status read_ids(const json_t *array, uint32_t *list, krs_error *err)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *id = json_array_get(array, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > UINT32_MAX) {
            return krs_fail(err, KRS_EINVAL, "ids[%zu]: want an integer of 32 bits", i);
        }
        list[i] = (uint32_t)json_integer_value(id);
    }
    return KRS_OK;
}

static krs_status decode_array(job *j, const json_t *array, krs_buf *out, krs_error *err)
{
    if (!json_is_array(array)) {
        return krs_fail(err, KRS_EINVAL, "want a JSON array of ids");
    }
    const size_t n = json_array_size(array);
    uint32_t *ids = krs_alloc_array(NULL, n, sizeof(ids[0]));
    if (!ids) {
        return krs_fail(err, KRS_ENOMEM, "%zu ids: out of memory", n);
    }
    krs_status status = read_ids(array, ids, err);
    if (status == KRS_OK) {
        status = krs_decode(j->tokenizer, ids, n, j->has_special, out, err);
    }
    krs_alloc_free(NULL, ids);
    return status;
}

static krs_status decode_text(job *j, krs_str in, krs_error *err)
{
    json_t *array;
    krs_status status = parse_json(in, &array, err);
    if (status == KRS_OK) {
        status = decode_array(j, array, &j->out, err);
    }
    json_decref(array);
    return status;
}

static krs_status decode_line(job *j, krs_str line, krs_error *err)
{
    krs_buf text;
    krs_buf_init(&text, NULL, MAX_OUTPUT_BYTES);
    json_t *array;
    krs_status status = parse_json(line, &array, err);
    if (status == KRS_OK) {
        status = decode_array(j, array, &text, err);
    }
    json_decref(array);
    if (status == KRS_OK) {
        status = krs_json_write_string(krs_buf_view(&text), &j->out);
        status = status == KRS_OK ? krs_buf_append_char(&j->out, '\n') : status;
        if (status != KRS_OK) {
            (void)krs_fail(err, status, "output: more than %u bytes", MAX_OUTPUT_BYTES);
        }
    }
    krs_buf_deinit(&text);
    return status;
}

static krs_status flush_out(job *j, krs_error *err)
{
    const bool is_written =
        fwrite(j->out.data ? j->out.data : "", 1, j->out.len, stdout) == j->out.len &&
        fflush(stdout) == 0;
    krs_buf_reset(&j->out);
    return is_written ? KRS_OK : krs_fail(err, KRS_EIO, "cannot write to standard output");
}

static krs_status each_line(job *j, krs_str in, convert line_of, krs_error *err)
{
    for (size_t n_line = 1; in.len > 0; n_line++) {
        const char *end = memchr(in.ptr, '\n', in.len);
        const size_t n = end ? (size_t)(end - in.ptr) : in.len;
        krs_status status = line_of(j, (krs_str){in.ptr, n}, err);
        if (status == KRS_OK) {
            status = flush_out(j, err);
        }
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "line %zu", n_line);
        }
        in = (krs_str){in.ptr + n + (end ? 1 : 0), in.len - n - (end ? 1 : 0)};
    }
    return KRS_OK;
}

static krs_status convert_input(job *j, convert whole, convert line_of, krs_error *err)
{
    krs_buf in;
    krs_buf_init(&in, NULL, MAX_INPUT_BYTES);
    krs_status status = krs_os_file_read("-", &in, err);
    if (status == KRS_OK && krs_config_bool(j->config, KRS_OPTION_JSONL)) {
        status = each_line(j, krs_buf_view(&in), line_of, err);
    } else if (status == KRS_OK) {
        status = whole(j, krs_buf_view(&in), err);
        status = status == KRS_OK ? flush_out(j, err) : status;
    }
    krs_buf_deinit(&in);
    return status;
}

static krs_status open_model(job *j, bool has_encoder, krs_error *err)
{
    const char *path = krs_config_text(j->config, KRS_OPTION_MODEL);
    if (!path) {
        return krs_fail_field(err, KRS_EINVAL, "model", "--model: missing");
    }
    const krs_status status = krs_model_source_tokenizer(path, NULL, &j->tokenizer, err);
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "%s", path);
    }
    return has_encoder ? krs_encoder_new(j->tokenizer, &j->encoder, err) : KRS_OK;
}

static int run(job *j, bool has_encoder, convert whole, convert line_of)
{
    krs_error err = KRS_ERROR_INIT;
    krs_buf_init(&j->out, NULL, MAX_OUTPUT_BYTES);
    krs_status status = open_model(j, has_encoder, &err);
    if (status == KRS_OK) {
        status = convert_input(j, whole, line_of, &err);
    }
    krs_encoder_free(j->encoder);
    krs_tokenizer_free(j->tokenizer);
    krs_buf_deinit(&j->out);
    return status == KRS_OK ? 0 : krs_say_error(j->config, &err);
}

int krs_cmd_tokenize(const krs_config *config)
{
    job j = {.config = config, .has_special = krs_config_bool(config, KRS_OPTION_SPECIAL)};
    return run(&j, true, encode_text, encode_line);
}

int krs_cmd_detokenize(const krs_config *config)
{
    job j = {.config = config, .has_special = krs_config_bool(config, KRS_OPTION_SKIP_SPECIAL)};
    return run(&j, false, decode_text, decode_line);
}
