/* bench/bench_tokenizer.c - how fast text becomes ids and ids become text, on one thread.
 *
 *     bench_tokenizer TOKENIZER TEXT [REPEATS]
 *
 * TOKENIZER: a model folder or tokenizer.json[.gz]; TEXT: a file. Prints the time to load, and MiB/s of
 * text for encoding (the first pass with cold caches, then the best of the rest) and for decoding token
 * by token. Times are CPU times, and the best pass is the figure, because everything that disturbs a
 * pass makes it slower. */
#include "os/file.h"
#include "text/detok.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_REPEATS 10
#define MAX_REPEATS     100000
#define MIB             1048576.0

typedef struct subject {
    krs_tokenizer *tokenizer;
    krs_encoder *encoder;
    krs_detok *detok;
    krs_buf text;
    krs_buf back;
    double load_s;
} subject;

/* CPU time of this process, which has one thread: what other programs take does not count. */
static double seconds_since(clock_t start)
{
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static krs_status open_subject(subject *s, const char *tokenizer, const char *text, krs_error *err)
{
    krs_buf_init(&s->text, NULL, KRS_TOKENIZER_MAX_TEXT_BYTES);
    krs_buf_init(&s->back, NULL, 4u * KRS_TOKENIZER_MAX_TEXT_BYTES);
    const clock_t start = clock();
    krs_status status = krs_tokenizer_load(tokenizer, NULL, &s->tokenizer, err);
    s->load_s = seconds_since(start);
    if (status == KRS_OK) {
        status = krs_encoder_new(s->tokenizer, &s->encoder, err);
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
}

static krs_status decode(subject *s, krs_ids ids)
{
    krs_buf_reset(&s->back);
    krs_detok_reset(s->detok);
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < ids.n; i++) {
        status = krs_detok_push(s->detok, ids.ids[i], &s->back);
    }
    return status == KRS_OK ? krs_detok_finish(s->detok, &s->back) : status;
}

static krs_status measure(subject *s, long n_repeats, krs_error *err)
{
    const double mib = (double)s->text.len / MIB;
    double first_s = 0;
    double encode_s = 0;
    double decode_s = 0;
    krs_ids ids = {NULL, 0};
    for (long i = 0; i <= n_repeats; i++) {
        clock_t start = clock();
        krs_status status = krs_encode(s->encoder, krs_buf_view(&s->text), false, &ids, err);
        const double took_s = seconds_since(start);
        start = clock();
        status = status == KRS_OK ? decode(s, ids) : status;
        if (status != KRS_OK) {
            return status;
        }
        const double back_s = seconds_since(start);
        first_s = i == 0 ? took_s : first_s;
        encode_s = i <= 1 || took_s < encode_s ? took_s : encode_s;
        decode_s = i == 0 || back_s < decode_s ? back_s : decode_s;
    }
    (void)printf("load %.3f s; %zu bytes, %zu ids; encode %.1f MiB/s (first pass %.1f); "
                 "decode %.1f MiB/s\n",
                 s->load_s, s->text.len, ids.n, mib / encode_s, mib / first_s, mib / decode_s);
    return KRS_OK;
}

int main(int argc, char **argv)
{
    const long n_repeats = argc > 3 ? strtol(argv[3], NULL, 10) : DEFAULT_REPEATS;
    if (argc < 3 || argc > 4 || n_repeats < 1 || n_repeats > MAX_REPEATS) {
        (void)fprintf(stderr, "usage: %s TOKENIZER TEXT [REPEATS 1..%d]\n", argv[0], MAX_REPEATS);
        return krs_status_exit_code(KRS_EINVAL);
    }
    krs_error err = KRS_ERROR_INIT;
    subject s = {0};
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
