/* text/template/run.c - budgets, memory and captured output of one rendering; see run.h.
 *
 * Text has a region of its own inside the arena, without alignment between strings: that is what lets
 * a + b grow in place when a was made last. Templates build prompts by `ns.text = ns.text + more`, and
 * copying each time would cost the square of the prompt's length.
 *
 * Thread: one rendering, one thread. */
#include "text/template/run.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_BLOCK   (64u << 10) /* bytes of text taken from the arena at a time */
#define BYTES_A_STEP 64          /* text copied for the price of one evaluation */

krs_status krs_trun_fail(krs_trun *run, krs_status status, const char *format, ...)
{
    char what[KRS_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return krs_fail(run->err, status, "template line %u: %s", run->line, what);
}

krs_status krs_trun_spend(krs_trun *run, uint64_t n)
{
    if (n > run->steps_left) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "rendering takes more than %llu steps",
                             (unsigned long long)run->max_steps);
    }
    run->steps_left -= n;
    return KRS_OK;
}

krs_status krs_trun_enter(krs_trun *run)
{
    if (run->n_eval >= KRS_TRUN_MAX_EVAL) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "evaluation nested deeper than %d",
                             KRS_TRUN_MAX_EVAL);
    }
    krs_status status = krs_trun_spend(run, 1);
    run->n_eval += status == KRS_OK;
    return status;
}

krs_status krs_trun_no_memory(krs_trun *run)
{
    /* The ceiling, or the machine? A request that met the ceiling had used most of it. */
    if (run->values.total_bytes > KRS_TRUN_MAX_BYTES / 4) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "rendering needs more than %u bytes of memory",
                             KRS_TRUN_MAX_BYTES);
    }
    return krs_trun_fail(run, KRS_ENOMEM, "out of memory");
}

krs_status krs_trun_fail_undefined(krs_trun *run, const krs_tval *v)
{
    const krs_tundef *u = v->u.undef;
    const krs_tval owner = {.kind = u->owner};
    const char *type = krs_tval_type(&owner);
    const bool is_none = u->owner == KRS_T_NONE;
    switch (u->why) {
    case KRS_TUNDEF_NAME:
        return krs_trun_fail(run, KRS_EINVAL, "'%.*s' is undefined", KRS_STR_ARGS(u->what));
    case KRS_TUNDEF_ATTRIBUTE:
        return krs_trun_fail(run, KRS_EINVAL, "'%s%s' has no attribute '%.*s'",
                             is_none ? "None" : type, is_none ? "" : " object",
                             KRS_STR_ARGS(u->what));
    case KRS_TUNDEF_ELEMENT:
        return krs_trun_fail(run, KRS_EINVAL, "%s%s has no element %.*s", is_none ? "None" : type,
                             is_none ? "" : " object", KRS_STR_ARGS(u->what));
    case KRS_TUNDEF_UNSAFE:
        return krs_trun_fail(run, KRS_EINVAL,
                             "access to attribute '%.*s' of '%s' object is unsafe.",
                             KRS_STR_ARGS(u->what), type);
    default:
        return krs_trun_fail(run, KRS_EINVAL, "%.*s", KRS_STR_ARGS(u->what));
    }
}

/* ---- memory ---- */

krs_status krs_trun_text(krs_trun *run, size_t n, char **out)
{
    krs_status status = krs_trun_spend(run, n / BYTES_A_STEP);
    if (status != KRS_OK) {
        return status;
    }
    if (n > run->text_left || !run->text) {
        /* Twice a long string: the next piece appended to it still fits. */
        const size_t n_block = n > TEXT_BLOCK / 4 ? 2 * n + TEXT_BLOCK : TEXT_BLOCK;
        char *block = krs_arena_bytes(&run->values, n_block);
        if (!block) {
            return krs_trun_no_memory(run);
        }
        run->text = block;
        run->text_left = n_block;
    }
    *out = run->text;
    run->text += n;
    run->text_left -= n;
    return KRS_OK;
}

krs_status krs_trun_copy(krs_trun *run, krs_str s, krs_tval *out)
{
    char *text = NULL;
    krs_status status = krs_trun_text(run, s.len, &text);
    if (status == KRS_OK && text && s.len) {
        memcpy(text, s.ptr, s.len);
    }
    *out = krs_tval_str((krs_str){text, s.len});
    return status;
}

