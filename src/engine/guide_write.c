/* engine/guide_write.c - the content of a guidance as bytes, for whoever compares. Lengths before texts and
 * counts before parts make it unambiguous; addresses, and the field that errors name, are no content.
 *
 * Thread: any.  Memory: the caller's buffer. */
#include "engine/guide_compile.h"

static krs_status write_u32(krs_buf *out, uint32_t value)
{
    return krs_buf_append(out, &value, sizeof(value));
}

static krs_status write_text(krs_buf *out, krs_str text)
{
    const krs_status status = write_u32(out, (uint32_t)text.len);
    return status == KRS_OK ? krs_buf_append_str(out, text) : status;
}

static krs_status write_tree(krs_buf *out, const krs_guide *guide)
{
    const uint32_t head[] = {(uint32_t)guide->kind, guide->min, guide->max, guide->n_parts};
    krs_status status = krs_buf_append(out, head, sizeof(head));
    if (status == KRS_OK) {
        status = write_text(out, guide->text);
    }
    for (uint32_t i = 0; status == KRS_OK && i < guide->n_parts; i++) {
        status = write_tree(out, &guide->parts[i]);
    }
    return status;
}

krs_status krs_guide_write(const krs_guidance *guidance, bool is_reasoning, krs_buf *out)
{
    const uint32_t head[] = {(uint32_t)guidance->space, guidance->is_any_order, is_reasoning};
    krs_status status = krs_buf_append(out, head, sizeof(head));
    if (status == KRS_OK) {
        status = write_text(out, guidance->reasoning_open);
    }
    if (status == KRS_OK) {
        status = write_text(out, guidance->reasoning_close);
    }
    return status == KRS_OK ? write_tree(out, &guidance->root) : status;
}
