/* apps/krs/raw_rows.c - see raw_rows.h.
 *
 * Tokens run as one prefill, cut only where its rows would not fit the memory set aside here; the cut does
 * not change a bit of them (docs/numerics.md), which --step shows at its extreme: one token at a time. A
 * model whose rows see each other takes one step, or refuses. */
#include "raw_rows.h"

#include "command.h"
#include "compute/backend.h"
#include "local.h"
#include "model/model.h"
#include "os/writer.h"
#include "progress.h"

#define TOKENS_MAX_BYTES (64u << 20)  /* the longest context in decimal, with separators */
#define ROWS_MAX_BYTES   (256u << 20) /* of one step; 440 rows of the largest vocabularies */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is written as memory lies");

typedef struct id_list {
    uint32_t *ids;
    uint32_t n;
} id_list;

/* Everything one run holds; freed by close_all. */
typedef struct run {
    krs_rows kind;
    krs_model *model;
    krs_backend *backend;
    krs_exec *exec;
    id_list tokens;
    uint32_t *blocks; /* [n_blocks]: 0, 1, 2 ... */
    uint32_t n_blocks;
    uint32_t *rows; /* [chunk]: 0, 1, 2 ... */
    uint32_t chunk; /* tokens of one step */
    int64_t width;  /* of a row */
} run;

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_separators(krs_str text, size_t at)
{
    while (at < text.len && is_separator(text.ptr[at])) {
        at++;
    }
    return at;
}

/* Drop one pair of brackets and the blanks around it. */
static krs_str strip_brackets(krs_str text)
{
    const size_t start = skip_separators(text, 0);
    text = (krs_str){text.ptr + start, text.len - start};
    while (text.len > 0 && is_separator(text.ptr[text.len - 1])) {
        text.len--;
    }
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        return (krs_str){text.ptr + 1, text.len - 2};
    }
    return text;
}

/* The id at *at, which moves behind it. */
static krs_status parse_id(krs_str text, size_t *at, int64_t vocab, uint32_t *out, krs_error *err)
{
    const size_t start = *at;
    int64_t id = 0;
    while (*at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9') {
        id = id < vocab ? id * 10 + (text.ptr[*at] - '0') : id; /* stops growing once too large */
        *at += 1;
    }
    if (*at == start || (*at < text.len && !is_separator(text.ptr[*at]))) {
        return krs_fail_field(err, KRS_EINVAL, "tokens", "tokens: no id at byte %zu (\"%.10s\")",
                              start, text.ptr + start);
    }
    if (id >= vocab) {
        const int shown = *at - start > 20 ? 20 : (int)(*at - start);
        return krs_fail_field(err, KRS_EINVAL, "tokens",
                              "tokens: id %.*s is not below the vocabulary of %lld", shown,
                              text.ptr + start, (long long)vocab);
    }
    *out = (uint32_t)id;
    return KRS_OK;
}

/* text is NUL-terminated after len, which the messages use. */
static krs_status parse_ids(krs_str text, const krs_model_config *model, id_list *out,
                            krs_error *err)
{
    text = strip_brackets(text);
    /* Every id but the last has a separator behind it. */
    out->ids = krs_alloc_array(NULL, text.len / 2 + 1, sizeof(uint32_t));
    if (!out->ids) {
        return krs_fail(err, KRS_ENOMEM, "tokens: out of memory");
    }
    for (size_t at = skip_separators(text, 0); at < text.len; at = skip_separators(text, at)) {
        const krs_status status = parse_id(text, &at, model->vocab, &out->ids[out->n], err);
        if (status != KRS_OK) {
            return status;
        }
        out->n++;
        if (out->n > model->max_positions) {
            return krs_fail_field(err, KRS_EINVAL, "tokens",
                                  "tokens: more than the model's context of %lld",
                                  (long long)model->max_positions);
        }
    }
    return out->n > 0 ? KRS_OK
                      : krs_fail_field(err, KRS_EINVAL, "tokens", "tokens: there are none");
}

