/* bench/bench_tokenizer.c - how fast text becomes ids and ids become text, on one thread.
 *
 *     bench_tokenizer TOKENIZER TEXT [REPEATS [PIECE_BYTES]]
 *
 * TOKENIZER: a model folder or tokenizer.json[.gz]; TEXT: a file. Prints the time to load and the memory
 * held, and MiB/s of text: for encoding with an encoder that has seen this text before, and (first pass)
 * with new ones, whose caches are empty; for decoding token by token. PIECE_BYTES: encode TEXT in pieces of
 * about so many bytes, cut at line ends, as so many prompts would come; else in one piece.
 *
 * Times are CPU times, and the best pass is the figure, because everything that disturbs a pass makes it
 * slower. */
#include "os/file.h"
#include "text/detok.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_REPEATS 10
#define MAX_REPEATS     100000
#define MIB             1048576.0

/* The heap, counting what is held; in front of each block is its size. */
typedef struct counter {
    krs_alloc alloc;
    size_t held_bytes;
} counter;

#define HEAD_BYTES 64 /* as malloc's blocks are aligned, and cache lines */

static void *counted_resize(void *ctx, void *ptr, size_t n_bytes)
{
    counter *c = ctx;
    char *block = ptr ? (char *)ptr - HEAD_BYTES : NULL;
    size_t before = 0;
    if (block) {
        memcpy(&before, block, sizeof(before));
    }
    block = n_bytes > SIZE_MAX - HEAD_BYTES ? NULL : realloc(block, n_bytes + HEAD_BYTES);
    if (!block) {
        return NULL;
    }
    c->held_bytes += n_bytes - before;
    memcpy(block, &n_bytes, sizeof(n_bytes));
    return block + HEAD_BYTES;
}

static void *counted_take(void *ctx, size_t n_bytes)
{
    return counted_resize(ctx, NULL, n_bytes);
}

static void counted_give(void *ctx, void *ptr)
{
    counter *c = ctx;
    if (ptr) {
        size_t n_bytes;
        char *block = (char *)ptr - HEAD_BYTES;
        memcpy(&n_bytes, block, sizeof(n_bytes));
        c->held_bytes -= n_bytes;
        free(block);
    }
}

typedef struct subject {
    counter memory;
    krs_tokenizer *tokenizer;
    krs_encoder *encoder;
    krs_detok *detok;
    krs_buf text;
    krs_buf back;
    uint32_t *ids; /* [n_ids] of the whole text */
    size_t n_ids;
    size_t piece_bytes; /* 0: one piece */
    double load_s;
    size_t tokenizer_bytes;
    size_t encoder_bytes; /* before the first text */
} subject;

/* CPU time of this process, which has one thread: what other programs take does not count. */
static double seconds_since(clock_t start)
{
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static krs_status open_subject(subject *s, const char *tokenizer, const char *text, krs_error *err)
{
    s->memory.alloc = (krs_alloc){&s->memory, counted_take, counted_resize, counted_give};
    krs_buf_init(&s->text, NULL, KRS_TOKENIZER_MAX_TEXT_BYTES);
    krs_buf_init(&s->back, NULL, 4u * KRS_TOKENIZER_MAX_TEXT_BYTES);
    const clock_t start = clock();
    krs_status status = krs_tokenizer_load(tokenizer, &s->memory.alloc, &s->tokenizer, err);
    s->load_s = seconds_since(start);
    s->tokenizer_bytes = s->memory.held_bytes;
    if (status == KRS_OK) {
        status = krs_encoder_new(s->tokenizer, &s->encoder, err);
        s->encoder_bytes = s->memory.held_bytes - s->tokenizer_bytes;
    }
    if (status == KRS_OK) {
        status = krs_detok_new(s->tokenizer, false, NULL, &s->detok);
    }
    return status == KRS_OK ? krs_os_file_read(text, &s->text, err) : status;
}

static void close_subject(subject *s)
{
    krs_detok_free(s->detok);
    krs_encoder_free(s->encoder);
    krs_tokenizer_free(s->tokenizer);
    krs_buf_deinit(&s->text);
    krs_buf_deinit(&s->back);
    free(s->ids);
}

/* The text without its first piece; *piece is that one. */
static krs_str cut_piece(const subject *s, krs_str text, krs_str *piece)
{
    size_t n = text.len;
    if (s->piece_bytes > 0 && s->piece_bytes < text.len) {
        const size_t line = krs_str_find(text, KRS_STR("\n"), s->piece_bytes);
        n = line == SIZE_MAX ? n : line + 1;
    }
    *piece = (krs_str){text.ptr, n};
    return (krs_str){text.ptr + n, text.len - n};
}

/* Encode the text; keeps the ids if the caller wants them. */
static krs_status encode(subject *s, bool is_kept, krs_error *err)
{
    krs_status status = KRS_OK;
    krs_str rest = krs_buf_view(&s->text);
    s->n_ids = 0;
    while (status == KRS_OK && rest.len > 0) {
        krs_str piece;
        krs_ids ids;
        rest = cut_piece(s, rest, &piece);
        status = krs_encode(s->encoder, piece, false, &ids, err);
        if (status == KRS_OK && is_kept) {
            memcpy(s->ids + s->n_ids, ids.ids, ids.n * sizeof(ids.ids[0]));
        }
        s->n_ids += ids.n;
    }
    return status;
}

static krs_status decode(subject *s)
{
    krs_buf_reset(&s->back);
    krs_detok_reset(s->detok);
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < s->n_ids; i++) {
        status = krs_detok_push(s->detok, s->ids[i], &s->back);
    }
    return status == KRS_OK ? krs_detok_finish(s->detok, &s->back) : status;
}

