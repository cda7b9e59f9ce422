/* Any bytes as a connection's input, in lines or packed, cut at any place: every message is whole or dropped, ids
 * are ids, and parameters of every method are checked without harm. First byte: encoding and size of pieces. */
#include "api/method.h"
#include "base/check.h"
#include "wire/jsonrpc.h"

#define LIMIT 700 /* so that small inputs reach it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const json_t *id)
{
    KRS_CHECK(!id || json_is_number(id) ||
              (json_is_string(id) && json_string_length(id) <= KRS_RPC_MAX_ID_BYTES));
}

static void handle(krs_encoding encoding, const krs_frame *frame)
{
    check_id(frame->id);
    json_decref(frame->id);
    if (frame->status != KRS_OK) {
        KRS_CHECK(frame->message.len == 0);
        return;
    }
    KRS_CHECK(frame->message.len <= LIMIT && !frame->id);
    krs_rpc_call call;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_rpc_parse(encoding, frame->message, &call, &err);
    KRS_CHECK((status == KRS_OK) == (err.message[0] == '\0'));
    if (status == KRS_OK) {
        check_id(json_is_null(call.id) ? NULL : call.id);
        const krs_method named = krs_method_of_name(call.method);
        for (unsigned i = 0; i < KRS_METHOD_COUNT; i++) {
            if (named == KRS_METHOD_NONE || named == (krs_method)i) {
                krs_error why = KRS_ERROR_INIT;
                const bool is_ok = krs_method_check((krs_method)i, call.params, &why) == KRS_OK;
                KRS_CHECK(is_ok || (why.field[0] && why.message[0]));
            }
        }
    }
    json_decref(call.root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    krs_framer framer;
    krs_framer_init(&framer, LIMIT, NULL);
    framer.encoding = data[0] & 1 ? KRS_ENCODING_MSGPACK : KRS_ENCODING_JSON;
    const size_t piece = (size_t)(data[0] >> 1) + 1;
    for (size_t at = 1; at < size; at += piece) {
        krs_str input = {(const char *)data + at, size - at < piece ? size - at : piece};
        krs_frame frame;
        while (krs_framer_next(&framer, &input, &frame)) {
            handle(framer.encoding, &frame);
        }
        KRS_CHECK(input.len == 0 && framer.body.len <= LIMIT);
    }
    krs_framer_deinit(&framer);
    return 0;
}
