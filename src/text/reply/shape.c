/* text/reply/shape.c - how each format's models write calls, as trees: see text/reply_shape.h.
 *
 * A form is a row of pieces in the words and spaces of the model's own template, because a model that is
 * made to write what it was trained to write writes it best. */
#include "text/reply/shape_priv.h"

#include "base/check.h"

#define MAX_PIECES 10

typedef enum piece_kind {
    PIECE_END,
    PIECE_WORD,   /* LITERAL */
    PIECE_TAG,    /* TOKEN */
    PIECE_REGEX,  /* what the model is free in */
    PIECE_NAME,   /* of the tool */
    PIECE_JSON,   /* arguments */
    PIECE_FIELDS, /* arguments, in the form's tags */
    PIECE_BRACES, /* arguments, strings between `text` */
} piece_kind;

typedef struct piece {
    piece_kind kind;
    const char *text;
} piece;

typedef struct shape_form {
    piece open[3];
    piece call[MAX_PIECES];
    piece between[3];
    piece close[4];
    const char *tag; /* that begins it; NULL: only the beginning of an answer does */
    bool is_single;  /* a turn ends with its first call */
} shape_form;

static const shape_form forms[KRS_REPLY_FORMAT_COUNT] = {
    [KRS_REPLY_HERMES] = {.tag = "<tool_call>",
                          .call = {{PIECE_TAG, "<tool_call>"},
                                   {PIECE_WORD, "\n{\"name\": \""},
                                   {PIECE_NAME, NULL},
                                   {PIECE_WORD, "\", \"arguments\": "},
                                   {PIECE_JSON, NULL},
                                   {PIECE_WORD, "}\n"},
                                   {PIECE_TAG, "</tool_call>"}},
                          .between = {{PIECE_WORD, "\n"}}},
    [KRS_REPLY_QWEN3_CODER] = {.tag = "<tool_call>",
                               .call = {{PIECE_TAG, "<tool_call>"},
                                        {PIECE_WORD, "\n<function="},
                                        {PIECE_NAME, NULL},
                                        {PIECE_WORD, ">\n"},
                                        {PIECE_FIELDS, NULL},
                                        {PIECE_WORD, "</function>\n"},
                                        {PIECE_TAG, "</tool_call>"}},
                               .between = {{PIECE_WORD, "\n"}}},
    [KRS_REPLY_GLM] = {.tag = "<tool_call>",
                       .call = {{PIECE_TAG, "<tool_call>"},
                                {PIECE_NAME, NULL},
                                {PIECE_REGEX, "\\n?"},
                                {PIECE_FIELDS, NULL},
                                {PIECE_TAG, "</tool_call>"}},
                       .between = {{PIECE_REGEX, "\\n?"}}},
    [KRS_REPLY_LLAMA3] = {.call = {{PIECE_WORD, "{\"name\": \""},
                                   {PIECE_NAME, NULL},
                                   {PIECE_WORD, "\", \"parameters\": "},
                                   {PIECE_JSON, NULL},
                                   {PIECE_WORD, "}"}},
                          .between = {{PIECE_WORD, "; "}}},
    [KRS_REPLY_MISTRAL] = {.tag = "[TOOL_CALLS]",
                           .open = {{PIECE_TAG, "[TOOL_CALLS]"}, {PIECE_REGEX, " ?\\["}},
                           .call = {{PIECE_WORD, "{\"name\": \""},
                                    {PIECE_NAME, NULL},
                                    {PIECE_WORD, "\", \"arguments\": "},
                                    {PIECE_JSON, NULL},
                                    {PIECE_WORD, "}"}},
                           .between = {{PIECE_WORD, ", "}},
                           .close = {{PIECE_WORD, "]"}}},
    [KRS_REPLY_DEEPSEEK_V3] = {.tag = DS_CALLS_BEGIN,
                               .open = {{PIECE_TAG, DS_CALLS_BEGIN}},
                               .call = {{PIECE_TAG, DS_CALL_BEGIN},
                                        {PIECE_WORD, "function"},
                                        {PIECE_TAG, DS_SEP},
                                        {PIECE_NAME, NULL},
                                        {PIECE_WORD, "\n```json\n"},
                                        {PIECE_JSON, NULL},
                                        {PIECE_WORD, "\n```"},
                                        {PIECE_TAG, DS_CALL_END}},
                               .between = {{PIECE_WORD, "\n"}},
                               .close = {{PIECE_TAG, DS_CALLS_END}}},
    [KRS_REPLY_DEEPSEEK_V31] = {.tag = DS_CALLS_BEGIN,
                                .open = {{PIECE_TAG, DS_CALLS_BEGIN}},
                                .call = {{PIECE_TAG, DS_CALL_BEGIN},
                                         {PIECE_NAME, NULL},
                                         {PIECE_TAG, DS_SEP},
                                         {PIECE_JSON, NULL},
                                         {PIECE_TAG, DS_CALL_END}},
                                .close = {{PIECE_TAG, DS_CALLS_END}}},
    [KRS_REPLY_HARMONY] = {.call = {{PIECE_TAG, "<|channel|>"},
                                    {PIECE_WORD, "commentary to=functions."},
                                    {PIECE_NAME, NULL},
                                    {PIECE_WORD, " "},
                                    {PIECE_TAG, "<|constrain|>"},
                                    {PIECE_WORD, "json"},
                                    {PIECE_TAG, "<|message|>"},
                                    {PIECE_JSON, NULL}},
                           .is_single = true},
    [KRS_REPLY_KIMI_K2] = {.tag = "<|tool_calls_section_begin|>",
                           .open = {{PIECE_TAG, "<|tool_calls_section_begin|>"}},
                           .call = {{PIECE_TAG, "<|tool_call_begin|>"},
                                    {PIECE_WORD, "functions."},
                                    {PIECE_NAME, NULL},
                                    {PIECE_REGEX, ":[0-9]{1,3}"},
                                    {PIECE_TAG, "<|tool_call_argument_begin|>"},
                                    {PIECE_JSON, NULL},
                                    {PIECE_TAG, "<|tool_call_end|>"}},
                           .close = {{PIECE_TAG, "<|tool_calls_section_end|>"}}},
    [KRS_REPLY_GEMMA] = {.tag = "<|tool_call>",
                         .call = {{PIECE_TAG, "<|tool_call>"},
                                  {PIECE_WORD, "call:"},
                                  {PIECE_NAME, NULL},
                                  {PIECE_BRACES, "<|\"|>"},
                                  {PIECE_TAG, "<tool_call|>"}}},
    [KRS_REPLY_COHERE] = {.tag = "<|START_ACTION|>",
                          .open = {{PIECE_TAG, "<|START_ACTION|>"}, {PIECE_WORD, "[\n    "}},
                          .call = {{PIECE_REGEX, "\\{\"tool_call_id\": \"[0-9]{1,3}\""},
                                   {PIECE_WORD, ", \"tool_name\": \""},
                                   {PIECE_NAME, NULL},
                                   {PIECE_WORD, "\", \"parameters\": "},
                                   {PIECE_JSON, NULL},
                                   {PIECE_WORD, "}"}},
                          .between = {{PIECE_WORD, ",\n    "}},
                          .close = {{PIECE_WORD, "\n]"}, {PIECE_TAG, "<|END_ACTION|>"}}},
    [KRS_REPLY_APRIEL] = {.tag = "<tool_calls>",
                          .open = {{PIECE_WORD, "<tool_calls>["}},
                          .call = {{PIECE_WORD, "{\"name\": \""},
                                   {PIECE_NAME, NULL},
                                   {PIECE_WORD, "\", \"arguments\": "},
                                   {PIECE_JSON, NULL},
                                   {PIECE_WORD, "}"}},
                          .between = {{PIECE_WORD, ", "}},
                          .close = {{PIECE_WORD, "]</tool_calls>"}}},
    [KRS_REPLY_FIREFUNCTION] = {.tag = "functools[",
                                .open = {{PIECE_REGEX, " ?functools\\["}},
                                .call = {{PIECE_WORD, "{\"name\": \""},
                                         {PIECE_NAME, NULL},
                                         {PIECE_WORD, "\", \"arguments\": "},
                                         {PIECE_JSON, NULL},
                                         {PIECE_WORD, "}"}},
                                .between = {{PIECE_WORD, ", "}},
                                .close = {{PIECE_WORD, "]"}}},
    [KRS_REPLY_GRANITE] = {.tag = "<|tool_call|>",
                           .open = {{PIECE_TAG, "<|tool_call|>"}, {PIECE_WORD, "["}},
                           .call = {{PIECE_WORD, "{\"name\": \""},
                                    {PIECE_NAME, NULL},
                                    {PIECE_WORD, "\", \"arguments\": "},
                                    {PIECE_JSON, NULL},
                                    {PIECE_WORD, "}"}},
                           .between = {{PIECE_WORD, ", "}},
                           .close = {{PIECE_WORD, "]"}}},
};