/* --tokens, or the file it names. */
static krs_status read_tokens(const krs_config *config, run *r, krs_error *err)
{
    const char *option = krs_config_text(config, KRS_OPTION_TOKENS);
    const krs_model_config *model = krs_model_config_of(r->model);
    if (option[0] != '@') {
        return parse_ids(krs_str_of(option), model, &r->tokens, err);
    }
    krs_buf text;
    krs_buf_init(&text, NULL, TOKENS_MAX_BYTES);
    krs_status status = krs_os_file_read(option + 1, &text, err);
    if (status == KRS_OK && text.len == 0) {
        status = krs_fail_field(err, KRS_EINVAL, "tokens", "tokens: there are none");
    }
    if (status == KRS_OK) {
        status = parse_ids(krs_buf_view(&text), model, &r->tokens, err);
    }
    krs_buf_deinit(&text);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", option + 1);
}

static krs_status open_model(const krs_config *config, run *r, krs_error *err)
{
    const char *dir = krs_config_text(config, KRS_OPTION_MODEL);
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.map_mode =
        krs_config_bool(config, KRS_OPTION_MMAP) ? KRS_OS_MAP_SHARED_PAGES : KRS_OS_MAP_COPY;
    krs_status status = krs_model_open(dir, &options, NULL, &r->model, err);
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "%s", dir);
    }
    krs_backend_options backend = KRS_BACKEND_OPTIONS_INIT;
    backend.n_threads = (int32_t)krs_config_int(config, KRS_OPTION_THREADS);
    backend.is_exact = krs_local_is_exact(config);
    backend.isa = krs_config_text(config, KRS_OPTION_ISA);
    return krs_backend_open(krs_config_text(config, KRS_OPTION_DEVICE), &backend, NULL, &r->backend,
                            err);
}

/* The slot of the kind that is asked for. */
static krs_status find_width(run *r, krs_error *err)
{
    const krs_program *program = krs_model_program(r->model);
    const krs_slot slot = r->kind == KRS_ROWS_LOGITS ? program->logits : program->hidden;
    if (slot == KRS_NO_SLOT) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "model", "model: %s gives no %s",
                              krs_model_config_of(r->model)->model_type,
                              r->kind == KRS_ROWS_LOGITS ? "logits, only hidden states"
                                                         : "hidden states");
    }
    r->width = program->slots[slot].width;
    return KRS_OK;
}

static krs_status choose_chunk(const krs_config *config, run *r, krs_error *err)
{
    const bool is_step = r->kind == KRS_ROWS_LOGITS && krs_config_bool(config, KRS_OPTION_STEP);
    if (krs_model_program(r->model)->is_whole) {
        r->chunk = r->tokens.n;
        return r->chunk <= KRS_EXEC_MAX_ROWS
                   ? KRS_OK
                   : krs_fail_field(err, KRS_ETOOLARGE, "tokens",
                                    "tokens: %u, want at most %d: a text of this model is one step",
                                    r->chunk, KRS_EXEC_MAX_ROWS);
    }
    uint64_t chunk = ROWS_MAX_BYTES / ((uint64_t)r->width * sizeof(float));
    chunk = chunk < r->tokens.n ? chunk : r->tokens.n;
    chunk = chunk < KRS_EXEC_MAX_ROWS ? chunk : KRS_EXEC_MAX_ROWS;
    r->chunk = is_step || chunk == 0 ? 1 : (uint32_t)chunk;
    return KRS_OK;
}

/* 0, 1, ... n - 1 */
static uint32_t *new_sequence(uint32_t n)
{
    uint32_t *out = krs_alloc_array(NULL, n, sizeof(uint32_t));
    for (uint32_t i = 0; out && i < n; i++) {
        out[i] = i;
    }
    return out;
}

