/* text/template/tree.c - what the two halves of the parser share: nodes, names, looking at tokens.
 *
 * The first failure is kept, with its line; everything after it returns NULL and says nothing, so the
 * parser needs no error paths of its own beyond "stop when you get NULL".
 *
 * Thread: any; pure.  Memory: the template's arena. */
#include "text/template/priv.h"

#include <stdarg.h>
#include <stdio.h>

bool krs_tvec_push(krs_arena *arena, krs_tvec *vec, void *item)
{
    if (vec->n == vec->cap) {
        const size_t cap = vec->cap ? 2 * vec->cap : 4;
        void **items = krs_arena_array(arena, cap, sizeof(*items));
        if (!items) {
            return false;
        }
        if (vec->n) {
            memcpy(items, vec->items, vec->n * sizeof(*items));
        }
        vec->items = items;
        vec->cap = cap;
    }
    vec->items[vec->n++] = item;
    return true;
}

void *krs_tparse_fail(krs_tparse *p, krs_status status, const char *format, ...)
{
    if (p->status != KRS_OK) {
        return NULL;
    }
    char what[KRS_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    p->status = krs_fail(p->err, status, "template line %u: %s", p->tok->line, what);
    return NULL;
}

void *krs_tparse_no_memory(krs_tparse *p)
{
    const bool is_full = p->t->arena.total_bytes > KRS_TEMPLATE_MAX_TREE / 2;
    return is_full ? krs_tparse_fail(p, KRS_ETOOLARGE, "the template's tree exceeds %u bytes",
                                     KRS_TEMPLATE_MAX_TREE)
                   : krs_tparse_fail(p, KRS_ENOMEM, "out of memory");
}

krs_tnode *krs_tparse_node(krs_tparse *p, krs_tnode_kind kind)
{
    krs_tnode *node = krs_arena_bytes(&p->t->arena, sizeof(*node));
    if (!node) {
        return krs_tparse_no_memory(p);
    }
    node->kind = (uint8_t)kind;
    node->line = p->tok->line;
    return node;
}

bool krs_tparse_push(krs_tparse *p, krs_tvec *vec, void *item)
{
    return item && (krs_tvec_push(&p->t->arena, vec, item) || krs_tparse_no_memory(p));
}

bool krs_tparse_enter(krs_tparse *p)
{
    if (p->depth >= KRS_TEMPLATE_MAX_DEPTH) {
        return krs_tparse_fail(p, KRS_ETOOLARGE, "nested deeper than %d", KRS_TEMPLATE_MAX_DEPTH);
    }
    p->depth++;
    return true;
}

bool krs_tparse_name(krs_tparse *p, krs_str text, uint32_t *out)
{
    const krs_tval *known = krs_tmap_find_str(p->t->numbers, text);
    if (known) {
        *out = (uint32_t)known->u.i;
        return true;
    }
    const krs_tval key = krs_tval_str(text);
    const krs_tval number = krs_tval_int((int64_t)p->t->names.n);
    krs_str *copy = krs_arena_bytes(&p->t->arena, sizeof(*copy));
    if (!copy || !krs_tvec_push(&p->t->arena, &p->t->names, copy) ||
        !krs_tmap_set(&p->t->arena, p->t->numbers, &key, &number)) {
        return krs_tparse_no_memory(p);
    }
    *copy = text;
    *out = (uint32_t)number.u.i;
    return true;
}

bool krs_tparse_is_op(const krs_tparse *p, uint8_t op)
{
    return p->tok->kind == KRS_TOK_OP && p->tok->op == op;
}

bool krs_tparse_is_word(const krs_tparse *p, const char *word)
{
    return p->tok->kind == KRS_TOK_NAME && krs_str_equal(p->tok->text, krs_str_of(word));
}

bool krs_tparse_take_op(krs_tparse *p, uint8_t op)
{
    const bool is_it = krs_tparse_is_op(p, op);
    p->tok += is_it;
    return is_it;
}

bool krs_tparse_take_word(krs_tparse *p, const char *word)
{
    const bool is_it = krs_tparse_is_word(p, word);
    p->tok += is_it;
    return is_it;
}

krs_str krs_tparse_describe(const krs_tparse *p)
{
    krs_str text = p->tok->text;
    text.len = text.len > 40 ? 40 : text.len; /* enough to find the place */
    return text;
}

bool krs_tparse_expect_op(krs_tparse *p, uint8_t op)
{
    if (krs_tparse_take_op(p, op)) {
        return true;
    }
    return krs_tparse_fail(p, KRS_EFORMAT, "expected '%c', got '%.*s'", op,
                           KRS_STR_ARGS(krs_tparse_describe(p)));
}
