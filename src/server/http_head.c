/* server/http_head.c - see http_head.h. */
#include "server/http_head.h"

#include <strings.h>

#define METHOD_MAX_BYTES 16 /* the longest registered method that anybody sends is OPTIONS */
#define LENGTH_DIGITS    18 /* decimal digits that surely fit 64 bits */

static const krs_http_refusal accepted = {0, NULL};

static krs_http_refusal refuse(int status, const char *text)
{
    return (krs_http_refusal){status, text};
}

bool krs_http_is_token_char(char c)
{
    const bool is_alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_alpha || (c >= '0' && c <= '9') || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(krs_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!krs_http_is_token_char(s.ptr[i])) {
            return false;
        }
    }
    return s.len > 0;
}

static krs_str cut(krs_str s, size_t from, size_t to)
{
    return (krs_str){s.ptr + from, to - from};
}

static krs_str trim(krs_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = cut(s, 1, s.len);
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

static bool equal_no_case(krs_str s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.ptr, text, s.len) == 0;
}

bool krs_http_list_has(krs_str list, const char *token)
{
    while (list.len > 0) {
        const size_t comma = krs_str_find(list, KRS_STR(","), 0);
        const size_t end = comma == SIZE_MAX ? list.len : comma;
        if (equal_no_case(trim(cut(list, 0, end)), token)) {
            return true;
        }
        list = cut(list, comma == SIZE_MAX ? end : end + 1, list.len);
    }
    return false;
}

/* "gzip" or "gzip;q=0.5" but not "gzip;q=0.0". */
static bool is_wanted(krs_str item, const char *name)
{
    const size_t semicolon = krs_str_find(item, KRS_STR(";"), 0);
    if (semicolon == SIZE_MAX) {
        return equal_no_case(trim(item), name);
    }
    krs_str weight = trim(cut(item, semicolon + 1, item.len));
    bool is_zero = weight.len > 2 && (weight.ptr[0] | 0x20) == 'q' && weight.ptr[1] == '=';
    for (size_t i = 2; i < weight.len; i++) {
        is_zero = is_zero && (weight.ptr[i] == '0' || weight.ptr[i] == '.');
    }
    return !is_zero && equal_no_case(trim(cut(item, 0, semicolon)), name);
}

bool krs_http_accepts_gzip(krs_str list)
{
    while (list.len > 0) {
        const size_t comma = krs_str_find(list, KRS_STR(","), 0);
        const size_t end = comma == SIZE_MAX ? list.len : comma;
        if (is_wanted(cut(list, 0, end), "gzip")) {
            return true;
        }
        list = cut(list, comma == SIZE_MAX ? end : end + 1, list.len);
    }
    return false;
}

krs_str krs_http_header_of(const krs_http_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->n_headers; i++) {
        if (equal_no_case(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return (krs_str){NULL, 0};
}

static uint32_t count_header(const krs_http_request *request, const char *name)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < request->n_headers; i++) {
        n += equal_no_case(request->headers[i].name, name);
    }
    return n;
}

/* "http://host/path" to "/path": proxies' form, which every server must accept. */
static krs_str origin_form(krs_str target)
{
    const krs_str scheme = KRS_STR("http://");
    if (target.len < scheme.len || strncasecmp(target.ptr, scheme.ptr, scheme.len) != 0) {
        return target;
    }
    const size_t slash = krs_str_find(target, KRS_STR("/"), scheme.len);
    return slash == SIZE_MAX ? KRS_STR("/") : cut(target, slash, target.len);
}

static krs_http_refusal parse_target(krs_str target, krs_http_request *request)
{
    for (size_t i = 0; i < target.len; i++) {
        const unsigned char byte = (unsigned char)target.ptr[i];
        if (byte <= 0x20 || byte == '#' || byte >= 0x7F) {
            return refuse(400, "The request target holds a character that is not allowed there.");
        }
    }
    target = origin_form(target);
    const bool is_star = krs_str_equal(target, KRS_STR("*"));
    if (!krs_str_starts_with(target, KRS_STR("/")) &&
        !(is_star && krs_str_equal(request->method, KRS_STR("OPTIONS")))) {
        return refuse(400, "The request target must start with '/'.");
    }
    const size_t mark = krs_str_find(target, KRS_STR("?"), 0);
    request->path = cut(target, 0, mark == SIZE_MAX ? target.len : mark);
    request->query = mark == SIZE_MAX ? KRS_STR("") : cut(target, mark + 1, target.len);
    return accepted;
}

