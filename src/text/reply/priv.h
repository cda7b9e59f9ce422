/* text/reply/priv.h - inside the parser of replies.
 *
 *   in:  [ .. told .. | start: kept, may yet be something else | pos: to be eaten .. len )
 *
 * One step eats the byte at pos. What it makes of it depends on what came before alone, never on where the
 * text was cut: that is why all cuts give the same events. Bytes that were eaten but may have to be taken
 * back stay in [start, pos): "taking back" is pos = start, and nothing else is ever remembered of them.
 *
 *   TEXT    content or reasoning; [start, pos) is the beginning of a tag, or empty
 *   HEADER  Harmony, between messages; [start, pos) is the header so far
 *   CALL    the steps of a rule run: HEAD until the call is certain, OPEN inside its arguments, TAIL behind
 *           them. In HEAD a mismatch gives the rule's tag as content and eats the rest again as text.
 *
 * Thread: one owner.  Memory: buffers of the parser, each with its ceiling. */
#pragma once

#include "text/reply.h"

/* DeepSeek's tags have U+FF5C and U+2581 in them. */
#define DS_CALLS_BEGIN                                                                             \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "calls\xE2\x96\x81"                                                                            \
    "begin\xEF\xBD\x9C>"
#define DS_CALLS_END                                                                               \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "calls\xE2\x96\x81"                                                                            \
    "end\xEF\xBD\x9C>"
#define DS_CALL_BEGIN                                                                              \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "call\xE2\x96\x81"                                                                             \
    "begin\xEF\xBD\x9C>"
#define DS_CALL_END                                                                                \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "call\xE2\x96\x81"                                                                             \
    "end\xEF\xBD\x9C>"
#define DS_SEP "<\xEF\xBD\x9Ctool\xE2\x96\x81sep\xEF\xBD\x9C>"

#define KRS_REPLY_SLICE_BYTES 4096u /* of a feeding eaten at a time: bounds `in` */
#define KRS_REPLY_SPACE_BYTES 256u  /* white space held before what may be a tag; more is text */
#define KRS_REPLY_MAX_RULES   3u    /* of a format */
#define KRS_REPLY_MAX_WORDS   8u    /* looked for at once */

/* What a step of a rule wants. White space before it is passed over, but in VALUE kinds. */
typedef enum krs_reply_op {
    KRS_REPLY_OP_LEAVE,  /* the rule is over */
    KRS_REPLY_OP_WORD,   /* text */
    KRS_REPLY_OP_MAYBE,  /* text, or go to step `other` */
    KRS_REPLY_OP_GOTO,   /* to step `other` */
    KRS_REPLY_OP_NAME,   /* the tool's name, up to a byte that no name has */
    KRS_REPLY_OP_ID,     /* the call's id, likewise */
    KRS_REPLY_OP_JSON,   /* arguments: a JSON object */
    KRS_REPLY_OP_OBJECT, /* {"name": .., "arguments": ..} */
    KRS_REPLY_OP_FIELDS, /* arguments: tagged parameters */
    KRS_REPLY_OP_BRACES, /* arguments: an object in gemma's syntax */
    KRS_REPLY_OP_PYTHON, /* arguments: in brackets, as Python calls */
    KRS_REPLY_OP_LOOK, /* go on if text, one byte, follows, which is not eaten; or go to `other` */
    KRS_REPLY_OP_COUNT
} krs_reply_op;

typedef struct krs_reply_step {
    krs_reply_op op;
    uint32_t other;
    const char *text;
} krs_reply_step;

/* Words that begin something. */
typedef struct krs_reply_rule {
    const char *tag;
    const krs_reply_step *steps;
    uint32_t first;   /* step */
    bool is_at_start; /* only where nothing but white space came since the start or the last call */
    bool is_eaten_again; /* the tag is part of what the steps read */
} krs_reply_rule;

/* Tags of parameters that are not JSON. */
typedef struct krs_reply_fields {
    const char *open;
    const char *key_end;
    const char *value_open; /* or NULL: the value begins at once */
    const char *value_end;
    const char *line_end;  /* value_end with a line end before it that is not of the value */
    const char *end;       /* of all of them */
    const char *other_end; /* another end, which is not eaten */
    bool has_lines;        /* nor is a line end at the beginning of a value of it */
} krs_reply_fields;