krs_status krs_trun_join(krs_trun *run, krs_str a, krs_str b, krs_str *out)
{
    if (a.len == 0 || b.len == 0) {
        *out = a.len ? a : b;
        return KRS_OK;
    }
    char *text = NULL;
    if (a.ptr + a.len == run->text && b.len <= run->text_left) {
        krs_status status = krs_trun_text(run, b.len, &text);
        if (status == KRS_OK && text) {
            memcpy(text, b.ptr, b.len);
            *out = (krs_str){a.ptr, a.len + b.len};
        }
        return status;
    }
    krs_status status = krs_trun_text(run, a.len + b.len, &text);
    if (status == KRS_OK && text) {
        memcpy(text, a.ptr, a.len);
        memcpy(text + a.len, b.ptr, b.len);
        *out = (krs_str){text, a.len + b.len};
    }
    return status;
}

krs_status krs_trun_array(krs_trun *run, size_t n, krs_tval **out)
{
    *out = NULL;
    if (n == 0) {
        return KRS_OK;
    }
    krs_status status = krs_trun_spend(run, n / 8);
    if (status != KRS_OK) {
        return status;
    }
    *out = krs_arena_array(&run->values, n, sizeof(**out));
    return *out ? KRS_OK : krs_trun_no_memory(run);
}

krs_status krs_trun_seq(krs_trun *run, krs_tkind kind, const krs_tval *items, size_t n,
                        krs_tval *out)
{
    krs_tseq *seq = krs_tseq_new(&run->values, items, n);
    if (!seq) {
        return krs_trun_no_memory(run);
    }
    *out = krs_tval_seq(kind, seq);
    return KRS_OK;
}

krs_status krs_trun_gen(krs_trun *run, const krs_tval *items, size_t n, krs_tval *out)
{
    krs_tgen *gen = krs_arena_bytes(&run->values, sizeof(*gen));
    if (!gen) {
        return krs_trun_no_memory(run);
    }
    gen->n = n;
    gen->items = items;
    *out = (krs_tval){.kind = KRS_T_GEN, .u.gen = gen};
    return KRS_OK;
}

krs_status krs_trun_set(krs_trun *run, krs_tmap *map, const krs_tval *key, const krs_tval *value)
{
    if (!krs_tval_is_hashable(key)) {
        return krs_trun_fail(run, KRS_EINVAL, "unhashable type: '%s'", krs_tval_type(key));
    }
    return krs_tmap_set(&run->values, map, key, value) ? KRS_OK : krs_trun_no_memory(run);
}

krs_status krs_trun_undefined(krs_trun *run, krs_tundef_why why, uint8_t owner, krs_str what,
                              krs_tval *out)
{
    krs_tundef *undef = krs_arena_bytes(&run->values, sizeof(*undef));
    if (!undef) {
        return krs_trun_no_memory(run);
    }
    *undef = (krs_tundef){why, owner, what};
    *out = (krs_tval){.kind = KRS_T_UNDEF, .u.undef = undef};
    return KRS_OK;
}

/* ---- output ---- */

static krs_status output_failed(krs_trun *run, krs_status status)
{
    if (status == KRS_ETOOLARGE) {
        return krs_trun_fail(run, status, "output exceeds %u bytes", KRS_TEMPLATE_MAX_OUTPUT);
    }
    return krs_trun_fail(run, status, "out of memory");
}

krs_status krs_trun_take(krs_trun *run, size_t mark, krs_tval *out)
{
    const krs_str s = {run->out.data ? run->out.data + mark : "", run->out.len - mark};
    krs_status status = krs_trun_copy(run, s, out);
    if (status == KRS_OK && run->out.data) {
        run->out.len = mark;
        run->out.data[mark] = '\0';
    }
    return status;
}

krs_status krs_trun_write(krs_trun *run, krs_str s)
{
    krs_status status = krs_trun_spend(run, s.len / BYTES_A_STEP);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_buf_append_str(&run->out, s);
    return status == KRS_OK ? KRS_OK : output_failed(run, status);
}

krs_status krs_trun_putf(krs_trun *run, const char *format, ...)
{
    char text[128]; /* numbers and names of types; longer text goes through krs_trun_write */
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return krs_trun_write(run, (krs_str){text, len});
}