void krs_reply_builder_fail(krs_reply_builder *b, krs_status status)
{
    if (b->status == KRS_OK) {
        b->status = krs_fail(b->err, status, "tools: %s", krs_status_sentence(status));
    }
}

void krs_reply_builder_refuse(krs_reply_builder *b, const char *key, const char *why)
{
    if (b->status == KRS_OK) {
        b->status = krs_fail(b->err, KRS_EUNSUPPORTED, "tool \"%.*s\", parameter \"%.64s\": %s",
                             KRS_STR_ARGS(b->tool->name), key, why);
    }
}

krs_reply_parts krs_reply_parts_room(krs_reply_builder *b, size_t room)
{
    krs_reply_parts parts = {NULL, 0, 0};
    b->n_parts += room;
    if (b->n_parts > KRS_REPLY_SHAPE_MAX_PARTS) {
        krs_reply_builder_fail(b, KRS_ETOOLARGE);
    }
    if (b->status == KRS_OK) {
        parts.items = krs_arena_array(b->arena, room, sizeof(*parts.items));
        parts.room = parts.items ? (uint32_t)room : 0;
    }
    if (!parts.items) {
        krs_reply_builder_fail(b, KRS_ENOMEM);
    }
    return parts;
}

void krs_reply_parts_add(krs_reply_parts *parts, krs_reply_shape shape)
{
    if (parts->items) { /* else the builder has failed */
        KRS_CHECK(parts->n < parts->room);
        parts->items[parts->n++] = shape;
    }
}

