/* apps/krs/cmd_inspect.c - krs inspect MODEL: what a folder or a GGUF file holds and what running it will take.
 *
 * One JSON value is built and either printed or laid out for people, so the two cannot disagree. The
 * memory plan is the cpu backend's own, for one sequence of the whole context: weights stay in the
 * mapped file, KV, state and scratch are allocated. */
#include "command.h"
#include "compute/backend.h"
#include "format/gguf.h"
#include "model/model.h"
#include "os/file.h"
#include "tensor/gguf_block.h"

#include <inttypes.h>
#include <stdio.h>

#define PLAN_DEVICE                "cpu"
#define PLAN_STEP_TOKENS           512 /* prompt tokens computed together; scratch grows with it */
#define TOKENIZER_CONFIG_MAX_BYTES (16u << 20)
#define KIB                        1024.0

static const char *rope_name(krs_rope_kind kind)
{
    static const char *const names[] = {
        [KRS_ROPE_DEFAULT] = "default",   [KRS_ROPE_LINEAR] = "linear",
        [KRS_ROPE_LLAMA3] = "llama3",     [KRS_ROPE_YARN] = "yarn",
        [KRS_ROPE_LONGROPE] = "longrope", [KRS_ROPE_DYNAMIC] = "dynamic",
    };
    return names[kind];
}

/* The rotation of the layers that are rotated; "none" when none is. */
static const char *rope_of(const krs_model_config *config)
{
    for (int32_t i = 0; i < config->n_layers; i++) {
        if (krs_layer_set_has(&config->rope_layers, i)) {
            return rope_name(config->rope.kind);
        }
    }
    return "none";
}

static bool has_file(const char *dir, const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    return krs_os_path_join(dir, name, path, sizeof(path)) == KRS_OK &&
           krs_os_path_kind(path) == KRS_OS_FILE;
}

/* Does tokenizer_config.json carry the template inside, as older folders do? */
static bool has_inline_template(const char *dir)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf text;
    krs_buf_init(&text, NULL, TOKENIZER_CONFIG_MAX_BYTES);
    json_t *root = NULL;
    const krs_json_limits limits = {TOKENIZER_CONFIG_MAX_BYTES, true};
    const bool is_read =
        krs_os_path_join(dir, "tokenizer_config.json", path, sizeof(path)) == KRS_OK &&
        krs_os_file_read(path, &text, NULL) == KRS_OK &&
        krs_json_parse(krs_buf_view(&text), &limits, &root, NULL) == KRS_OK;
    const json_t *value = is_read ? json_object_get(root, "chat_template") : NULL;
    const bool has_template = json_is_string(value) || json_is_array(value);
    json_decref(root);
    krs_buf_deinit(&text);
    return has_template;
}

/* The same of a GGUF file, which has all of it inside; and what the file says of itself. */
static json_t *gguf_json(const char *path)
{
    krs_gguf *gguf = NULL;
    if (krs_gguf_open(path, KRS_OS_MAP_SHARED_PAGES, NULL, &gguf, NULL) != KRS_OK) {
        return json_object(); /* it was open a moment ago; what it has matters less than what it is */
    }
    krs_str name = {"", 0};
    if (krs_gguf_get_str(gguf, "general.name", KRS_GGUF_MAX_NAME_BYTES, &name, NULL) != KRS_OK ||
        !krs_str_is_plain(name)) {
        name = (krs_str){"", 0}; /* only for people to read */
    }
    const bool has_template = krs_gguf_find(gguf, "tokenizer.chat_template") != NULL;
    json_t *out =
        json_pack("{s:b, s:b, s:s?, s:{s:i, s:i, s:i, s:s%}}", "tokenizer",
                  (int)(krs_gguf_find(gguf, "tokenizer.ggml.tokens") != NULL), "generation_config",
                  0, "chat_template", has_template ? "tokenizer.chat_template" : NULL, "gguf",
                  "version", (int)krs_gguf_version(gguf), "parts", (int)krs_gguf_n_shards(gguf),
                  "settings", (int)krs_gguf_n_values(gguf), "name", name.ptr, name.len);
    krs_gguf_close(gguf);
    return out;
}

static json_t *files_json(const char *dir)
{
    if (krs_gguf_is_path(dir)) {
        return gguf_json(dir);
    }
    const char *template = has_file(dir, "chat_template.jinja") ? "chat_template.jinja"
                           : has_inline_template(dir)           ? "tokenizer_config.json"
                                                                : NULL;
    return json_pack("{s:b, s:b, s:s?}", "tokenizer", (int)has_file(dir, "tokenizer.json"),
                     "generation_config", (int)has_file(dir, "generation_config.json"),
                     "chat_template", template);
}

