/* fuzz/fuzz_http.c - the request parser: whatever the bytes, whole and split feeding must agree.
 * The first byte chooses where to split. */
#include "base/check.h"
#include "server/http_parse.h"

#define FUZZ_BODY_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(krs_http_parser *parser, const char *bytes, size_t n, size_t piece)
{
    const krs_http_limits limits = {KRS_HTTP_MAX_HEAD_BYTES, FUZZ_BODY_BYTES};
    krs_http_parser_init(parser, NULL, &limits);
    for (size_t used = 0; used < n && parser->phase <= KRS_HTTP_BODY;) {
        const size_t left = n - used;
        used += krs_http_feed(parser, bytes + used, piece < left ? piece : left);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    krs_http_parser whole;
    krs_http_parser split;
    run(&whole, (const char *)data + 1, size - 1, size);
    run(&split, (const char *)data + 1, size - 1, (size_t)data[0] % 32 + 1);
    KRS_CHECK(whole.phase == split.phase && whole.fail_status == split.fail_status);
    if (whole.phase == KRS_HTTP_DONE) {
        KRS_CHECK(krs_str_equal(whole.request.path, split.request.path));
        KRS_CHECK(krs_str_equal(whole.request.body, split.request.body));
        KRS_CHECK(whole.request.n_headers == split.request.n_headers);
        (void)krs_http_header_of(&whole.request, "content-type");
    }
    krs_http_parser_deinit(&whole);
    krs_http_parser_deinit(&split);
    return 0;
}
