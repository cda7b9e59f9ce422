/* wire/jsonrpc.c - see jsonrpc.h. */
#include "wire/jsonrpc.h"

#include "wire/msgpack.h"

#define PREFIX_BYTES 4 /* of a MessagePack message */

void krs_framer_init(krs_framer *framer, size_t max_bytes, const krs_alloc *alloc)
{
    *framer = (krs_framer){.max_bytes = max_bytes};
    krs_buf_init(&framer->body, alloc, max_bytes);
}

void krs_framer_deinit(krs_framer *framer)
{
    krs_buf_deinit(&framer->body);
}

/* Keep the edges of a message that is dropped. */
static void keep_edges(krs_framer *framer, krs_str piece)
{
    const size_t room = sizeof(framer->head) - framer->n_head;
    const size_t n_head = piece.len < room ? piece.len : room;
    memcpy(framer->head + framer->n_head, piece.ptr, n_head);
    framer->n_head += n_head;
    const size_t n = piece.len < sizeof(framer->tail) ? piece.len : sizeof(framer->tail);
    const size_t spare = sizeof(framer->tail) - n;
    const size_t n_old = framer->n_tail < spare ? framer->n_tail : spare;
    memmove(framer->tail, framer->tail + (framer->n_tail - n_old), n_old);
    memcpy(framer->tail + n_old, piece.ptr + (piece.len - n), n);
    framer->n_tail = n_old + n;
}

static void start_dropping(krs_framer *framer, krs_status status)
{
    framer->status = status;
    if (framer->body.len > 0) {
        keep_edges(framer, krs_buf_view(&framer->body));
    }
    krs_buf_reset(&framer->body);
}

/* Take a piece of the current message. */
static void take(krs_framer *framer, krs_str piece)
{
    if (piece.len == 0) {
        return;
    }
    framer->n_seen += piece.len;
    if (framer->status == KRS_OK && framer->n_seen > framer->max_bytes) {
        start_dropping(framer, KRS_ETOOLARGE);
    }
    if (framer->status == KRS_OK) {
        const krs_status status = krs_buf_append_str(&framer->body, piece);
        if (status != KRS_OK) {
            start_dropping(framer, status);
        }
    }
    if (framer->status != KRS_OK) {
        keep_edges(framer, piece);
    }
}

/* The message is complete; what it is made of stays valid until the next one begins. */
static void finish(krs_framer *framer, krs_frame *out)
{
    *out = (krs_frame){.status = framer->status, .message = krs_buf_view(&framer->body)};
    if (framer->status != KRS_OK) {
        out->message = (krs_str){NULL, 0};
        out->id = krs_rpc_find_id(framer->encoding, (krs_str){framer->head, framer->n_head},
                                  (krs_str){framer->tail, framer->n_tail});
    }
    framer->status = KRS_OK;
    framer->n_seen = framer->n_expected = 0;
    framer->n_head = framer->n_tail = framer->n_prefix = 0;
}

static bool is_blank(krs_str line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r') {
            return false;
        }
    }
    return true;
}

static bool next_line(krs_framer *framer, krs_str *input, krs_frame *out)
{
    while (input->len > 0) {
        const char *end = memchr(input->ptr, '\n', input->len);
        const size_t n = end ? (size_t)(end - input->ptr) : input->len;
        if (framer->n_seen == 0) {
            krs_buf_reset(&framer->body);
        }
        take(framer, (krs_str){input->ptr, n});
        *input = (krs_str){input->ptr + n + (end != NULL), input->len - n - (end != NULL)};
        if (!end) {
            return false;
        }
        finish(framer, out);
        if (out->status != KRS_OK || !is_blank(out->message)) {
            return true;
        }
    }
    return false;
}

/* False: the prefix is not complete. */
static bool read_prefix(krs_framer *framer, krs_str *input)
{
    while (framer->n_prefix < PREFIX_BYTES && input->len > 0) {
        framer->prefix[framer->n_prefix++] = (uint8_t)*input->ptr;
        *input = (krs_str){input->ptr + 1, input->len - 1};
        if (framer->n_prefix == PREFIX_BYTES) {
            const uint8_t *p = framer->prefix;
            framer->n_expected =
                (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3];
            krs_buf_reset(&framer->body);
            if (framer->n_expected > framer->max_bytes) {
                framer->status = KRS_ETOOLARGE;
            }
        }
    }
    return framer->n_prefix == PREFIX_BYTES;
}

