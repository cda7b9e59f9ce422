/* fuzz/fuzz_option_file.c - any bytes as the file of --config: refused with a fault that names something, or
 * values within their ranges. The first byte chooses the environment. */
#include "api/config_file.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(const krs_config *config)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option_row *row = krs_option_row_of((krs_option)i);
        const krs_option_value *value = &config->values[i];
        if (value->source == KRS_SOURCE_UNSET) {
            continue;
        }
        switch (row->type) {
        case KRS_OPTION_TYPE_INT:
        case KRS_OPTION_TYPE_BYTES:
        case KRS_OPTION_TYPE_BOOL:
            KRS_CHECK((double)value->integer >= row->min && (double)value->integer <= row->max);
            break;
        case KRS_OPTION_TYPE_REAL:
            KRS_CHECK(value->real >= row->min && value->real <= row->max);
            break;
        default:
            KRS_CHECK(value->text);
        }
    }
}

/* A value that the file set stands somewhere in it. */
static void check_lines(const krs_config_file *file, const char *environment,
                        const krs_config *config)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        bool in_section = false;
        if (config->values[i].source == KRS_SOURCE_FILE ||
            config->values[i].source == KRS_SOURCE_FILE_SECTION) {
            KRS_CHECK(krs_config_file_line(file, environment, (krs_option)i, &in_section) > 0);
            KRS_CHECK(in_section == (config->values[i].source == KRS_SOURCE_FILE_SECTION));
        }
    }
}

static void count(void *ctx, const krs_error *fault)
{
    uint32_t *n = ctx;
    (*n)++;
    KRS_CHECK(fault->status != KRS_OK && fault->message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_config_file *file = NULL;
    const krs_str text = {(const char *)data + 1, size - 1};
    if (krs_config_file_parse(text, "f", &file, &err) != KRS_OK) {
        KRS_CHECK(!file && err.message[0] != '\0');
        return 0;
    }
    uint32_t n_seen = 0;
    const uint32_t n_faults = krs_config_file_check(file, count, &n_seen);
    KRS_CHECK(n_faults == n_seen);
    const char *environment = krs_config_file_environment(file, data[0] % 4);
    krs_config config;
    krs_config_init(&config, KRS_COMMAND_SERVE);
    const krs_status status = krs_config_file_apply(file, environment, &config, &err);
    KRS_CHECK((status == KRS_OK) == (n_faults == 0));
    check_ranges(&config);
    if (status == KRS_OK) {
        check_lines(file, environment, &config);
    }
    krs_config_file_close(file);
    return 0;
}