typedef struct krs_reply_form {
    const char *name;
    krs_reply_rule rules[KRS_REPLY_MAX_RULES]; /* up to one without a tag */
    const krs_reply_fields *fields;            /* of FIELDS */
    bool has_special;                          /* its tags are special tokens */
} krs_reply_form;

typedef struct krs_reply_marks {
    const char *name;
    const char *open;
    const char *close;
    bool
        has_special; /* and so may stand anywhere; words open reasoning only where nothing came before */
} krs_reply_marks;

const krs_reply_form *krs_reply_form_of(krs_reply_format format);
const krs_reply_marks *krs_reply_marks_of(krs_reply_reasoning reasoning);

typedef enum krs_reply_mode {
    KRS_REPLY_MODE_TEXT,
    KRS_REPLY_MODE_HEADER,
    KRS_REPLY_MODE_CALL,
} krs_reply_mode;

typedef enum krs_reply_part {
    KRS_REPLY_HEAD,
    KRS_REPLY_OPEN,
    KRS_REPLY_TAIL,
} krs_reply_part;

/* Where a JSON value ends, by brackets and quotes alone. */
typedef struct krs_reply_scan {
    uint32_t depth;
    bool is_string;
    bool is_escape;
    bool is_scalar;
} krs_reply_scan;

typedef enum krs_reply_scanned {
    KRS_REPLY_SCAN_MORE,
    KRS_REPLY_SCAN_END,  /* with this byte */
    KRS_REPLY_SCAN_PAST, /* before this byte */
} krs_reply_scanned;

struct krs_reply_parser {
    const krs_alloc *alloc;
    krs_reply_options options;
    const krs_reply_form *form;
    const krs_reply_marks *marks;
    const krs_reply_sink *sink; /* of the feeding that runs */
    krs_status status;          /* first failure: everything after it does nothing */

    krs_buf in;
    size_t start;
    size_t pos;

    krs_reply_mode mode;
    krs_reply_event_kind kind; /* of TEXT */
    bool is_fresh;       /* nothing but white space since the start, the reasoning or a call */
    bool is_space_eaten; /* white space here belongs to a tag before it */
    bool has_text[2];    /* CONTENT, REASONING: some was told */
    krs_buf space;       /* white space not yet told */

    krs_buf out; /* of out_kind, not yet told */
    krs_reply_event_kind out_kind;

    krs_reply_part part;
    const krs_reply_step *steps;
    uint32_t at;     /* step */
    size_t n_lead;   /* bytes from start that are given as content when HEAD fails */
    uint32_t state;  /* of the step, 0 when it begins */
    uint32_t n_word; /* bytes of its text that have come */
    krs_reply_scan scan;
    const krs_reply_tool *tool; /* of the call, once its name is known */
    uint32_t n_calls;
    uint32_t n_name;
    uint32_t n_id;
    char name[KRS_REPLY_MAX_NAME_BYTES]; /* also a parameter's */
    char id[KRS_REPLY_MAX_NAME_BYTES];
    size_t held_at;      /* OBJECT: the value that is read, from start */
    size_t arguments_at; /* OBJECT: arguments that stand before the name */
    size_t n_held;
    uint32_t key;                    /* OBJECT: which one */
    krs_buf value;                   /* of an argument that is held */
    uint32_t types;                  /* FIELDS: JSON types of the value, bits */
    bool is_first;                   /* FIELDS, BRACES: nothing stands before this */
    bool is_key;                     /* BRACES, PYTHON: what is read is one */
    char quote;                      /* PYTHON: that ends the string */
    uint32_t n_arguments;            /* PYTHON: without a name, so far */
    uint32_t n_hex;                  /* PYTHON: digits of an escape that are to come */
    uint32_t code;                   /* PYTHON: of the character they name */
    uint32_t depth;                  /* BRACES, PYTHON */
    bool lists[KRS_REPLY_MAX_DEPTH]; /* the same: [depth], a list and no object */
};