static int count_windowed(const krs_model_config *c)
{
    int n = 0;
    for (int32_t layer = 0; layer < c->n_layers; layer++) {
        n += krs_model_config_is_windowed(c, layer);
    }
    return n;
}

static json_t *shape_json(const krs_model_config *c)
{
    return json_pack("{s:i, s:I, s:I, s:i, s:i, s:i, s:I, s:b, s:I, s:s, s:f, s:I, s:i}", "layers",
                     c->n_layers, "hidden", (json_int_t)c->hidden, "ffn", (json_int_t)c->ffn,
                     "heads", c->n_heads, "kv_heads", c->n_kv_heads, "head_dim", c->head_dim,
                     "vocab", (json_int_t)c->vocab, "tied_head", (int)c->is_tied, "context",
                     (json_int_t)c->max_positions, "rope", rope_of(c), "rope_theta", c->rope.theta,
                     "window", (json_int_t)c->window, "windowed_layers", count_windowed(c));
}

/* Bytes of tensors by element type, largest types first as dtype.def has them. */
static json_t *dtypes_json(const krs_tensor_dir *tensors)
{
    uint64_t n_bytes[KRS_DTYPE_COUNT] = {0};
    uint64_t by_kind[KRS_QUANT_COUNT] = {0};
    for (uint32_t i = 0; i < tensors->n_tensors; i++) {
        const krs_tensor *tensor = &tensors->tensors[i];
        uint64_t *sum = tensor->quant.kind != KRS_QUANT_NONE ? &by_kind[tensor->quant.kind]
                                                             : &n_bytes[tensor->dtype];
        *sum += tensor->n_bytes;
    }
    json_t *out = json_object();
    for (krs_dtype dtype = 0; dtype < KRS_DTYPE_COUNT; dtype++) {
        if (n_bytes[dtype] > 0) {
            (void)json_object_set_new(out, krs_dtype_name(dtype),
                                      json_integer((json_int_t)n_bytes[dtype]));
        }
    }
    for (krs_quant_kind kind = 0; kind < KRS_QUANT_COUNT; kind++) {
        if (by_kind[kind] > 0) {
            (void)json_object_set_new(out, krs_quant_name(kind),
                                      json_integer((json_int_t)by_kind[kind]));
        }
    }
    return out;
}

/* Blocks of GGUF: the kind that most bytes are of. */
static json_t *blocks_json(const krs_model *model)
{
    const krs_quant_kind kind = krs_quant_kind_of_name(krs_str_of(krs_model_main_type(model)));
    const krs_gguf_type_info *info = kind < KRS_QUANT_COUNT ? krs_gguf_type_of_kind(kind) : NULL;
    return info ? json_pack("{s:s, s:i, s:i, s:i}", "mode", krs_quant_name(kind), "bits",
                            info->quant.bits, "group", info->quant.group, "overrides", 0)
                : json_null();
}

static json_t *quantisation_json(const krs_model *model, const krs_model_config *c)
{
    const krs_hub_quant *hub = &c->hub_quant;
    if (hub->method != KRS_HUB_NONE) { /* bits 0: the file says */
        return json_pack("{s:s, s:i, s:i, s:i}", "mode", krs_hub_method_name(hub->method), "bits",
                         hub->bits, "group", hub->group, "overrides", 0);
    }
    if (c->quant.kind == KRS_QUANT_NONE) {
        return blocks_json(model);
    }
    return json_pack("{s:s, s:i, s:i, s:I}", "mode", krs_quant_name(c->quant.kind), "bits",
                     c->quant.bits, "group", c->quant.group, "overrides",
                     (json_int_t)c->n_overrides);
}

static json_t *bytes_json(const krs_model_stats *s)
{
    const uint64_t used =
        s->embedding_bytes + s->attention_bytes + s->ffn_bytes + s->norm_bytes + s->head_bytes;
    const uint64_t other = s->file_bytes > used ? s->file_bytes - used : 0;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)s->file_bytes,
                     "embedding", (json_int_t)s->embedding_bytes, "attention",
                     (json_int_t)s->attention_bytes, "ffn", (json_int_t)s->ffn_bytes, "norm",
                     (json_int_t)s->norm_bytes, "head", (json_int_t)s->head_bytes, "other",
                     (json_int_t)other, "rewritten", (json_int_t)s->converted_bytes);
}