static krs_status time_encode(subject *s, double *best_s, krs_error *err)
{
    const clock_t start = clock();
    const krs_status status = encode(s, false, err);
    const double took_s = seconds_since(start);
    *best_s = *best_s == 0 || took_s < *best_s ? took_s : *best_s;
    return status;
}

/* first_s: of an encoder that has seen nothing; best_s: of one that has seen this text. */
static krs_status measure_encode(subject *s, long n_repeats, double *first_s, double *best_s,
                                 krs_error *err)
{
    krs_status status = KRS_OK;
    for (long i = 0; status == KRS_OK && i < n_repeats; i++) {
        krs_encoder_free(s->encoder);
        s->encoder = NULL;
        status = krs_encoder_new(s->tokenizer, &s->encoder, err);
        if (status == KRS_OK) {
            status = time_encode(s, first_s, err);
        }
    }
    for (long i = 0; status == KRS_OK && i < n_repeats; i++) {
        status = time_encode(s, best_s, err);
    }
    return status;
}

static krs_status measure_decode(subject *s, long n_repeats, double *best_s, krs_error *err)
{
    s->ids = malloc((s->text.len + 1) * sizeof(s->ids[0])); /* a byte can cost a token */
    krs_status status = s->ids ? encode(s, true, err) : KRS_ENOMEM;
    for (long i = 0; status == KRS_OK && i <= n_repeats; i++) {
        const clock_t start = clock();
        status = decode(s);
        const double took_s = seconds_since(start);
        *best_s = i == 0 || took_s < *best_s ? took_s : *best_s;
    }
    return status;
}

static krs_status measure(subject *s, long n_repeats, krs_error *err)
{
    const double mib = (double)s->text.len / MIB;
    double first_s = 0;
    double encode_s = 0;
    double decode_s = 0;
    krs_status status = measure_encode(s, n_repeats, &first_s, &encode_s, err);
    if (status == KRS_OK) {
        status = measure_decode(s, n_repeats, &decode_s, err);
    }
    if (status == KRS_OK) {
        (void)printf("load %.3f s, %.1f MiB, encoder %.1f MiB; %zu bytes, %zu ids; "
                     "encode %.1f MiB/s (first pass %.1f); decode %.1f MiB/s\n",
                     s->load_s, (double)s->tokenizer_bytes / MIB, (double)s->encoder_bytes / MIB,
                     s->text.len, s->n_ids, mib / encode_s, mib / first_s, mib / decode_s);
    }
    return status;
}

int main(int argc, char **argv)
{
    const long n_repeats = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_REPEATS;
    if (argc < 3 || argc > 5 || n_repeats < 1 || n_repeats > MAX_REPEATS) {
        (void)fprintf(stderr, "usage: %s TOKENIZER TEXT [REPEATS 1..%d [PIECE_BYTES]]\n", argv[0],
                      MAX_REPEATS);
        return krs_status_exit_code(KRS_EINVAL);
    }
    krs_error err = KRS_ERROR_INIT;
    subject s = {.piece_bytes = argc > 4 ? (size_t)strtoul(argv[4], NULL, 10) : 0};
    krs_status status = open_subject(&s, argv[1], argv[2], &err);
    if (status == KRS_OK) {
        status = measure(&s, n_repeats, &err);
    }
    if (status != KRS_OK) {
        (void)fprintf(stderr, "bench: %s\n", err.message);
    }
    close_subject(&s);
    return krs_status_exit_code(status);
}
