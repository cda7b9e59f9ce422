/* api/config_file.c - see config_file.h. One walk over the tree serves both readers: the one that stops at
 * the first fault and the one that collects them all. */
#include "api/config_file.h"

#include "base/nearest.h"
#include "os/file.h"
#include "wire/yaml.h"

#define ENVIRONMENTS "environments"

struct krs_config_file {
    char *name;
    krs_buf text; /* kept for the lines of its keys */
    json_t *tree; /* a map, or null for an empty file */
};

typedef struct walk {
    const krs_config_file *file;
    const char *section;      /* NULL: the top of the file */
    krs_config *config;       /* takes the values of its command */
    krs_config *scratch;      /* takes all others: they are checked, too */
    krs_source source;        /* of the values */
    krs_config_report report; /* NULL: the first fault ends the walk */
    void *ctx;
    uint32_t n_faults;
    krs_error *err;
} walk;

static uint32_t line_of(const krs_config_file *file, const char *section, const char *key)
{
    const char *path[] = {ENVIRONMENTS, section, key};
    const krs_str text = krs_buf_view(&file->text);
    if (!section) {
        return krs_yaml_line_of(text, path + 2, 1);
    }
    return krs_yaml_line_of(text, path, key ? 3 : 2);
}

/* Add "file:line" to w->err, and go on or stop. */
static krs_status end_fault(walk *w, const char *key, krs_status status)
{
    const uint32_t line = line_of(w->file, w->section, key);
    status = line > 0 ? krs_error_wrap(w->err, status, "%s:%u", w->file->name, line)
                      : krs_error_wrap(w->err, status, "%s", w->file->name);
    if (!w->report) {
        return status;
    }
    w->n_faults++;
    w->report(w->ctx, w->err);
    return KRS_OK;
}

static krs_status fail_unknown(walk *w, const char *key)
{
    const krs_str near = krs_option_nearest(KRS_COMMAND_CONFIG, krs_str_of(key));
    if (near.len > 0) {
        return krs_fail_field(w->err, KRS_EINVAL, key, "unknown option %s; did you mean %.*s?", key,
                              KRS_STR_ARGS(near));
    }
    return krs_fail_field(w->err, KRS_EINVAL, key, "unknown option %s", key);
}

/* What a file cannot say: it would name itself, or choose among its own sections. */
static bool is_for_files(krs_option option)
{
    return option != KRS_OPTION_HELP && option != KRS_OPTION_CONFIG && option != KRS_OPTION_ENV;
}

static krs_status take_key(walk *w, const char *key, const json_t *value)
{
    const krs_option option = krs_option_of_name(KRS_COMMAND_CONFIG, krs_str_of(key));
    if (option == KRS_OPTION_COUNT) {
        return fail_unknown(w, key);
    }
    if (!is_for_files(option)) {
        return krs_fail_field(w->err, KRS_EINVAL, key,
                              "%s: not in a file; it is a flag or a variable", key);
    }
    krs_config *to = krs_option_is_for(option, w->config->command) ? w->config : w->scratch;
    return krs_config_set_tree(to, option, value, w->source, w->err);
}