/* How a step ate its byte. */
typedef enum krs_reply_verdict {
    KRS_REPLY_MORE,
    KRS_REPLY_NEXT, /* it is done: go to the next step */
    KRS_REPLY_FAIL, /* not what was wanted */
} krs_reply_verdict;

static inline bool krs_reply_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* The byte just eaten. */
static inline char krs_reply_byte(const krs_reply_parser *p)
{
    return p->in.data[p->pos - 1];
}

/* Bytes that were eaten and not used. */
static inline krs_str krs_reply_kept(const krs_reply_parser *p)
{
    return (krs_str){p->in.data + p->start, p->pos - p->start};
}

/* Nothing eaten so far is taken back any more. */
static inline void krs_reply_use(krs_reply_parser *p)
{
    p->start = p->pos;
}

/* Which of words[n] is what was kept? KRS_REPLY_NO_WORD: none. *may_come: it is the beginning of one. */
#define KRS_REPLY_NO_WORD UINT32_MAX
uint32_t krs_reply_word(krs_str kept, const char *const *words, uint32_t n, bool *may_come);

/* tell.c: events. All do nothing after a failure. */
void krs_reply_tell(krs_reply_parser *p, krs_reply_event_kind kind, krs_str text);
void krs_reply_tell_char(krs_reply_parser *p, char c);    /* CALL_TEXT */
void krs_reply_tell_escaped(krs_reply_parser *p, char c); /* CALL_TEXT: inside a JSON string */
void krs_reply_tell_literal(krs_reply_parser *p, const char *text); /* CALL_TEXT */
void krs_reply_flush(krs_reply_parser *p);
/* The call of p->name begins: false when no such tool is offered. White space before it is dropped. */
bool krs_reply_begin(krs_reply_parser *p);
void krs_reply_finish(krs_reply_parser *p, bool is_broken);
void krs_reply_note(krs_reply_parser *p, krs_status status);

/* text.c */
void krs_reply_eat_text(krs_reply_parser *p);
void krs_reply_eat_header(krs_reply_parser *p);
/* n bytes from start as text, whatever they are. */
void krs_reply_give_text(krs_reply_parser *p, size_t n);
void krs_reply_flush_space(krs_reply_parser *p);
/* Text of this kind follows; white space at its beginning is dropped. */
void krs_reply_set_text(krs_reply_parser *p, krs_reply_event_kind kind);
/* What comes after a call: text, or Harmony's next header. */
void krs_reply_leave_call(krs_reply_parser *p);

/* harmony.c */
/* The answer is over inside a header: a tag that broke off is dropped, other words are content. */
void krs_reply_header_end(krs_reply_parser *p);

/* call.c */
void krs_reply_enter_call(krs_reply_parser *p, const krs_reply_step *steps, uint32_t first,
                          size_t n_lead);
void krs_reply_eat_call(krs_reply_parser *p);
void krs_reply_fail_call(krs_reply_parser *p);
krs_reply_scanned krs_reply_scan_byte(krs_reply_scan *scan, char c);
krs_reply_verdict krs_reply_eat_json(krs_reply_parser *p);

/* object.c, fields.c, braces.c, python.c: one byte of their step. */
krs_reply_verdict krs_reply_eat_object(krs_reply_parser *p);
krs_reply_verdict krs_reply_eat_fields(krs_reply_parser *p);
krs_reply_verdict krs_reply_eat_braces(krs_reply_parser *p);
krs_reply_verdict krs_reply_eat_python(krs_reply_parser *p);

/* fields.c: JSON types that a schema allows, bits; 0: it does not say. */
enum {
    KRS_REPLY_TYPE_STRING = 1,
    KRS_REPLY_TYPE_NUMBER = 2,
    KRS_REPLY_TYPE_BOOLEAN = 4,
    KRS_REPLY_TYPE_NULL = 8,
    KRS_REPLY_TYPE_OBJECT = 16,
    KRS_REPLY_TYPE_ARRAY = 32,
};
uint32_t krs_reply_types_of(const json_t *schema);
uint32_t krs_reply_type_of_value(const json_t *value);

extern const krs_reply_step krs_reply_harmony_steps[];
