/* text/normalize.c - see normalize.h. */
#include "text/normalize.h"

static void step_deinit(const krs_alloc *alloc, krs_normalizer_step *step)
{
    krs_pattern_free(step->pattern);
    krs_charsmap_free(step->charsmap);
    krs_alloc_free(alloc, step->content);
    *step = (krs_normalizer_step){0};
}

void krs_normalizer_deinit(krs_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->n_steps; i++) {
        step_deinit(normalizer->alloc, &normalizer->steps[i]);
    }
    normalizer->n_steps = 0;
}

krs_status krs_normalizer_add(krs_normalizer *normalizer, const krs_normalizer_step *step)
{
    if (normalizer->n_steps == KRS_NORMALIZER_MAX_STEPS) {
        krs_normalizer_step dropped = *step;
        step_deinit(normalizer->alloc, &dropped);
        return KRS_ETOOLARGE;
    }
    normalizer->steps[normalizer->n_steps++] = *step;
    return KRS_OK;
}

static krs_str strip(const krs_normalizer_step *step, krs_str s)
{
    size_t n;
    while (step->has_left && s.len > 0 && krs_unicode_is_space(krs_utf8_decode(s, &n))) {
        s = (krs_str){s.ptr + n, s.len - n};
    }
    while (step->has_right && s.len > 0) {
        size_t last = s.len - 1;
        while (last > 0 && ((unsigned char)s.ptr[last] & 0xC0u) == 0x80u) {
            last--;
        }
        if (!krs_unicode_is_space(krs_utf8_decode((krs_str){s.ptr + last, s.len - last}, &n))) {
            break;
        }
        s.len = last;
    }
    return s;
}

static krs_status apply_step(const krs_normalizer_step *step, krs_pattern_room *room, krs_str s,
                             krs_buf *out)
{
    const krs_str content = {step->content, step->n_content};
    switch (step->kind) {
    case KRS_NORMALIZER_FORM:
        return krs_unicode_normalize(step->form, s, out);
    case KRS_NORMALIZER_REPLACE:
        return krs_pattern_replace(step->pattern, room, s, content, out);
    case KRS_NORMALIZER_STRIP:
        return krs_buf_append_str(out, strip(step, s));
    case KRS_NORMALIZER_REWRITE:
        return step->rewrite(s, out);
    case KRS_NORMALIZER_CHARSMAP:
        return krs_charsmap_apply(step->charsmap, s, out);
    default: { /* KRS_NORMALIZER_PREPEND */
        const krs_status status = s.len > 0 ? krs_buf_append_str(out, content) : KRS_OK;
        return status == KRS_OK ? krs_buf_append_str(out, s) : status;
    }
    }
}

krs_status krs_normalizer_apply(const krs_normalizer *normalizer, krs_pattern_room *room,
                                krs_str text, krs_buf buffers[2], krs_str *out)
{
    for (size_t i = 0; i < normalizer->n_steps; i++) {
        krs_buf *to = &buffers[i % 2];
        krs_buf_reset(to);
        const krs_status status = apply_step(&normalizer->steps[i], room, text, to);
        if (status != KRS_OK) {
            return status;
        }
        text = (krs_str){to->data ? to->data : "", to->len};
    }
    *out = text;
    return KRS_OK;
}