static bool next_packed(krs_framer *framer, krs_str *input, krs_frame *out)
{
    if (!read_prefix(framer, input)) {
        return false;
    }
    const size_t missing = framer->n_expected - framer->n_seen;
    const size_t n = input->len < missing ? input->len : missing;
    take(framer, (krs_str){input->ptr, n});
    *input = (krs_str){input->ptr + n, input->len - n};
    if (n < missing) {
        return false;
    }
    finish(framer, out);
    return true;
}

bool krs_framer_next(krs_framer *framer, krs_str *input, krs_frame *out)
{
    return framer->encoding == KRS_ENCODING_JSON ? next_line(framer, input, out)
                                                 : next_packed(framer, input, out);
}

static bool is_id(const json_t *id)
{
    return json_is_number(id) ||
           (json_is_string(id) && json_string_length(id) <= KRS_RPC_MAX_ID_BYTES);
}

/* A reference to the id of a parsed piece, or NULL; takes piece. */
static json_t *id_of(json_t *piece)
{
    json_t *id = json_object_get(piece, "id");
    id = is_id(id) ? json_incref(id) : NULL;
    json_decref(piece);
    return id;
}

/* The last `"id": value }` of the tail, when nothing follows it. */
static json_t *find_last_id(krs_str tail)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; (i = krs_str_find(tail, KRS_STR("\"id\""), i)) != SIZE_MAX; i++) {
        at = i;
    }
    if (at == SIZE_MAX) {
        return NULL;
    }
    char text[KRS_RPC_EDGE_BYTES + 1] = "{";
    memcpy(text + 1, tail.ptr + at, tail.len - at);
    const krs_json_limits limits = {sizeof(text), false};
    json_t *piece = NULL;
    const krs_str rest = {text, tail.len - at + 1};
    return krs_json_parse(rest, &limits, &piece, NULL) == KRS_OK ? id_of(piece) : NULL;
}

/* Where a JSON value that begins at i ends, or SIZE_MAX: its first comma or bracket outside strings. */
static size_t end_of_scalar(krs_str text, size_t i)
{
    bool is_string = false;
    for (; i < text.len; i++) {
        const char c = text.ptr[i];
        if (is_string) {
            i += c == '\\';
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else if (c == ',' || c == '}') {
            return i;
        } else if (c == '{' || c == '[') {
            return SIZE_MAX;
        }
    }
    return SIZE_MAX;
}

/* An "id" among the scalars that come first: {"jsonrpc":"2.0","id":1,... */
static json_t *find_first_id(krs_str head)
{
    size_t at = krs_str_find(head, KRS_STR("{"), 0);
    while (at != SIZE_MAX) {
        const size_t end = end_of_scalar(head, at + 1);
        if (end == SIZE_MAX) {
            return NULL;
        }
        char text[KRS_RPC_EDGE_BYTES + 1] = "{";
        const size_t n = end - at - 1;
        memcpy(text + 1, head.ptr + at + 1, n);
        text[n + 1] = '}';
        const krs_json_limits limits = {sizeof(text), false};
        json_t *piece = NULL;
        if (krs_json_parse((krs_str){text, n + 2}, &limits, &piece, NULL) != KRS_OK) {
            return NULL;
        }
        json_t *id = id_of(piece);
        if (id) {
            return id;
        }
        at = head.ptr[end] == ',' ? end : SIZE_MAX;
    }
    return NULL;
}

/* The last key "id" whose value ends with the message. */
static json_t *find_packed_id(krs_str tail)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; (i = krs_str_find(tail, KRS_STR("\xA2id"), i)) != SIZE_MAX; i++) {
        at = i;
    }
    json_t *id = NULL;
    if (at == SIZE_MAX || krs_msgpack_parse((krs_str){tail.ptr + at + 3, tail.len - at - 3}, 1, &id,
                                            NULL) != KRS_OK) {
        return NULL;
    }
    if (!is_id(id)) {
        json_decref(id);
        return NULL;
    }
    return id;
}