krs_reply_shape krs_reply_parts_end(krs_reply_shape_kind kind, const krs_reply_parts *parts)
{
    if (parts->n == 0) {
        return krs_reply_shape_literal("");
    }
    if (parts->n == 1) {
        return parts->items[0];
    }
    return (krs_reply_shape){.kind = kind, .parts = parts->items, .n_parts = parts->n};
}

krs_reply_shape krs_reply_shape_repeat(krs_reply_builder *b, krs_reply_shape shape, uint32_t min,
                                       uint32_t max)
{
    krs_reply_parts parts = krs_reply_parts_room(b, 1);
    krs_reply_parts_add(&parts, shape);
    return (krs_reply_shape){.kind = KRS_REPLY_SHAPE_REPEAT,
                             .parts = parts.items,
                             .n_parts = parts.n,
                             .min = min,
                             .max = max};
}

krs_str krs_reply_builder_text(krs_reply_builder *b, krs_str text)
{
    const krs_str copy = krs_arena_copy(b->arena, text);
    if (!copy.ptr) {
        krs_reply_builder_fail(b, KRS_ENOMEM);
        return KRS_STR("");
    }
    return copy;
}

krs_str krs_reply_builder_json(krs_reply_builder *b, const json_t *value)
{
    krs_buf text;
    krs_buf_init(&text, b->arena->alloc, b->arena->max_bytes);
    const krs_status status = krs_json_write(value, &text);
    if (status != KRS_OK) {
        krs_reply_builder_fail(b, status);
    }
    const krs_str copy = krs_reply_builder_text(b, krs_buf_view(&text));
    krs_buf_deinit(&text);
    return copy;
}

static krs_reply_shape schema_leaf(krs_reply_builder *b, const json_t *schema)
{
    return (krs_reply_shape){.kind = KRS_REPLY_SHAPE_SCHEMA,
                             .text = krs_reply_builder_json(b, schema),
                             .tool = b->tool->name};
}

krs_reply_shape krs_reply_shape_schema(krs_reply_builder *b, const json_t *schema)
{
    static const char *const homes[] = {"$defs", "definitions"};
    if (!schema) {
        return krs_reply_shape_leaf(KRS_REPLY_SHAPE_SCHEMA, KRS_STR("{}"));
    }
    json_t *whole =
        json_is_object(schema) ? json_copy((json_t *)(uintptr_t)schema) : json_deep_copy(schema);
    for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
        json_t *definitions = json_object_get(b->tool->parameters, homes[i]);
        if (definitions && json_is_object(whole) && !json_object_get(whole, homes[i]) &&
            json_object_set(whole, homes[i], definitions) != 0) {
            krs_reply_builder_fail(b, KRS_ENOMEM);
        }
    }
    const krs_reply_shape shape = schema_leaf(b, whole);
    json_decref(whole);
    return shape;
}