/* The plan of one sequence of n_ctx tokens. */
static krs_status plan_of(const krs_model *model, int64_t n_ctx, krs_exec_plan *out, krs_error *err)
{
    krs_backend *backend;
    krs_status status = krs_backend_open(PLAN_DEVICE, NULL, NULL, &backend, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_program *program = krs_model_program(model);
    const int64_t step = program->is_whole ? KRS_EXEC_MAX_ROWS : PLAN_STEP_TOKENS;
    const uint32_t n_rows = (uint32_t)(n_ctx < step ? n_ctx : step);
    const bool has_logits = program->logits != KRS_NO_SLOT;
    const krs_exec_limits limits = {
        .max_rows = n_rows,
        .max_seqs = 1,
        .max_logit_rows = has_logits ? 1 : 0,
        .max_hidden_rows = has_logits ? 0 : n_rows,
        .n_kv_blocks = (uint32_t)((n_ctx + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS),
        .kv_dtype = krs_backend_kv_dtype(backend),
        .n_state_slots = 1,
    };
    status = krs_exec_plan_of(backend, program, &limits, out, err);
    krs_backend_close(backend);
    return status;
}

static json_t *plan_json(const krs_model_stats *stats, const krs_exec_plan *plan, int64_t n_ctx)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "device", PLAN_DEVICE, "context",
                     (json_int_t)n_ctx, "weights_mapped", (json_int_t)plan->weight_bytes,
                     "weights_copied", (json_int_t)plan->copied_bytes, "kv_per_token_f16",
                     (json_int_t)stats->kv_bytes_per_token_f16, "kv", (json_int_t)plan->kv_bytes,
                     "state", (json_int_t)plan->state_bytes, "scratch",
                     (json_int_t)plan->scratch_bytes);
}

static krs_status describe(const krs_config *config, const krs_model *model, const char *dir,
                           json_t **out, krs_error *err)
{
    const krs_model_config *c = krs_model_config_of(model);
    const krs_model_stats stats = krs_model_stats_of(model);
    const int64_t asked = krs_config_int(config, KRS_OPTION_CTX);
    const int64_t n_ctx = asked > 0 ? asked : c->max_positions;
    const int64_t longest = krs_model_config_longest(c);
    if (n_ctx > longest) {
        return krs_fail_field(err, KRS_EINVAL, "ctx", "ctx: %" PRId64 ", the model has %" PRId64,
                              n_ctx, longest);
    }
    krs_exec_plan plan;
    const krs_status status = plan_of(model, n_ctx, &plan, err);
    if (status != KRS_OK) {
        return status;
    }
    *out = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "path", dir,
                     "model_type", c->model_type, "architecture", c->architecture, "parameters",
                     (json_int_t)stats.n_parameters, "shape", shape_json(c), "quantisation",
                     quantisation_json(model, c), "dtypes", dtypes_json(krs_model_tensors(model)),
                     "bytes", bytes_json(&stats), "plan", plan_json(&stats, &plan, n_ctx), "has",
                     files_json(dir));
    return *out ? KRS_OK : krs_fail(err, KRS_ENOMEM, "inspect: out of memory");
}

/* "3.7 MiB" */
static void print_bytes(const char *label, json_int_t n_bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)n_bytes;
    size_t unit = 0;
    while (value >= KIB && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= KIB;
        unit++;
    }
    (void)printf("  %-18s %.*f %s\n", label, unit == 0 ? 0 : 1, value, units[unit]);
}

/* Every integer of object but `skip`, as bytes. */
static void print_all_bytes(json_t *object, const char *skip)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (json_is_integer(value) && strcmp(key, skip) != 0) {
            print_bytes(key, json_integer_value(value));
        }
    }
}

static json_int_t int_of(const json_t *object, const char *field)
{
    return json_integer_value(json_object_get(object, field));
}