json_t *krs_rpc_find_id(krs_encoding encoding, krs_str head, krs_str tail)
{
    if (tail.len > KRS_RPC_EDGE_BYTES) {
        tail = (krs_str){tail.ptr + (tail.len - KRS_RPC_EDGE_BYTES), KRS_RPC_EDGE_BYTES};
    }
    if (head.len > KRS_RPC_EDGE_BYTES) {
        head.len = KRS_RPC_EDGE_BYTES;
    }
    if (encoding == KRS_ENCODING_MSGPACK) {
        return find_packed_id(tail);
    }
    /* What stands first is the request's own; what stands last may be a parameter's, when a bracket is missing. */
    json_t *id = find_first_id(head);
    return id ? id : find_last_id(tail);
}

static krs_status parse_tree(krs_encoding encoding, krs_str message, json_t **out, krs_error *err)
{
    if (encoding == KRS_ENCODING_MSGPACK) {
        return krs_msgpack_parse(message, KRS_RPC_MAX_VALUES, out, err);
    }
    if (krs_json_count_values(message) > KRS_RPC_MAX_VALUES) {
        return krs_fail(err, KRS_ETOOLARGE, "more than %u values", KRS_RPC_MAX_VALUES);
    }
    const krs_json_limits limits = {KRS_RPC_MAX_MESSAGE_BYTES, false};
    return krs_json_parse(message, &limits, out, err);
}

static krs_status read_call(krs_rpc_call *call, krs_error *err)
{
    if (json_is_array(call->root)) {
        return krs_fail(err, KRS_EINVAL,
                        "Invalid request: batch arrays are not supported, send one "
                        "request a line; batch_* methods take many items");
    }
    json_t *id = json_object_get(call->root, "id");
    if (id && !json_is_null(id) && !is_id(id)) {
        return krs_fail(err, KRS_EINVAL,
                        "Invalid request: id: want a number or a string of up to %d bytes",
                        KRS_RPC_MAX_ID_BYTES);
    }
    call->id = id;
    const json_t *version = json_object_get(call->root, "jsonrpc");
    if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0) {
        return krs_fail(err, KRS_EINVAL, "Invalid request: jsonrpc: want \"2.0\"");
    }
    const json_t *method = json_object_get(call->root, "method");
    if (!json_is_string(method)) {
        return krs_fail(err, KRS_EINVAL, "Invalid request: method: want a string");
    }
    call->method = (krs_str){json_string_value(method), json_string_length(method)};
    json_t *params = json_object_get(call->root, "params");
    call->params = json_is_null(params) ? NULL : params;
    return KRS_OK;
}

krs_status krs_rpc_parse(krs_encoding encoding, krs_str message, krs_rpc_call *out, krs_error *err)
{
    *out = (krs_rpc_call){.root = NULL};
    const krs_status status = parse_tree(encoding, message, &out->root, err);
    if (status == KRS_OK) {
        return read_call(out, err);
    }
    return status == KRS_ENOMEM ? status : krs_error_wrap(err, KRS_EFORMAT, "Parse error");
}

size_t krs_rpc_open(krs_emit *e, uint32_t n_pairs)
{
    const size_t start = e->out->len;
    e->needs_comma = false;
    if (e->encoding == KRS_ENCODING_MSGPACK && e->status == KRS_OK) {
        e->status = krs_buf_append(e->out, "\0\0\0", PREFIX_BYTES); /* filled in at the end */
    }
    krs_emit_map(e, n_pairs);
    krs_emit_pair_str(e, "jsonrpc", KRS_STR("2.0"));
    return start;
}

krs_status krs_rpc_close(krs_emit *e, size_t start)
{
    krs_emit_end(e, '}');
    if (e->encoding == KRS_ENCODING_JSON && e->status == KRS_OK) {
        e->status = krs_buf_append_char(e->out, '\n');
    }
    if (e->status != KRS_OK) {
        e->out->len = start;
        if (e->out->data) {
            e->out->data[start] = '\0';
        }
        return e->status;
    }
    if (e->encoding == KRS_ENCODING_MSGPACK) {
        const size_t n = e->out->len - start - PREFIX_BYTES;
        for (unsigned i = 0; i < PREFIX_BYTES; i++) {
            e->out->data[start + i] = (char)(n >> (8 * (PREFIX_BYTES - 1 - i)));
        }
    }
    return KRS_OK;
}
