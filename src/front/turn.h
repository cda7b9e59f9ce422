/* front/turn.h - one answer of a model as a turn of a conversation: texts, reasoning and calls, item by item.
 *
 *   stream events --krs_turn_add--> parser (text/reply.h) --> items: begin, pieces, end --> the API's writer
 *
 * The APIs call an item a block, an output item or a part of a message; all of them say when it begins, what
 * comes and when it is over, in that order, one item after another. A turn knows no more than that.
 *
 * Items are kept whole for those who repeat them at the end; a writer that does not has one at a time.
 *
 * Thread: one owner.  Memory: items grow with the answer, up to KRS_CALL_MAX_ANSWER_BYTES each and
 * KRS_TURN_MAX_ITEMS; without keeping, one of them and the parser's own. */
#pragma once

#include "base/buf.h"
#include "front/tools.h"

#define KRS_TURN_MAX_ITEMS                                                                         \
    1024u /* a model that changes its mind more often is running in circles */
#define KRS_TURN_ID_BYTES                                                                          \
    (KRS_REPLY_MAX_NAME_BYTES + 16) /* models' own begin with the tool's name */

typedef enum krs_turn_kind {
    KRS_TURN_TEXT,
    KRS_TURN_REASONING,
    KRS_TURN_CALL,
} krs_turn_kind;

typedef struct krs_turn_item {
    krs_turn_kind kind;
    uint32_t index; /* of all items */
    uint32_t call;  /* of the calls */
    bool is_over;
    bool is_broken; /* a call whose arguments need not be JSON: the answer ended within them */
    char name[KRS_REPLY_MAX_NAME_BYTES + 1]; /* of the tool */
    char id[KRS_TURN_ID_BYTES];              /* of the call */
    krs_buf text;  /* so far; of a call its arguments. Empty unless kept */
    krs_buf notes; /* what the writer keeps beside it */
} krs_turn_item;

typedef enum krs_turn_step { KRS_TURN_BEGIN, KRS_TURN_PIECE, KRS_TURN_END } krs_turn_step;

/* Who hears of an item's steps. text: of a piece, not empty. */
typedef struct krs_turn_sink {
    void *user;
    krs_status (*hear)(void *user, krs_turn_step step, krs_turn_item *item, krs_str text);
} krs_turn_sink;

typedef struct krs_turn_options {
    const krs_tools *tools; /* borrowed for the turn's life; also the model's style */
    const char *id_prefix;  /* of calls: "call_"; a literal */
    uint64_t salt;          /* no two turns of a server share one */
    bool is_kept;
    const krs_alloc *alloc;
} krs_turn_options;

typedef struct krs_turn {
    krs_turn_options options;
    krs_reply_parser *parser; /* NULL: before the first event, or everything is text */
    bool is_begun;
    krs_turn_item **items; /* [n_items] if kept, else one */
    uint32_t n_items;
    uint32_t capacity;
    uint32_t n_calls;
    uint32_t kinds;              /* that have begun: bit k of krs_turn_kind k */
    uint32_t n_reasoning_tokens; /* of steps that ended within reasoning */
    krs_turn_item *open;         /* or NULL */
} krs_turn;

void krs_turn_init(krs_turn *turn, const krs_turn_options *options);
void krs_turn_deinit(krs_turn *turn);

/* Must the answer's special tokens be shown for it to be read? For krs_task_options.is_special_shown. */
bool krs_turn_needs_special(const krs_tools *tools);

/* What an event brings; the last one ends the open item. sink may be NULL.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM, the sink's. */
KRS_MUST_USE krs_status krs_turn_add(krs_turn *turn, const krs_stream_event *event,
                                     const krs_turn_sink *sink);

/* An empty text, for a turn that has ended without any item. Same errors. */
KRS_MUST_USE krs_status krs_turn_add_empty(krs_turn *turn, const krs_turn_sink *sink);

/* Of kept items: the texts of one kind, one after the other, appended to out. Errors: as krs_buf. */
KRS_MUST_USE krs_status krs_turn_join(const krs_turn *turn, krs_turn_kind kind, krs_buf *out);

/* Has an item of this kind begun? */
static inline bool krs_turn_has(const krs_turn *turn, krs_turn_kind kind)
{
    return turn->kinds >> kind & 1u;
}