static krs_http_refusal parse_version(krs_str version, krs_http_request *request)
{
    if (!krs_str_starts_with(version, KRS_STR("HTTP/")) || version.len != 8 ||
        version.ptr[6] != '.') {
        return refuse(400, "The request line must end with HTTP/1.1 or HTTP/1.0.");
    }
    if (version.ptr[5] != '1' || (version.ptr[7] != '0' && version.ptr[7] != '1')) {
        return refuse(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    }
    request->minor_version = version.ptr[7] - '0';
    return accepted;
}

static krs_http_refusal parse_request_line(krs_str line, krs_http_request *request)
{
    const size_t first = krs_str_find(line, KRS_STR(" "), 0);
    const size_t second =
        first == SIZE_MAX ? SIZE_MAX : krs_str_find(line, KRS_STR(" "), first + 1);
    if (second == SIZE_MAX) {
        return refuse(400, "The request line must be: method, target, version.");
    }
    request->method = cut(line, 0, first);
    if (!is_token(request->method)) {
        return refuse(400, "The method is not a token.");
    }
    if (request->method.len > METHOD_MAX_BYTES) {
        return refuse(501, "The method is not known here.");
    }
    const krs_http_refusal refusal = parse_version(cut(line, second + 1, line.len), request);
    if (refusal.status != 0) {
        return refusal;
    }
    const krs_str target = cut(line, first + 1, second);
    if (target.len > KRS_HTTP_MAX_TARGET_BYTES) {
        return refuse(414, "The request target is longer than 8192 bytes.");
    }
    return parse_target(target, request);
}

static krs_http_refusal parse_header(krs_str line, krs_http_request *request)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        return refuse(400, "Folded header lines are not accepted.");
    }
    const size_t colon = krs_str_find(line, KRS_STR(":"), 0);
    if (colon == SIZE_MAX || !is_token(cut(line, 0, colon))) {
        return refuse(400, "A header line must be a name, a colon and a value.");
    }
    if (request->n_headers == KRS_HTTP_MAX_HEADERS) {
        return refuse(431, "More than 100 header lines.");
    }
    request->headers[request->n_headers++] =
        (krs_http_header){cut(line, 0, colon), trim(cut(line, colon + 1, line.len))};
    return accepted;
}

/* Decimal digits only: no sign, no space, no list. */
static bool parse_length(krs_str text, size_t *out)
{
    if (text.len == 0 || text.len > LENGTH_DIGITS) {
        return false;
    }
    size_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (size_t)(text.ptr[i] - '0');
    }
    *out = value;
    return true;
}

static krs_http_refusal frame_by_length(const krs_http_request *request,
                                        const krs_http_limits *limits, krs_http_framing *framing)
{
    if (count_header(request, "content-length") == 0) {
        return accepted;
    }
    if (count_header(request, "content-length") > 1 ||
        !parse_length(krs_http_header_of(request, "content-length"), &framing->n_body_bytes)) {
        return refuse(400, "Content-Length must be one decimal number.");
    }
    if (framing->n_body_bytes > limits->max_body_bytes) {
        return refuse(413, "The body is larger than this server accepts (--max-body).");
    }
    return accepted;
}

static krs_http_refusal frame_body(const krs_http_request *request, const krs_http_limits *limits,
                                   krs_http_framing *framing)
{
    *framing = (krs_http_framing){0};
    const uint32_t n_codings = count_header(request, "transfer-encoding");
    if (n_codings == 0) {
        return frame_by_length(request, limits, framing);
    }
    if (request->minor_version == 0 || count_header(request, "content-length") > 0) {
        return refuse(400,
                      "Transfer-Encoding is not allowed beside Content-Length or in HTTP/1.0.");
    }
    if (n_codings > 1 ||
        !equal_no_case(krs_http_header_of(request, "transfer-encoding"), "chunked")) {
        return refuse(501, "The only transfer coding known here is chunked.");
    }
    framing->is_chunked = true;
    return accepted;
}

/* Is the option in any of the Connection lines? A list may be spread over several. */
static bool connection_has(const krs_http_request *request, const char *option)
{
    bool has = false;
    for (uint32_t i = 0; i < request->n_headers; i++) {
        const krs_http_header *header = &request->headers[i];
        has |=
            equal_no_case(header->name, "connection") && krs_http_list_has(header->value, option);
    }
    return has;
}

static krs_http_refusal read_connection(krs_http_request *request)
{
    const uint32_t n_hosts = count_header(request, "host");
    if (n_hosts > 1 || (n_hosts == 0 && request->minor_version == 1)) {
        return refuse(400, "HTTP/1.1 needs exactly one Host header.");
    }
    request->is_keep_alive = !connection_has(request, "close") &&
                             (request->minor_version == 1 || connection_has(request, "keep-alive"));
    const krs_str expect = krs_http_header_of(request, "expect");
    if (expect.ptr && !equal_no_case(expect, "100-continue")) {
        return refuse(417, "The only expectation met here is 100-continue.");
    }
    request->expects_continue = expect.ptr && request->minor_version == 1;
    return accepted;
}

/* The next line without its CRLF; head is moved behind it. Every line has its CRLF here. */
static krs_str take_line(krs_str *head)
{
    const size_t end = krs_str_find(*head, KRS_STR("\r\n"), 0);
    const krs_str line = cut(*head, 0, end);
    *head = cut(*head, end + 2, head->len);
    return line;
}

krs_http_refusal krs_http_head_parse(krs_str head, const krs_http_limits *limits,
                                     krs_http_request *request, krs_http_framing *framing)
{
    krs_http_refusal refusal = parse_request_line(take_line(&head), request);
    for (krs_str line = take_line(&head); refusal.status == 0 && line.len > 0;
         line = take_line(&head)) {
        refusal = parse_header(line, request);
    }
    if (refusal.status == 0) {
        refusal = read_connection(request);
    }
    if (refusal.status == 0) {
        refusal = frame_body(request, limits, framing);
    }
    return refusal;
}
