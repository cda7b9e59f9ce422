/* front/turn.c - see turn.h. */
#include "front/turn.h"

#include "front/call.h"

#include <stdio.h>

#define FIRST_ITEMS 4u
#define TEXT_FIRST_BYTES                                                                           \
    (16u << 10)            /* some 4,000 tokens without growing: most answers are one text */
#define MISTRAL_ID_CHARS 9 /* its templates refuse others */

/* One event on its way through the parser. */
typedef struct passage {
    krs_turn *turn;
    const krs_turn_sink *sink;
} passage;

void krs_turn_init(krs_turn *turn, const krs_turn_options *options)
{
    *turn = (krs_turn){.options = *options};
}

void krs_turn_deinit(krs_turn *turn)
{
    const krs_alloc *alloc = turn->options.alloc;
    const uint32_t n = turn->options.is_kept || turn->n_items == 0 ? turn->n_items : 1;
    for (uint32_t i = 0; i < n; i++) {
        krs_buf_deinit(&turn->items[i]->text);
        krs_buf_deinit(&turn->items[i]->notes);
        krs_alloc_free(alloc, turn->items[i]);
    }
    krs_alloc_free(alloc, turn->items);
    krs_reply_parser_free(turn->parser);
    turn->items = NULL;
    turn->parser = NULL;
    turn->n_items = 0;
}

static bool is_plain(const krs_tools *tools)
{
    return tools->style.reasoning == KRS_REPLY_REASONING_NONE &&
           (tools->style.format == KRS_REPLY_PLAIN || tools->n == 0) &&
           tools->style.format != KRS_REPLY_HARMONY;
}

bool krs_turn_needs_special(const krs_tools *tools)
{
    return !is_plain(tools) && krs_reply_style_has_special(tools->style);
}

/* A place for one more item. */
static krs_status grow(krs_turn *turn)
{
    if (turn->n_items < turn->capacity) {
        return KRS_OK;
    }
    const uint32_t n = turn->capacity ? 2 * turn->capacity : FIRST_ITEMS;
    krs_turn_item **items = krs_alloc_array(turn->options.alloc, n, sizeof(krs_turn_item *));
    if (!items) {
        return KRS_ENOMEM;
    }
    if (turn->n_items > 0) {
        memcpy(items, turn->items, turn->n_items * sizeof(krs_turn_item *));
    }
    krs_alloc_free(turn->options.alloc, turn->items);
    turn->items = items;
    turn->capacity = n;
    return KRS_OK;
}

/* The next item, empty. Without keeping, the one there is is used again. */
static krs_status take_item(krs_turn *turn, krs_turn_item **out)
{
    if (turn->n_items == KRS_TURN_MAX_ITEMS) {
        return KRS_ETOOLARGE;
    }
    if (!turn->options.is_kept && turn->n_items > 0) {
        turn->n_items++;
        *out = turn->items[0];
        (*out)->is_over = false;
        (*out)->is_broken = false;
        return KRS_OK;
    }
    krs_status status = grow(turn);
    krs_turn_item *item =
        status == KRS_OK ? krs_alloc_zero(turn->options.alloc, sizeof(*item)) : NULL;
    if (!item) {
        return KRS_ENOMEM;
    }
    krs_buf_init(&item->text, turn->options.alloc, KRS_CALL_MAX_ANSWER_BYTES);
    krs_buf_init(&item->notes, turn->options.alloc, KRS_CALL_MAX_ANSWER_BYTES);
    if (turn->options.is_kept && turn->n_items == 0) {
        status = krs_buf_reserve(&item->text, TEXT_FIRST_BYTES);
    }
    turn->items[turn->n_items++] = item;
    *out = item;
    return status;
}

static krs_status tell(const passage *p, krs_turn_step step, krs_turn_item *item, krs_str text)
{
    return p->sink ? p->sink->hear(p->sink->user, step, item, text) : KRS_OK;
}

static krs_status end_open(const passage *p, bool is_broken)
{
    krs_turn_item *item = p->turn->open;
    if (!item) {
        return KRS_OK;
    }
    p->turn->open = NULL;
    item->is_over = true;
    item->is_broken = is_broken;
    return tell(p, KRS_TURN_END, item, (krs_str){NULL, 0});
}

static krs_status begin(const passage *p, krs_turn_kind kind, krs_turn_item **out)
{
    krs_turn *turn = p->turn;
    krs_status status = end_open(p, false);
    if (status == KRS_OK) {
        status = take_item(turn, out);
    }
    if (status == KRS_OK) {
        (*out)->kind = kind;
        turn->kinds |= 1u << kind;
        (*out)->index = turn->n_items - 1;
        turn->open = *out;
    }
    return status;
}

/* Nine letters and digits, different for different numbers. */
static void make_short_id(uint64_t number, char out[KRS_TURN_ID_BYTES])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < MISTRAL_ID_CHARS; i++) {
        out[i] = digits[number % (sizeof(digits) - 1)];
        number /= sizeof(digits) - 1;
    }
    out[MISTRAL_ID_CHARS] = '\0';
}

