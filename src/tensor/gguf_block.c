/* tensor/gguf_block.c - see gguf_block.h: the table of types, and the block kinds as krs_quant.
 *
 * All block kinds share one set of functions, which look the block up by its kind; what differs is a
 * row here and a reader in gguf_block_small.c (32 elements) or gguf_block_super.c (256). */
#include "tensor/gguf_block.h"

#include "tensor/gguf_block_priv.h"
#include "tensor/quant_priv.h"

#include <stdio.h>

typedef struct type_row {
    krs_gguf_type_info info;
    krs_gguf_block_read read; /* NULL unless the kind is a block's */
} type_row;

static const type_row rows[] = {
#define KRS_GGUF_PLAIN(id, name, bytes)                                                            \
    {{(id), #name, KRS_DTYPE_##name, {KRS_QUANT_NONE, 0, 0}, 1, (bytes)}, NULL},
#define KRS_GGUF_BLOCK(id, name, bits, elements, bytes, read)                                      \
    {{(id), #name, KRS_DTYPE_U8, {KRS_QUANT_GGUF_##name, bits, elements}, elements, bytes}, (read)},
#define KRS_GGUF_NAMED(id, name) {{(id), #name, KRS_DTYPE_U8, {KRS_QUANT_NONE, 0, 0}, 1, 0}, NULL},
#include "tensor/gguf_type.def"
#undef KRS_GGUF_PLAIN
#undef KRS_GGUF_BLOCK
#undef KRS_GGUF_NAMED
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

const krs_gguf_type_info *krs_gguf_type_find(uint32_t id)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].info.id == id) {
            return &rows[i].info;
        }
    }
    return NULL;
}

static const type_row *row_of_kind(krs_quant_kind kind)
{
    for (size_t i = 0; kind != KRS_QUANT_NONE && i < N_ROWS; i++) {
        if (rows[i].info.quant.kind == kind) {
            return &rows[i];
        }
    }
    return NULL;
}

const krs_gguf_type_info *krs_gguf_type_of_kind(krs_quant_kind kind)
{
    const type_row *row = row_of_kind(kind);
    return row ? &row->info : NULL;
}

void krs_gguf_type_list(char *out, size_t max_bytes)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].info.n_bytes == 0) {
            continue;
        }
        const int n = snprintf(out + at, max_bytes - at, "%s%s", at ? ", " : "", rows[i].info.name);
        if (n < 0 || (size_t)n >= max_bytes - at) {
            return;
        }
        at += (size_t)n;
    }
}

static krs_status check_block(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    const krs_gguf_type_info *info = krs_gguf_type_of_kind(quant->kind);
    (void)n_in;
    if (quant->bits != info->quant.bits || quant->group != info->quant.group) {
        return krs_fail(err, KRS_EUNSUPPORTED, "%s of %d bits in blocks of %d, want %d and %d",
                        info->name, quant->bits, quant->group, info->quant.bits, info->quant.group);
    }
    return KRS_OK;
}

static size_t block_row_bytes(const krs_quant *quant, int64_t n_in)
{
    const krs_gguf_type_info *info = krs_gguf_type_of_kind(quant->kind);
    return (size_t)n_in / info->n_elements * info->n_bytes;
}

static void block_row(const krs_matrix *m, int64_t row, float *out)
{
    const type_row *type = row_of_kind(m->quant.kind);
    const size_t row_bytes = block_row_bytes(&m->quant, m->n_in);
    const unsigned char *block = (const unsigned char *)m->data + (size_t)row * row_bytes;
    for (int64_t i = 0; i < m->n_in; i += type->info.n_elements) {
        type->read(block, out + i);
        block += type->info.n_bytes;
    }
}

const krs_quant_layout krs_quant_layout_gguf = {
    .check = check_block,
    .row_bytes = block_row_bytes,
    .row = block_row,
};