/* The whole schema of the tool's parameters, which may leave open what every call has: an object. */
static krs_reply_shape build_arguments(krs_reply_builder *b)
{
    if (!b->tool->parameters) {
        return krs_reply_shape_leaf(KRS_REPLY_SHAPE_OBJECT, KRS_STR(""));
    }
    json_t *schema = json_copy((json_t *)(uintptr_t)b->tool->parameters);
    if (!schema || json_object_set_new(schema, "type", json_string("object")) != 0) {
        krs_reply_builder_fail(b, KRS_ENOMEM);
    }
    const krs_reply_shape shape = schema_leaf(b, schema);
    json_decref(schema);
    return shape;
}

static krs_reply_shape build_piece(krs_reply_builder *b, krs_reply_format format, const piece *part)
{
    const krs_str text = krs_str_of(part->text);
    switch (part->kind) {
    case PIECE_TAG:
        return krs_reply_shape_leaf(KRS_REPLY_SHAPE_TOKEN, text);
    case PIECE_REGEX:
        return krs_reply_shape_leaf(KRS_REPLY_SHAPE_REGEX, text);
    case PIECE_NAME:
        return krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL,
                                    krs_reply_builder_text(b, b->tool->name));
    case PIECE_JSON:
        return build_arguments(b);
    case PIECE_FIELDS:
        return krs_reply_shape_fields(b, krs_reply_form_of(format)->fields);
    case PIECE_BRACES:
        return krs_reply_shape_braces(b, part->text);
    default:
        return krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL, text);
    }
}

static void add_pieces(krs_reply_builder *b, krs_reply_format format, const piece *pieces,
                       krs_reply_parts *out)
{
    for (uint32_t i = 0; pieces[i].kind != PIECE_END; i++) {
        krs_reply_parts_add(out, build_piece(b, format, &pieces[i]));
    }
}

/* One call of any of the tools. */
static krs_reply_shape build_call(krs_reply_builder *b, krs_reply_format format,
                                  const krs_reply_demand *demand)
{
    krs_reply_parts any = krs_reply_parts_room(b, demand->n_tools);
    for (uint32_t i = 0; i < demand->n_tools && b->status == KRS_OK; i++) {
        b->tool = &demand->tools[i];
        krs_reply_shape_check_tool(b, i);
        krs_reply_parts parts = krs_reply_parts_room(b, MAX_PIECES);
        add_pieces(b, format, forms[format].call, &parts);
        krs_reply_parts_add(&any, krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts));
    }
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &any);
}

static void add_start(krs_reply_parts *parts)
{
    krs_reply_parts_add(parts, krs_reply_shape_leaf(KRS_REPLY_SHAPE_TOKEN, KRS_STR("<|start|>")));
    krs_reply_parts_add(parts, krs_reply_shape_literal("assistant"));
}

/* One or more calls, with all around them. */
static krs_reply_shape build_calls(krs_reply_builder *b, krs_reply_format format,
                                   const krs_reply_demand *demand)
{
    const shape_form *form = &forms[format];
    const krs_reply_shape call = build_call(b, format, demand);
    krs_reply_parts parts = krs_reply_parts_room(b, 10);
    add_pieces(b, format, form->open, &parts);
    krs_reply_parts_add(&parts, call);
    if (demand->is_parallel && !form->is_single) {
        krs_reply_parts more = krs_reply_parts_room(b, 4);
        add_pieces(b, format, form->between, &more);
        krs_reply_parts_add(&more, call);
        krs_reply_parts_add(
            &parts, krs_reply_shape_repeat(b, krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &more), 0,
                                           KRS_REPLY_SHAPE_INF));
    }
    add_pieces(b, format, form->close, &parts);
    return krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
}

static void add_final_head(krs_reply_parts *parts)
{
    krs_reply_parts_add(parts, krs_reply_shape_leaf(KRS_REPLY_SHAPE_TOKEN, KRS_STR("<|channel|>")));
    krs_reply_parts_add(parts, krs_reply_shape_literal("final"));
    krs_reply_parts_add(parts, krs_reply_shape_leaf(KRS_REPLY_SHAPE_TOKEN, KRS_STR("<|message|>")));
}