/* The model's own name for the call, or one of ours: the conversation refers to it later. */
static void name_call(const krs_turn *turn, krs_str given, krs_turn_item *item)
{
    const uint64_t number = turn->options.salt + item->call;
    if (given.len > 0 && given.len < sizeof(item->id)) {
        memcpy(item->id, given.ptr, given.len);
        item->id[given.len] = '\0';
    } else if (turn->options.tools->style.format == KRS_REPLY_MISTRAL) {
        make_short_id(number, item->id);
    } else {
        (void)snprintf(item->id, sizeof(item->id), "%s%016llx", turn->options.id_prefix,
                       (unsigned long long)number);
    }
}

static krs_status begin_call(const passage *p, const krs_reply_event *event)
{
    krs_turn_item *item = NULL;
    const krs_status status = begin(p, KRS_TURN_CALL, &item);
    if (status != KRS_OK) {
        return status;
    }
    item->call = p->turn->n_calls++;
    const size_t n =
        event->text.len < sizeof(item->name) ? event->text.len : sizeof(item->name) - 1;
    memcpy(item->name, event->text.ptr, n);
    item->name[n] = '\0';
    name_call(p->turn, event->id, item);
    return tell(p, KRS_TURN_BEGIN, item, (krs_str){NULL, 0});
}

/* A piece of the open item. */
static krs_status add_piece(const passage *p, krs_str text)
{
    krs_turn_item *item = p->turn->open;
    const krs_status status =
        p->turn->options.is_kept ? krs_buf_append_str(&item->text, text) : KRS_OK;
    return status == KRS_OK ? tell(p, KRS_TURN_PIECE, item, text) : status;
}

static krs_status add_text(const passage *p, krs_turn_kind kind, krs_str text)
{
    krs_status status = KRS_OK;
    if (!p->turn->open || p->turn->open->kind != kind) {
        krs_turn_item *item = NULL;
        status = begin(p, kind, &item);
        if (status == KRS_OK) {
            status = tell(p, KRS_TURN_BEGIN, item, (krs_str){NULL, 0});
        }
    }
    return status == KRS_OK && text.len > 0 ? add_piece(p, text) : status;
}

static krs_status hear_reply(void *user, const krs_reply_event *event)
{
    const passage *p = user;
    switch (event->kind) {
    case KRS_REPLY_CONTENT:
        return add_text(p, KRS_TURN_TEXT, event->text);
    case KRS_REPLY_REASONING:
        return add_text(p, KRS_TURN_REASONING, event->text);
    case KRS_REPLY_CALL_BEGIN:
        return begin_call(p, event);
    case KRS_REPLY_CALL_TEXT:
        return add_piece(p, event->text);
    case KRS_REPLY_CALL_END:
        return end_open(p, event->is_broken);
    }
    return KRS_OK;
}

/* Only the first event knows how the prompt ended. */
static krs_status make_parser(krs_turn *turn, const krs_stream_event *event)
{
    turn->is_begun = true;
    if (is_plain(turn->options.tools)) {
        return KRS_OK;
    }
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style = turn->options.tools->style;
    options.is_reasoning_open = event->is_reasoning;
    options.tools = turn->options.tools->offered;
    options.n_tools = turn->options.tools->n;
    return krs_reply_parser_new(&options, turn->options.alloc, &turn->parser);
}

static krs_status feed(const passage *p, const krs_stream_event *event)
{
    krs_turn *turn = p->turn;
    const krs_reply_sink sink = {(void *)(uintptr_t)p, hear_reply};
    krs_status status = KRS_OK;
    if (!turn->parser && (event->text.len > 0 || event->n_tokens > 0)) {
        status = add_text(p, KRS_TURN_TEXT, event->text);
    } else if (event->text.len > 0) {
        status = krs_reply_parser_feed(turn->parser, event->text, &sink);
    }
    if (status == KRS_OK && event->is_end && turn->parser) {
        status = krs_reply_parser_end(turn->parser, &sink);
    }
    return status;
}

krs_status krs_turn_add(krs_turn *turn, const krs_stream_event *event, const krs_turn_sink *sink)
{
    const passage p = {turn, sink};
    krs_status status = turn->is_begun ? KRS_OK : make_parser(turn, event);
    if (status == KRS_OK) {
        status = feed(&p, event);
    }
    if (turn->open && turn->open->kind == KRS_TURN_REASONING) {
        turn->n_reasoning_tokens += event->n_tokens;
    }
    return status == KRS_OK && event->is_end ? end_open(&p, false) : status;
}

krs_status krs_turn_add_empty(krs_turn *turn, const krs_turn_sink *sink)
{
    const passage p = {turn, sink};
    const krs_status status = add_text(&p, KRS_TURN_TEXT, (krs_str){NULL, 0});
    return status == KRS_OK ? end_open(&p, false) : status;
}

krs_status krs_turn_join(const krs_turn *turn, krs_turn_kind kind, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < turn->n_items; i++) {
        if (turn->items[i]->kind == kind) {
            status = krs_buf_append_str(out, krs_buf_view(&turn->items[i]->text));
        }
    }
    return status;
}
