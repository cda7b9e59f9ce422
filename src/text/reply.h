/* text/reply.h - what a model wrote, taken apart as it comes: content, reasoning, calls of tools.
 *
 *   text in any pieces -> parser of the model's format -> events
 *
 * A format is a row of data over one core that eats byte after byte, so that the events of an answer,
 * pieces of one kind put together, are the same for every way its text can be cut. Text is held back
 * only while it may still become a tag, or the head of a call whose name is not certain; whatever turns
 * out to be neither is given as content: nothing a model wrote is lost but tags that did their work, and
 * white space next to them.
 *
 *   format         a call, as its models write it
 *   hermes         <tool_call>{"name": "f", "arguments": {..}}</tool_call>
 *   qwen3-coder    <tool_call><function=f><parameter=k>v</parameter></function></tool_call>
 *   glm            <tool_call>f<arg_key>k</arg_key><arg_value>v</arg_value></tool_call>
 *   llama3         {"name": "f", "parameters": {..}}, first in the answer or behind <|python_tag|>, or
 *                  <|python_tag|>f.call(k="v")
 *   mistral        [TOOL_CALLS][{"name": "f", "arguments": {..}}] or [TOOL_CALLS]f[ARGS]{..}
 *   deepseek-v3    <|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>f\n```json\n{..}\n```...
 *   deepseek-v3.1  <|tool_calls_begin|><|tool_call_begin|>f<|tool_sep|>{..}<|tool_call_end|>...
 *   harmony        <|channel|>commentary to=functions.f <|constrain|>json<|message|>{..}<|call|>
 *   kimi-k2        <|tool_calls_section_begin|><|tool_call_begin|>functions.f:0...
 *   gemma          <|tool_call>call:f{k:<|"|>v<|"|>}<tool_call|>
 *   lfm2           <|tool_call_start|>[f(k="v"), g(n=1)]<|tool_call_end|>
 *
 * and more in reply/formats.c. docs/tool-calls.md says how each is recognised and what becomes of
 * malformed output.
 *
 * Thread: a parser has one owner; formats are constant tables.
 * Memory: a parser's buffers, with ceilings; what an event points to is valid during the call of the sink. */
#pragma once

#include "base/alloc.h"
#include "base/arena.h"
#include "wire/json.h"

#define KRS_REPLY_MAX_HEAD_BYTES                                                                   \
    (16u << 10) /* of a call before its name is known: arguments may stand first */
#define KRS_REPLY_MAX_NAME_BYTES  256u       /* of a tool or a parameter; OpenAI allows 64 */
#define KRS_REPLY_MAX_VALUE_BYTES (4u << 20) /* of one argument that is held until its end */
#define KRS_REPLY_MAX_DEPTH       64u        /* nesting of gemma's values */

typedef enum krs_reply_format {
    KRS_REPLY_PLAIN, /* everything is content */
    KRS_REPLY_HERMES,
    KRS_REPLY_QWEN3_CODER,
    KRS_REPLY_GLM,
    KRS_REPLY_LLAMA3,
    KRS_REPLY_MISTRAL,
    KRS_REPLY_DEEPSEEK_V3, /* and R1 */
    KRS_REPLY_DEEPSEEK_V31,
    KRS_REPLY_HARMONY,
    KRS_REPLY_KIMI_K2,
    KRS_REPLY_GEMMA,
    KRS_REPLY_COHERE,
    KRS_REPLY_APRIEL,
    KRS_REPLY_FIREFUNCTION,
    KRS_REPLY_GRANITE,
    KRS_REPLY_LFM2,
    KRS_REPLY_PYTHONIC,  /* of no template: Llama 3.2 and 4 when asked for it */
    KRS_REPLY_TOOL_CODE, /* of no template: Gemma 3 when asked for it */
    KRS_REPLY_FORMAT_COUNT
} krs_reply_format;

/* How reasoning is set apart from content, whatever the format of calls. */
typedef enum krs_reply_reasoning {
    KRS_REPLY_REASONING_NONE,
    KRS_REPLY_REASONING_THINK,   /* <think> .. </think> */
    KRS_REPLY_REASONING_BRACKET, /* [THINK] .. [/THINK] */
    KRS_REPLY_REASONING_COHERE,  /* <|START_THINKING|> .. <|END_THINKING|> */
    KRS_REPLY_REASONING_GEMMA,   /* <|channel>thought\n .. <channel|> */
    KRS_REPLY_REASONING_HARMONY, /* the channel "analysis" */
    KRS_REPLY_REASONING_COUNT
} krs_reply_reasoning;

