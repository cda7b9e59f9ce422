/* text/reply/harmony.c - the headers of Harmony's messages.
 *
 *   <|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>...
 *   <|channel|>analysis<|message|>...
 *
 * An answer is a run of messages: "analysis" is reasoning, a message to someone is a call, all else is
 * content. The prompt ends with "<|start|>assistant", so that the first header begins behind it.
 * What cannot be a header is content, for models that were not trained on the format.
 *
 * Source: the format's published guide and the template of gpt-oss. */
#include "text/reply/priv.h"

#define MAX_HEADER_BYTES 512u /* a channel, a name and a content type, with room */

static const char *const starts[] = {
    "<|channel|>",          "<|start|>", "<|message|>", "assistant<|channel|>", "assistant to=",
    "assistant<|message|>", "to="};
static const char *const ends[] = {"<|end|>", "<|call|>", "<|return|>"};

static krs_str without_space(krs_str text)
{
    while (text.len > 0 && krs_reply_is_space(text.ptr[0])) {
        text = (krs_str){text.ptr + 1, text.len - 1};
    }
    return text;
}

/* Can this be, or begin, a header? */
static bool is_plausible(krs_str header)
{
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const krs_str text = krs_str_of(starts[i]);
        if (krs_str_starts_with(header, text) || krs_str_starts_with(text, header)) {
            return true;
        }
    }
    return false;
}

/* Not a header: content, at least one byte of it, and no tag that would begin the header again. */
static void give_up(krs_reply_parser *p)
{
    const krs_str kept = krs_reply_kept(p);
    const size_t n_space = kept.len - without_space(kept).len;
    size_t n = n_space + 1 < kept.len ? n_space + 1 : kept.len;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const krs_str text = krs_str_of(starts[i]);
        if (krs_str_starts_with(without_space(kept), text)) {
            n = n_space + text.len;
        }
    }
    krs_reply_set_text(p, KRS_REPLY_CONTENT);
    p->is_space_eaten = false;
    krs_reply_give_text(p, n);
    p->pos = p->start;
}

/* The word behind the last `mark`, up to white space or a tag. */
static krs_str word_behind(krs_str header, const char *mark)
{
    const krs_str sign = krs_str_of(mark);
    krs_str word = {header.ptr, 0};
    for (size_t at = krs_str_find(header, sign, 0); at != SIZE_MAX;
         at = krs_str_find(header, sign, at + 1)) {
        word.ptr = header.ptr + at + sign.len;
        word.len = 0;
        while (word.ptr + word.len < header.ptr + header.len &&
               !krs_reply_is_space(word.ptr[word.len]) && word.ptr[word.len] != '<') {
            word.len++;
        }
    }
    return word;
}

static void begin_message(krs_reply_parser *p, krs_str header)
{
    const krs_str to = word_behind(header, "to=");
    if (to.len > 0 && to.len <= sizeof(p->name)) {
        krs_reply_enter_call(p, krs_reply_harmony_steps, 0, header.len);
        memcpy(p->name, to.ptr, to.len);
        p->n_name = (uint32_t)to.len;
        return;
    }
    const bool is_analysis = krs_str_equal(word_behind(header, "<|channel|>"), KRS_STR("analysis"));
    const krs_reply_event_kind kind = is_analysis ? KRS_REPLY_REASONING : KRS_REPLY_CONTENT;
    krs_reply_use(p);
    krs_reply_set_text(p, kind);
    p->is_space_eaten = is_analysis;
    if (p->has_text[is_analysis]) {
        krs_reply_tell(p, kind, KRS_STR("\n")); /* messages are read as paragraphs */
    }
}

void krs_reply_header_end(krs_reply_parser *p)
{
    p->pos = p->in.len;
    if (krs_str_starts_with(without_space(krs_reply_kept(p)), KRS_STR("<|"))) {
        krs_reply_use(p);
        return;
    }
    krs_reply_set_text(p, KRS_REPLY_CONTENT);
    p->is_space_eaten = false;
    krs_reply_give_text(p, p->pos - p->start);
}

void krs_reply_eat_header(krs_reply_parser *p)
{
    const krs_str kept = krs_reply_kept(p);
    const krs_str header = without_space(kept);
    bool may_end = false;
    const uint32_t end = krs_reply_word(header, ends, sizeof(ends) / sizeof(ends[0]), &may_end);
    if (end != KRS_REPLY_NO_WORD) {
        krs_reply_use(p); /* one more behind the end of a message */
    } else if (kept.len > MAX_HEADER_BYTES || (!may_end && !is_plausible(header))) {
        give_up(p);
    } else if (krs_str_ends_with(kept, KRS_STR("<|message|>"))) {
        begin_message(p, kept);
    }
}
