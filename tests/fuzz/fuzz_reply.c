/* Any bytes as a reply: format, flags and cuts from the first three, the rest its text. Whole, byte by byte
 * and cut by chance it must be the same; what is no call must be there as text; it must end in time. */
#include "support/reply_cases.h"

#include <stdlib.h>

#define FUZZ_MAX_TEXT (1u << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_cut(const krs_reply_options *options, krs_str text, uint32_t rarity, uint64_t seed,
                     krs_test_record *record)
{
    size_t *cuts = krs_alloc_array(NULL, text.len + 1, sizeof(*cuts));
    size_t n = 0;
    KRS_CHECK(cuts);
    for (size_t at = 0; at <= text.len && rarity > 0; at++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        cuts[n] = at;
        n += (uint32_t)(seed >> 33) % rarity == 0;
    }
    KRS_CHECK(krs_test_record_cut(options, text, cuts, n, record) == KRS_OK);
    krs_alloc_free(NULL, cuts);
}

static void check(const krs_reply_options *options, krs_str text, uint64_t seed)
{
    static const uint32_t rarities[] = {1, 2, 7, 40};
    krs_test_record whole;
    read_cut(options, text, 0, 0, &whole);
    const krs_str line = krs_test_record_line(&whole);
    for (size_t i = 0; i < sizeof(rarities) / sizeof(rarities[0]); i++) {
        krs_test_record cut;
        read_cut(options, text, rarities[i], seed, &cut);
        KRS_CHECK(krs_str_equal(line, krs_test_record_line(&cut)));
        krs_buf_deinit(&cut.line);
    }
    if (options->style.format == KRS_REPLY_PLAIN &&
        options->style.reasoning == KRS_REPLY_REASONING_NONE && text.len > 0) {
        KRS_CHECK(line.len == text.len + strlen("content:") && krs_str_ends_with(line, text));
    }
    krs_buf_deinit(&whole.line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > FUZZ_MAX_TEXT) {
        return 0;
    }
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style.format = (krs_reply_format)(data[0] % KRS_REPLY_FORMAT_COUNT);
    options.style.reasoning = (krs_reply_reasoning)(data[1] % KRS_REPLY_REASONING_COUNT);
    options.is_reasoning_open =
        (data[1] & 0x40) && options.style.reasoning != 0 && options.style.format != KRS_REPLY_PLAIN;
    options.tools = t.list;
    options.n_tools = (data[1] & 0x80) ? 0 : 3;
    check(&options, (krs_str){(const char *)data + 3, size - 3}, data[2]);
    json_decref(t.weather);
    return 0;
}