/* Text, then calls if the model wants; or (no tag says where calls begin) the one or the other. */
static krs_reply_shape build_choice(krs_reply_builder *b, krs_reply_format format,
                                    krs_reply_shape calls)
{
    krs_reply_parts parts = krs_reply_parts_room(b, 2);
    if (forms[format].tag) {
        krs_reply_parts_add(
            &parts, krs_reply_shape_leaf(KRS_REPLY_SHAPE_FREE, krs_str_of(forms[format].tag)));
        krs_reply_parts_add(&parts, krs_reply_shape_repeat(b, calls, 0, 1));
        return krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
    }
    krs_reply_parts text = krs_reply_parts_room(b, 4);
    if (format == KRS_REPLY_HARMONY) {
        add_final_head(&text);
        krs_reply_parts_add(&text, krs_reply_shape_leaf(KRS_REPLY_SHAPE_FREE, KRS_STR("")));
    } else { /* llama3: a call begins with the answer */
        krs_reply_parts_add(
            &text, krs_reply_shape_leaf(KRS_REPLY_SHAPE_REGEX, KRS_STR("\\s*([^\\s{][\\s\\S]*)?")));
    }
    krs_reply_parts_add(&parts, calls);
    krs_reply_parts_add(&parts, krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &text));
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &parts);
}

static uint32_t depth_of(const krs_reply_shape *shape)
{
    uint32_t depth = 0;
    for (uint32_t i = 0; i < shape->n_parts; i++) {
        const uint32_t below = depth_of(&shape->parts[i]);
        depth = below > depth ? below : depth;
    }
    return depth + 1;
}

static krs_status check_depth(const krs_reply_shape *shape, krs_error *err)
{
    return depth_of(shape) <= KRS_REPLY_SHAPE_MAX_DEPTH
               ? KRS_OK
               : krs_fail(err, KRS_EUNSUPPORTED,
                          "tools: parameters nested too deep for the model's format of calls");
}

krs_status krs_reply_shape_calls(krs_reply_style style, const krs_reply_demand *demand,
                                 bool is_after_reasoning, krs_arena *arena, krs_reply_shape *out,
                                 krs_error *err)
{
    krs_reply_builder b = {.arena = arena, .err = err, .tool = demand->tools};
    if (demand->n_tools == 0) {
        return krs_fail(err, KRS_EINVAL, "tools: none to call");
    }
    if (style.format == KRS_REPLY_PLAIN) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "the model's chat template has no format of tool calls that is known here");
    }
    if (forms[style.format].call[0].kind == PIECE_END) {
        return krs_fail(err, KRS_EUNSUPPORTED, "calls of the format %s cannot be constrained",
                        krs_reply_format_name(style.format));
    }
    krs_reply_shape shape = build_calls(&b, style.format, demand);
    krs_reply_parts parts = krs_reply_parts_room(&b, 3);
    if (!demand->is_required) {
        shape = build_choice(&b, style.format, shape);
    } else if (style.reasoning == KRS_REPLY_REASONING_THINK) {
        /* Models put empty lines between reasoning and calls. */
        krs_reply_parts_add(&parts,
                            krs_reply_shape_leaf(KRS_REPLY_SHAPE_REGEX, KRS_STR("\\n{0,2}")));
    }
    if (style.format == KRS_REPLY_HARMONY && is_after_reasoning) {
        add_start(&parts);
    }
    krs_reply_parts_add(&parts, shape);
    const krs_reply_shape whole = krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
    if (b.status == KRS_OK) {
        b.status = check_depth(&whole, err);
    }
    if (b.status == KRS_OK) {
        *out = whole;
    }
    return b.status;
}

krs_status krs_reply_shape_content_head(krs_reply_style style, bool is_after_reasoning,
                                        krs_arena *arena, krs_reply_shape *out)
{
    krs_reply_builder b = {.arena = arena};
    krs_reply_parts parts = krs_reply_parts_room(&b, 5);
    if (style.format == KRS_REPLY_HARMONY) {
        if (is_after_reasoning) {
            add_start(&parts);
        }
        add_final_head(&parts);
    }
    if (b.status == KRS_OK) {
        *out = krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
    }
    return b.status;
}