static void print_shape(const json_t *shape)
{
    (void)printf("layers        %" JSON_INTEGER_FORMAT ", hidden %" JSON_INTEGER_FORMAT
                 ", feed-forward %" JSON_INTEGER_FORMAT "\n",
                 int_of(shape, "layers"), int_of(shape, "hidden"), int_of(shape, "ffn"));
    (void)printf("attention     %" JSON_INTEGER_FORMAT " heads, %" JSON_INTEGER_FORMAT
                 " for keys and values, %" JSON_INTEGER_FORMAT " a head\n",
                 int_of(shape, "heads"), int_of(shape, "kv_heads"), int_of(shape, "head_dim"));
    if (int_of(shape, "windowed_layers") > 0) {
        (void)printf("window        %" JSON_INTEGER_FORMAT " tokens in %" JSON_INTEGER_FORMAT
                     " layers\n",
                     int_of(shape, "window"), int_of(shape, "windowed_layers"));
    }
    const char *rope = json_string_value(json_object_get(shape, "rope"));
    (void)printf("context       %" JSON_INTEGER_FORMAT " tokens, rope %s", int_of(shape, "context"),
                 rope);
    if (strcmp(rope, "none") != 0) {
        (void)printf(", theta %.0f", json_real_value(json_object_get(shape, "rope_theta")));
    }
    (void)putchar('\n');
    (void)printf("vocabulary    %" JSON_INTEGER_FORMAT "%s\n", int_of(shape, "vocab"),
                 json_is_true(json_object_get(shape, "tied_head")) ? ", the head is the embedding"
                                                                   : "");
}

static void print_quantisation(const json_t *quant)
{
    if (json_is_null(quant)) {
        (void)printf("quantisation  none\n");
        return;
    }
    (void)printf("quantisation  %s", json_string_value(json_object_get(quant, "mode")));
    if (int_of(quant, "bits") > 0) {
        (void)printf(", %" JSON_INTEGER_FORMAT " bits", int_of(quant, "bits"));
    }
    if (int_of(quant, "group") > 0) {
        (void)printf(", groups of %" JSON_INTEGER_FORMAT, int_of(quant, "group"));
    }
    if (int_of(quant, "overrides") > 0) {
        (void)printf(", %" JSON_INTEGER_FORMAT " modules their own", int_of(quant, "overrides"));
    }
    (void)printf("\n");
}

static void print_gguf(const json_t *gguf)
{
    (void)printf("format        GGUF v%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                 " settings, %" JSON_INTEGER_FORMAT " file%s\n",
                 int_of(gguf, "version"), int_of(gguf, "settings"), int_of(gguf, "parts"),
                 int_of(gguf, "parts") == 1 ? "" : "s");
    const char *name = json_string_value(json_object_get(gguf, "name"));
    if (name && name[0]) {
        (void)printf("name          %s\n", name);
    }
}

static int print_text(const json_t *all)
{
    const json_t *has = json_object_get(all, "has");
    const json_t *template = json_object_get(has, "chat_template");
    json_t *plan = json_object_get(all, "plan");
    const json_t *gguf = json_object_get(has, "gguf");
    const bool is_gguf = gguf != NULL;
    (void)printf("model         %s\n", json_string_value(json_object_get(all, "path")));
    if (is_gguf) {
        print_gguf(gguf);
    }
    (void)printf("architecture  %s (%s)\n", json_string_value(json_object_get(all, "model_type")),
                 json_string_value(json_object_get(all, "architecture")));
    (void)printf("parameters    %.3g million\n", (double)int_of(all, "parameters") / 1e6);
    print_shape(json_object_get(all, "shape"));
    print_quantisation(json_object_get(all, "quantisation"));
    (void)printf("tokenizer     %s\n", json_is_true(json_object_get(has, "tokenizer"))
                                           ? is_gguf ? "in the file" : "tokenizer.json"
                                           : "none");
    (void)printf("template      %s\n",
                 json_is_string(template) ? json_string_value(template) : "none");
    (void)printf("bytes by part\n");
    print_all_bytes(json_object_get(all, "bytes"), "");
    (void)printf("bytes by type\n");
    print_all_bytes(json_object_get(all, "dtypes"), "");
    (void)printf("memory on %s for one sequence of %" JSON_INTEGER_FORMAT " tokens\n", PLAN_DEVICE,
                 int_of(plan, "context"));
    print_all_bytes(plan, "context");
    return krs_say_flush();
}

int krs_cmd_inspect(const krs_config *config)
{
    const char *dir = config->positionals[0];
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    json_t *all = NULL;
    krs_status status = krs_model_open(dir, NULL, NULL, &model, &err);
    if (status == KRS_OK) {
        status = describe(config, model, dir, &all, &err);
    }
    krs_model_close(model);
    if (status != KRS_OK) {
        (void)krs_error_wrap(&err, status, "%s", dir);
        return krs_say_error(config, &err);
    }
    if (krs_config_bool(config, KRS_OPTION_JSON)) {
        return krs_say_json(all);
    }
    const int code = print_text(all);
    json_decref(all);
    return code;
}