static krs_status open_exec(const krs_config *config, run *r, krs_error *err)
{
    krs_status status = find_width(r, err);
    if (status == KRS_OK) {
        status = choose_chunk(config, r, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    r->n_blocks = (r->tokens.n + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
    r->rows = new_sequence(r->chunk);
    r->blocks = new_sequence(r->n_blocks);
    if (!r->rows || !r->blocks) {
        return krs_fail(err, KRS_ENOMEM, "tokens: out of memory");
    }
    const krs_dtype kv_dtype = krs_local_kv_dtype(config);
    const bool has_logits = krs_model_program(r->model)->logits != KRS_NO_SLOT;
    const krs_exec_limits limits = {
        .max_rows = r->chunk,
        .max_seqs = 1,
        .max_logit_rows = r->kind == KRS_ROWS_LOGITS || has_logits ? r->chunk : 0,
        .max_hidden_rows = r->kind == KRS_ROWS_HIDDEN ? r->chunk : 0,
        .n_kv_blocks = r->n_blocks,
        .kv_dtype = kv_dtype == KRS_DTYPE_COUNT ? krs_backend_kv_dtype(r->backend) : kv_dtype,
        .n_state_slots = 1,
    };
    return krs_exec_new(r->backend, krs_model_program(r->model), &limits, &r->exec, err);
}

/* Tokens [at, at + n) in one step; their rows appended to file. */
static krs_status write_chunk(run *r, uint32_t at, uint32_t n, krs_os_writer *file, krs_error *err)
{
    const krs_step_seq seq = {0, n, at, r->n_blocks, r->blocks, 0};
    const krs_step step = {
        .n_rows = n,
        .n_seqs = 1,
        .n_logit_rows = r->kind == KRS_ROWS_LOGITS ? n : 0,
        .n_hidden_rows = r->kind == KRS_ROWS_HIDDEN ? n : 0,
        .tokens = r->tokens.ids + at,
        .seqs = &seq,
        .logit_rows = r->rows,
        .hidden_rows = r->rows,
    };
    krs_step_result result = {0};
    krs_status status = krs_exec_submit(r->exec, &step, err);
    if (status == KRS_OK) {
        status = krs_exec_collect(r->exec, &result, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    const float *rows = r->kind == KRS_ROWS_LOGITS ? result.logits : result.hidden;
    return krs_os_writer_put(file, rows, (size_t)n * (size_t)r->width * sizeof(float), err);
}

static krs_status write_all(const krs_config *config, run *r, krs_os_writer *file, krs_error *err)
{
    krs_progress progress;
    krs_progress_start(&progress, config, "tokens", r->tokens.n);
    krs_status status = KRS_OK;
    for (uint32_t at = 0; status == KRS_OK && at < r->tokens.n;) {
        const uint32_t left = r->tokens.n - at;
        const uint32_t n = left < r->chunk ? left : r->chunk;
        status = write_chunk(r, at, n, file, err);
        at += n;
        krs_progress_set(&progress, at);
    }
    krs_progress_end(&progress);
    return status;
}

static krs_status write_file(const krs_config *config, run *r, krs_error *err)
{
    krs_os_writer file;
    krs_status status = krs_os_writer_open(&file, krs_config_text(config, KRS_OPTION_OUT), err);
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "%s", krs_config_text(config, KRS_OPTION_OUT));
    }
    status = write_all(config, r, &file, err);
    if (status != KRS_OK) {
        krs_os_writer_abandon(&file);
        return status;
    }
    return krs_os_writer_commit(&file, err);
}

static krs_status check_options(const krs_config *config, krs_error *err)
{
    static const krs_option needed[] = {KRS_OPTION_MODEL, KRS_OPTION_TOKENS, KRS_OPTION_OUT};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        const char *text = krs_config_text(config, needed[i]);
        if (!text || !text[0]) {
            const char *name = krs_option_row_of(needed[i])->name;
            return krs_fail_field(err, KRS_EINVAL, name, "%s: --%s is needed",
                                  krs_command_row_of(config->command)->name, name);
        }
    }
    return KRS_OK;
}

static void close_all(run *r)
{
    krs_exec_free(r->exec);
    krs_backend_close(r->backend);
    krs_model_close(r->model);
    krs_alloc_free(NULL, r->tokens.ids);
    krs_alloc_free(NULL, r->blocks);
    krs_alloc_free(NULL, r->rows);
}

int krs_raw_rows_run(const krs_config *config, krs_rows kind, const char *width_name)
{
    krs_error err = KRS_ERROR_INIT;
    run r = {.kind = kind};
    krs_status status = check_options(config, &err);
    if (status == KRS_OK) {
        status = open_model(config, &r, &err);
    }
    if (status == KRS_OK) {
        status = read_tokens(config, &r, &err);
    }
    if (status == KRS_OK) {
        status = open_exec(config, &r, &err);
    }
    if (status == KRS_OK) {
        status = write_file(config, &r, &err);
    }
    int code = 0;
    if (status != KRS_OK) {
        code = krs_say_error(config, &err);
    } else if (krs_config_bool(config, KRS_OPTION_JSON)) {
        code = krs_say_json(json_pack("{s:s, s:I, s:I}", "out",
                                      krs_config_text(config, KRS_OPTION_OUT), "n_tokens",
                                      (json_int_t)r.tokens.n, width_name, (json_int_t)r.width));
    }
    close_all(&r);
    return code;
}
