/* Any bytes as a chat template, rendered twice over a small conversation under a low budget: it must
 * end, leave nothing behind, say something when it fails, and give the same text both times. */
#include "base/check.h"
#include "text/template.h"

#include <string.h>

#define FUZZ_MAX_STEPS 20000 /* small enough that a loop bomb costs milliseconds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char inputs_text[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"},"
    " {\"role\": \"user\", \"content\": \"K\u00f6ln?\"}, {\"role\": \"assistant\", \"content\": "
    "null,"
    " \"tool_calls\": [{\"id\": \"a1\", \"type\": \"function\", \"function\":"
    " {\"name\": \"f\", \"arguments\": {\"x\": 1.5, \"y\": [true, null]}}}]}],"
    " \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\","
    " \"parameters\": {\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"number\"}}}}}],"
    " \"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"eos_token\": \"</s>\","
    " \"s\": \"Hello\", \"i\": 7, \"x\": 2.5, \"l\": [3, 1, 2], \"d\": {\"b\": 1, \"a\": null}}";

static krs_status render(const krs_template *t, const json_t *inputs, krs_buf *out)
{
    krs_error err = KRS_ERROR_INIT;
    krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    options.now_unix_s = 1767323045;
    options.max_steps = FUZZ_MAX_STEPS;
    const krs_status status = krs_template_render(t, inputs, &options, out, &err);
    KRS_CHECK(status == KRS_OK || (out->len == 0 && err.status == status));
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const krs_str source = {(const char *)data, size};
    krs_template *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_template_parse(source, NULL, &t, &err) != KRS_OK) {
        KRS_CHECK(!t && err.message[0]);
        return 0;
    }
    json_t *inputs = json_loads(inputs_text, 0, NULL);
    KRS_CHECK(inputs != NULL);
    krs_buf once;
    krs_buf twice;
    krs_buf_init(&once, NULL, KRS_TEMPLATE_MAX_OUTPUT);
    krs_buf_init(&twice, NULL, KRS_TEMPLATE_MAX_OUTPUT);
    const krs_status status = render(t, inputs, &once);
    KRS_CHECK(render(t, inputs, &twice) == status);
    KRS_CHECK(krs_str_equal(krs_buf_view(&once), krs_buf_view(&twice)));
    krs_buf_deinit(&once);
    krs_buf_deinit(&twice);
    json_decref(inputs);
    krs_template_free(t);
    return 0;
}
