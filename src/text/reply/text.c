/* text/reply/text.c - content and reasoning: text in which a few words mean something.
 *
 * What may still become such a word is kept, byte by byte, and so is white space that would belong to it;
 * everything else is told at once. */
#include "text/reply/priv.h"

/* A word, and what it begins: a rule, or when that is NULL the other kind of text or (Harmony) a header. */
typedef struct words {
    const char *texts[KRS_REPLY_MAX_WORDS];
    const krs_reply_rule *rules[KRS_REPLY_MAX_WORDS];
    uint32_t n;
} words;

uint32_t krs_reply_word(krs_str kept, const char *const *texts, uint32_t n, bool *may_come)
{
    *may_come = false;
    for (uint32_t i = 0; i < n; i++) {
        const krs_str text = krs_str_of(texts[i]);
        if (krs_str_equal(kept, text)) {
            return i;
        }
        *may_come = *may_come || krs_str_starts_with(text, kept);
    }
    return KRS_REPLY_NO_WORD;
}

static bool is_harmony(const krs_reply_parser *p)
{
    return p->options.style.format == KRS_REPLY_HARMONY;
}

/* Words of Harmony end a message, whatever it is; the first n_ends do not begin the next one. */
static const char *const harmony_words[] = {"<|end|>", "<|call|>", "<|return|>", "<|channel|>",
                                            "<|start|>"};
static const uint32_t n_harmony_ends = 3;
static const uint32_t n_harmony_words = sizeof(harmony_words) / sizeof(harmony_words[0]);

static void add_word(words *w, const char *text, const krs_reply_rule *rule)
{
    w->texts[w->n] = text;
    w->rules[w->n] = rule;
    w->n++;
}

/* What may begin here, in text of the form's own kinds. */
static void find_words(const krs_reply_parser *p, words *w)
{
    w->n = 0;
    if (p->kind == KRS_REPLY_REASONING) {
        add_word(w, p->marks->close, NULL);
        return;
    }
    if (p->marks->open[0] && (p->is_fresh || p->marks->has_special)) {
        add_word(w, p->marks->open, NULL);
    }
    const uint32_t n_rules = p->options.n_tools > 0 ? KRS_REPLY_MAX_RULES : 0;
    for (uint32_t i = 0; i < n_rules && p->form->rules[i].tag; i++) {
        const krs_reply_rule *rule = &p->form->rules[i];
        if (p->is_fresh || !rule->is_at_start) {
            add_word(w, rule->tag, rule);
        }
    }
}

/* Must white space wait for what follows it? Only where a tag may follow that takes it away. */
static bool is_space_held(const krs_reply_parser *p)
{
    return p->kind == KRS_REPLY_REASONING || (p->options.n_tools > 0 && p->form->rules[0].tag) ||
           (p->is_fresh && p->marks->open[0] && !is_harmony(p));
}

void krs_reply_flush_space(krs_reply_parser *p)
{
    if (p->space.len > 0) {
        krs_reply_tell(p, p->kind, krs_buf_view(&p->space));
        krs_buf_reset(&p->space);
    }
}

static void give_byte(krs_reply_parser *p, char c)
{
    if (!krs_reply_is_space(c)) {
        krs_reply_flush_space(p);
        krs_reply_tell(p, p->kind, (krs_str){&c, 1});
        p->is_space_eaten = false;
        p->is_fresh = false;
    } else if (!p->is_space_eaten && is_space_held(p)) {
        if (p->space.len == KRS_REPLY_SPACE_BYTES) {
            krs_reply_flush_space(p);
        }
        krs_reply_note(p, krs_buf_append_char(&p->space, c));
    } else if (!p->is_space_eaten) {
        krs_reply_tell(p, p->kind, (krs_str){&c, 1});
    }
}

void krs_reply_give_text(krs_reply_parser *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        give_byte(p, p->in.data[p->start + i]);
    }
    p->start += n;
    p->pos = p->pos < p->start ? p->start : p->pos;
}

void krs_reply_set_text(krs_reply_parser *p, krs_reply_event_kind kind)
{
    p->mode = KRS_REPLY_MODE_TEXT;
    p->kind = kind;
    p->is_fresh = true;
    p->is_space_eaten = true;
}

void krs_reply_leave_call(krs_reply_parser *p)
{
    krs_reply_use(p);
    krs_reply_set_text(p, KRS_REPLY_CONTENT);
    p->mode = is_harmony(p) ? KRS_REPLY_MODE_HEADER : KRS_REPLY_MODE_TEXT;
}

static void take_harmony_word(krs_reply_parser *p, uint32_t i)
{
    if (p->kind == KRS_REPLY_CONTENT) {
        krs_reply_flush_space(p);
    }
    krs_buf_reset(&p->space);
    if (i < n_harmony_ends) {
        krs_reply_use(p);
    } else {
        p->pos = p->start; /* the header has it */
    }
    p->mode = KRS_REPLY_MODE_HEADER;
}

static void take_word(krs_reply_parser *p, const krs_reply_rule *rule)
{
    if (!rule) {
        krs_buf_reset(&p->space);
        krs_reply_use(p);
        krs_reply_set_text(p,
                           p->kind == KRS_REPLY_CONTENT ? KRS_REPLY_REASONING : KRS_REPLY_CONTENT);
        return;
    }
    const size_t n_tag = p->pos - p->start;
    if (rule->is_eaten_again) {
        p->pos = p->start;
    }
    krs_reply_enter_call(p, rule->steps, rule->first, n_tag);
}

void krs_reply_eat_text(krs_reply_parser *p)
{
    words w;
    bool may_come = false;
    while (p->start < p->pos && !may_come) {
        if (is_harmony(p)) {
            const uint32_t i =
                krs_reply_word(krs_reply_kept(p), harmony_words, n_harmony_words, &may_come);
            if (i != KRS_REPLY_NO_WORD) {
                take_harmony_word(p, i);
                return;
            }
        } else {
            find_words(p, &w);
            const uint32_t i = krs_reply_word(krs_reply_kept(p), w.texts, w.n, &may_come);
            if (i != KRS_REPLY_NO_WORD) {
                take_word(p, w.rules[i]);
                return;
            }
        }
        if (!may_come) {
            krs_reply_give_text(p, 1);
        }
    }
}
