/* tests/fuzz/fuzz_keyfile.c - the file of API keys, from text to rows. */
#include "service/keyfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the reader promises about a row. */
static bool is_good(const krs_key_row *row)
{
    const krs_tenant_limits *limits = &row->limits;
    return row->name[0] != '\0' && memchr(row->name, '\0', sizeof(row->name)) && row->line > 0 &&
           limits->weight >= 1 && limits->weight <= KRS_KEYFILE_MAX_WEIGHT &&
           limits->max_in_flight <= KRS_KEYFILE_MAX_AT_ONCE &&
           limits->calls.per_minute <= KRS_BUCKET_MAX_PER_MINUTE &&
           (limits->calls.per_minute == 0) == (limits->calls.burst == 0) &&
           (limits->tokens.per_minute == 0) == (limits->tokens.burst == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    krs_keyfile file;
    krs_error err = KRS_ERROR_INIT;
    const krs_str text = {(const char *)data, size};
    const krs_status status = krs_keyfile_parse(text, NULL, &file, &err);
    if (status != KRS_OK && (file.n_rows != 0 || err.message[0] == '\0')) {
        abort(); /* a refusal without a reason, or half a file */
    }
    for (uint32_t i = 0; i < file.n_rows; i++) {
        if (!is_good(&file.rows[i])) {
            abort();
        }
    }
    krs_keyfile_deinit(&file);
    return 0;
}