typedef struct krs_reply_style {
    krs_reply_format format;
    krs_reply_reasoning reasoning;
} krs_reply_style;

/* "plain", "hermes", "qwen3-coder", ...: names of options. */
const char *krs_reply_format_name(krs_reply_format format);
const char *krs_reply_reasoning_name(krs_reply_reasoning reasoning);
/* False (and *out as it was): no such name. */
bool krs_reply_format_find(krs_str name, krs_reply_format *out);
bool krs_reply_reasoning_find(krs_str name, krs_reply_reasoning *out);

/* The style of a model by the words in its chat template's source; plain and none when it has none that
 * are known. A template of several kinds gives the most particular. Cost: some searches of the source;
 * once per model. */
krs_reply_style krs_reply_style_detect(krs_str source);

/* Are the tags of the style special tokens in its models? Then their text must be shown to the parser
 * (krs_detok_new without skip_special); tokens that end the answer stay hidden. */
bool krs_reply_style_has_special(krs_reply_style style);

/* What opens and closes reasoning; both empty for none. For Harmony these are whole headers. */
void krs_reply_style_tags(krs_reply_style style, krs_str *open, krs_str *close);

/* Did the template open reasoning at the end of this rendered prompt, so that the answer begins inside? */
bool krs_reply_style_is_open(krs_reply_style style, krs_str prompt);

typedef struct krs_reply_tool {
    krs_str name;
    const json_t *parameters; /* JSON Schema of the arguments, or NULL; borrowed, only read */
} krs_reply_tool;

typedef struct krs_reply_options {
    size_t size; /* sizeof(krs_reply_options) */
    krs_reply_style style;
    bool is_reasoning_open;      /* krs_reply_style_is_open */
    const krs_reply_tool *tools; /* [n_tools], borrowed for the parser's life */
    uint32_t n_tools;            /* 0: calls are not looked for, their words are content */
} krs_reply_options;

#define KRS_REPLY_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(krs_reply_options), {KRS_REPLY_PLAIN, KRS_REPLY_REASONING_NONE}, false, NULL, 0     \
    }

typedef enum krs_reply_event_kind {
    KRS_REPLY_CONTENT,    /* text: a piece of it */
    KRS_REPLY_REASONING,  /* text: a piece of it */
    KRS_REPLY_CALL_BEGIN, /* text: the tool's name, one of those offered; id */
    KRS_REPLY_CALL_TEXT,  /* text: a piece of the arguments, JSON text once all are put together */
    KRS_REPLY_CALL_END,   /* is_broken */
} krs_reply_event_kind;

typedef struct krs_reply_event {
    krs_reply_event_kind kind;
    krs_str text; /* not empty in CONTENT, REASONING, CALL_TEXT */
    krs_str id;   /* of CALL_BEGIN: what the model calls the call ("functions.f:0"); often empty */
    uint32_t
        call; /* of CALL_*: 0, 1, ... in the order they begin; one ends before the next begins */
    bool
        is_broken; /* of CALL_END: the answer ended, or left the format, inside the arguments: what came
                       is what there is, and need not be JSON */
} krs_reply_event;

/* Where events go. A status other than KRS_OK ends the feeding and is what it returns. */
typedef struct krs_reply_sink {
    void *user;
    krs_status (*event)(void *user, const krs_reply_event *event);
} krs_reply_sink;

typedef struct krs_reply_parser krs_reply_parser;

/* options: copied; its tools are not. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_reply_parser_new(const krs_reply_options *options,
                                             const krs_alloc *alloc, krs_reply_parser **out);
void krs_reply_parser_free(krs_reply_parser *parser);

/* Take more text. Everything certain has been told when it returns; pieces of one kind are told together, up
 * to some 4 KiB of text. After a failure the parser may only be freed.
 * Errors: KRS_ENOMEM, KRS_ETOOLARGE (an argument over KRS_REPLY_MAX_VALUE_BYTES), the sink's. */
KRS_MUST_USE krs_status krs_reply_parser_feed(krs_reply_parser *parser, krs_str text,
                                              const krs_reply_sink *sink);
/* The answer is over: what was held is told, an open call ends. Errors: as _feed. */
KRS_MUST_USE krs_status krs_reply_parser_end(krs_reply_parser *parser, const krs_reply_sink *sink);

/* Calls that have begun: any at all makes the finish reason "tool_calls". */
uint32_t krs_reply_parser_n_calls(const krs_reply_parser *parser);