static krs_status take_section(walk *w, json_t *section)
{
    const char *key;
    json_t *value;
    json_object_foreach(section, key, value)
    {
        const bool is_sections = !w->section && strcmp(key, ENVIRONMENTS) == 0;
        krs_status status = is_sections ? KRS_OK : take_key(w, key, value);
        if (status != KRS_OK) {
            status = end_fault(w, key, status);
        }
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

/* Section `name`: into config when it is the chosen one, else to be checked only. */
static krs_status take_environment(const walk *top, const char *name, json_t *section,
                                   bool is_chosen, uint32_t *n_faults)
{
    walk w = *top;
    w.section = name;
    w.config = is_chosen ? top->config : top->scratch;
    w.source = KRS_SOURCE_FILE_SECTION;
    krs_status status = KRS_OK;
    if (!json_is_object(section) && !json_is_null(section)) {
        status = end_fault(&w, NULL,
                           krs_fail_field(w.err, KRS_EINVAL, name,
                                          "environment %s: want a mapping of options", name));
    } else {
        status = take_section(&w, section);
    }
    *n_faults = w.n_faults;
    return status;
}

static krs_status take_environments(walk *w, const char *chosen)
{
    json_t *sections = json_object_get(w->file->tree, ENVIRONMENTS);
    if (!sections || json_is_null(sections)) {
        return KRS_OK;
    }
    if (!json_is_object(sections)) {
        return end_fault(w, ENVIRONMENTS,
                         krs_fail_field(w->err, KRS_EINVAL, ENVIRONMENTS,
                                        "environments: want a mapping of names to options"));
    }
    krs_status status = KRS_OK;
    const char *name;
    json_t *section;
    json_object_foreach(sections, name, section)
    {
        if (status == KRS_OK) {
            const bool is_chosen = chosen && strcmp(name, chosen) == 0;
            krs_config_init(w->scratch, KRS_COMMAND_CONFIG);
            status = take_environment(w, name, section, is_chosen, &w->n_faults);
        }
    }
    return status;
}

/* The top of the file and all its sections. */
static krs_status take_all(walk *w, const char *chosen)
{
    if (json_is_null(w->file->tree)) {
        return KRS_OK; /* an empty file, or comments only */
    }
    if (!json_is_object(w->file->tree)) {
        return end_fault(w, "",
                         krs_fail(w->err, KRS_EINVAL, "want a mapping of option names to values"));
    }
    const krs_status status = take_section(w, w->file->tree);
    return status == KRS_OK ? take_environments(w, chosen) : status;
}

/* Is there the environment that was asked for? */
static krs_status check_chosen(const krs_config_file *file, const char *chosen, krs_error *err)
{
    if (!chosen || json_object_get(json_object_get(file->tree, ENVIRONMENTS), chosen)) {
        return KRS_OK;
    }
    krs_nearest nearest = {.word = krs_str_of(chosen)};
    const char *name = krs_config_file_environment(file, 0);
    for (size_t i = 1; name; i++) {
        krs_nearest_offer(&nearest, krs_str_of(name));
        name = krs_config_file_environment(file, i);
    }
    if (nearest.best.len > 0) {
        return krs_fail_field(err, KRS_EINVAL, "env", "%s: no environment %s; did you mean %.*s?",
                              file->name, chosen, KRS_STR_ARGS(nearest.best));
    }
    return krs_fail_field(err, KRS_EINVAL, "env", "%s: no environment %s", file->name, chosen);
}

krs_status krs_config_file_apply(const krs_config_file *file, const char *environment,
                                 krs_config *config, krs_error *err)
{
    krs_config scratch;
    krs_config_init(&scratch, KRS_COMMAND_CONFIG);
    krs_error own = KRS_ERROR_INIT;
    walk w = {.file = file,
              .config = config,
              .scratch = &scratch,
              .source = KRS_SOURCE_FILE,
              .err = err ? err : &own};
    const krs_status status = take_all(&w, environment);
    return status == KRS_OK ? check_chosen(file, environment, err) : status;
}

uint32_t krs_config_file_check(const krs_config_file *file, krs_config_report report, void *ctx)
{
    krs_config config;
    krs_config scratch;
    krs_config_init(&config, KRS_COMMAND_CONFIG);
    krs_config_init(&scratch, KRS_COMMAND_CONFIG);
    krs_error err = KRS_ERROR_INIT;
    walk w = {.file = file,
              .config = &config,
              .scratch = &scratch,
              .source = KRS_SOURCE_FILE,
              .report = report,
              .ctx = ctx,
              .err = &err};
    (void)take_all(&w, NULL); /* every fault was reported */
    return w.n_faults;
}

uint32_t krs_config_file_line(const krs_config_file *file, const char *environment,
                              krs_option option, bool *in_section)
{
    const char *name = krs_option_row_of(option)->name;
    const uint32_t line = environment ? line_of(file, environment, name) : 0;
    *in_section = line > 0;
    return line > 0 ? line : line_of(file, NULL, name);
}

const char *krs_config_file_environment(const krs_config_file *file, size_t i)
{
    json_t *sections = json_object_get(file->tree, ENVIRONMENTS);
    void *at = json_object_iter(sections);
    for (; at && i > 0; i--) {
        at = json_object_iter_next(sections, at);
    }
    return at ? json_object_iter_key(at) : NULL;
}

const char *krs_config_file_name(const krs_config_file *file)
{
    return file->name;
}

/* file owns its text already; on failure the caller closes it. */
static krs_status parse(krs_config_file *file, const char *name, krs_error *err)
{
    file->name = krs_alloc_text(NULL, name, strlen(name));
    if (!file->name) {
        return krs_fail(err, KRS_ENOMEM, "configuration file: no memory");
    }
    const krs_status status = krs_yaml_parse(krs_buf_view(&file->text), &file->tree, err);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", name);
}

static krs_config_file *new_file(krs_error *err)
{
    krs_config_file *file = krs_alloc_zero(NULL, sizeof(*file));
    if (!file) {
        (void)krs_fail(err, KRS_ENOMEM, "configuration file: no memory");
        return NULL;
    }
    krs_buf_init(&file->text, NULL, KRS_YAML_MAX_BYTES);
    return file;
}

krs_status krs_config_file_open(const char *path, krs_config_file **out, krs_error *err)
{
    *out = NULL;
    krs_config_file *file = new_file(err);
    if (!file) {
        return KRS_ENOMEM;
    }
    krs_status status = krs_os_file_read(path, &file->text, err);
    status = status == KRS_OK ? parse(file, path, err) : krs_error_wrap(err, status, "%s", path);
    if (status != KRS_OK) {
        krs_config_file_close(file);
        return status;
    }
    *out = file;
    return KRS_OK;
}

krs_status krs_config_file_parse(krs_str text, const char *name, krs_config_file **out,
                                 krs_error *err)
{
    *out = NULL;
    krs_config_file *file = new_file(err);
    if (!file) {
        return KRS_ENOMEM;
    }
    krs_status status = krs_buf_append_str(&file->text, text);
    status = status == KRS_OK ? parse(file, name, err)
                              : krs_fail(err, status, "%s: %zu bytes, limit %u", name, text.len,
                                         KRS_YAML_MAX_BYTES);
    if (status != KRS_OK) {
        krs_config_file_close(file);
        return status;
    }
    *out = file;
    return KRS_OK;
}

void krs_config_file_close(krs_config_file *file)
{
    if (file) {
        json_decref(file->tree);
        krs_buf_deinit(&file->text);
        krs_alloc_free(NULL, file->name);
        krs_alloc_free(NULL, file);
    }
}
