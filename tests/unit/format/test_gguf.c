/* The GGUF container: what is in a good file, and what a bad one is refused for. */
#include "format/gguf.h"

#include "support/gguf_file.h"

#include <stdio.h>
#include <stdlib.h>

/* One parse of exact bytes: a copy on the heap, so that a sanitizer sees a read behind its end. */
static krs_status parse(const krs_buf *file, size_t n, krs_gguf **out, unsigned char **copy,
                        krs_error *err)
{
    *copy = malloc(n ? n : 1);
    assert_non_null(*copy);
    if (n > 0) {
        memcpy(*copy, file->data, n);
    }
    return krs_gguf_parse(*copy, n, NULL, out, err);
}

static void refuse(const krs_buf *file, krs_status want, const char *words)
{
    krs_gguf *gguf = NULL;
    unsigned char *copy;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = parse(file, file->len, &gguf, &copy, &err);
    if (status != want || !strstr(err.message, words)) {
        fail_msg("status %d, want %d: \"%s\" lacks \"%s\"", (int)status, (int)want, err.message,
                 words);
    }
    assert_null(gguf);
    free(copy);
}

static void put_sample(krs_gguf_file *f)
{
    const float vector[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    const unsigned char blocks[2 * 34] = {0x00, 0x3C, 1, 2, 3};
    krs_gguf_put_str(f, "general.architecture", "llama");
    krs_gguf_put_int(f, "llama.block_count", 2);
    krs_gguf_put_real(f, "llama.rope.freq_base", 10000.0f);
    krs_gguf_put_flag(f, "tokenizer.ggml.add_bos_token", true);
    krs_gguf_put_list(f, "tokenizer.ggml.tokens", 8, 3);
    krs_gguf_put_text(&f->values, "<s>", 3);
    krs_gguf_put_text(&f->values, "", 0);
    krs_gguf_put_text(&f->values, "hello", 5);
    krs_gguf_put_list(f, "tokenizer.ggml.token_type", 5, 3);
    for (uint32_t i = 0; i < 3; i++) {
        krs_gguf_put_u32(&f->values, i - 1);
    }
    krs_gguf_put_list(f, "nested", 9, 2); /* a list of lists of bytes */
    for (uint32_t i = 0; i < 2; i++) {
        krs_gguf_put_u32(&f->values, 0);
        krs_gguf_put_u64(&f->values, i);
        krs_gguf_put_bytes(&f->values, "x", i);
    }
    krs_gguf_put_tensor(f, "output_norm.weight", 0, 1, (int64_t[]){4}, vector, sizeof(vector));
    krs_gguf_put_tensor(f, "blk.0.attn_q.weight", 8, 2, (int64_t[]){2, 32}, blocks, sizeof(blocks));
}

static void a_good_file_gives_what_was_written(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        krs_gguf_file f;
        krs_gguf_file_init(&f);
        put_sample(&f);
        const krs_buf *file = krs_gguf_file_finish(&f, version);
        krs_gguf *g = NULL;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(
            krs_gguf_parse((const unsigned char *)file->data, file->len, NULL, &g, &err), KRS_OK);
        assert_int_equal(krs_gguf_version(g), version);
        assert_int_equal(krs_gguf_n_shards(g), 1);
        assert_int_equal(krs_gguf_n_values(g), 7);
        assert_null(krs_gguf_value_at(g, 7));
        const krs_tensor_dir *dir = krs_gguf_dir(g);
        assert_int_equal(dir->n_tensors, 2);
        assert_int_equal(dir->file_bytes, file->len);
        const krs_tensor *q = krs_tensor_dir_find(dir, KRS_STR("blk.0.attn_q.weight"));
        assert_int_equal(q->quant.kind, KRS_QUANT_GGUF_Q8_0);
        assert_int_equal(q->rank, 2);
        assert_int_equal(q->dims[0], 2);
        assert_int_equal(q->dims[1], 32);
        assert_int_equal(q->n_bytes, 68);
        assert_int_equal(((const unsigned char *)q->data)[4], 3);
        const krs_tensor *norm = krs_tensor_dir_find(dir, KRS_STR("output_norm.weight"));
        assert_int_equal(norm->dtype, KRS_DTYPE_F32);
        assert_int_equal(norm->quant.kind, KRS_QUANT_NONE);
        float third;
        memcpy(&third, (const char *)norm->data + 8, sizeof(third));
        assert_true(third == 3.0f);
        krs_gguf_close(g);
        krs_gguf_file_deinit(&f);
    }
}

static void settings_are_read_by_type(void **state)
{
    (void)state;
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    put_sample(&f);
    const krs_buf *file = krs_gguf_file_finish(&f, 3);
    krs_gguf *g = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_gguf_parse((const unsigned char *)file->data, file->len, NULL, &g, &err),
                     KRS_OK);
    krs_str text = {NULL, 0};
    assert_int_equal(krs_gguf_get_str(g, "general.architecture", 64, &text, &err), KRS_OK);
    assert_true(krs_str_equal(text, KRS_STR("llama")));
    assert_int_equal(krs_gguf_get_str(g, "general.architecture", 4, &text, &err), KRS_EFORMAT);
    int64_t n = -7;
    assert_int_equal(krs_gguf_get_int(g, "llama.block_count", 1, 9, &n, &err), KRS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(krs_gguf_get_int(g, "llama.absent", 1, 9, &n, &err), KRS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(krs_gguf_get_int(g, "llama.block_count", 3, 9, &n, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "llama.block_count: 2, want 3 .. 9"));
    assert_int_equal(krs_gguf_get_int(g, "general.architecture", 1, 9, &n, &err), KRS_EFORMAT);
    double x = 0;
    assert_int_equal(krs_gguf_get_double(g, "llama.rope.freq_base", &x, &err), KRS_OK);
    assert_true(x == 10000.0);
    assert_int_equal(krs_gguf_get_double(g, "llama.block_count", &x, &err), KRS_OK);
    assert_true(x == 2.0);
    assert_int_equal(krs_gguf_get_double(g, "tokenizer.ggml.add_bos_token", &x, &err), KRS_EFORMAT);
    bool flag = false;
    assert_int_equal(krs_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &flag, &err), KRS_OK);
    assert_true(flag);
    assert_int_equal(krs_gguf_get_bool(g, "llama.block_count", &flag, &err), KRS_EFORMAT);
    const krs_gguf_value *list = NULL;
    assert_int_equal(krs_gguf_get_strings(g, "tokenizer.ggml.tokens", &list, &err), KRS_OK);
    assert_int_equal(list->n_items, 3);
    size_t at = 0;
    assert_true(krs_str_equal(krs_gguf_next_str(list, &at), KRS_STR("<s>")));
    assert_int_equal(krs_gguf_next_str(list, &at).len, 0);
    assert_true(krs_str_equal(krs_gguf_next_str(list, &at), KRS_STR("hello")));
    assert_int_equal(at, list->n_bytes);
    assert_int_equal(krs_gguf_get_numbers(g, "tokenizer.ggml.tokens", &list, &err), KRS_EFORMAT);
    assert_int_equal(krs_gguf_get_numbers(g, "tokenizer.ggml.token_type", &list, &err), KRS_OK);
    assert_int_equal(krs_gguf_integer(list, 0), -1);
    assert_true(krs_gguf_number(list, 2) == 1.0);
    assert_int_equal(krs_gguf_get_strings(g, "absent", &list, &err), KRS_OK);
    assert_null(list);
    krs_gguf_close(g);
    krs_gguf_file_deinit(&f);
}

static void numbers_of_every_type_keep_their_value(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        size_t n_bytes;
        uint64_t bits;
        int64_t integer;
        double number;
    } cases[] = {
        {0, 1, 0xFF, 255, 255.0},
        {1, 1, 0xFF, -1, -1.0},
        {2, 2, 0xFFFE, 65534, 65534.0},
        {3, 2, 0xFFFE, -2, -2.0},
        {4, 4, 0xFFFFFFFD, 4294967293, 4294967293.0},
        {5, 4, 0xFFFFFFFD, -3, -3.0},
        {6, 4, 0xC0200000, -2, -2.5},
        {10, 8, UINT64_MAX, INT64_MAX, 18446744073709551616.0},
        {11, 8, UINT64_MAX, -1, -1.0},
        {12, 8, 0x4008000000000000, 3, 3.0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_gguf_file f;
        krs_gguf_file_init(&f);
        krs_gguf_put_key(&f, "k", cases[i].type);
        krs_gguf_put_bytes(&f.values, &cases[i].bits, cases[i].n_bytes);
        const krs_buf *file = krs_gguf_file_finish(&f, 3);
        krs_gguf *g = NULL;
        assert_int_equal(
            krs_gguf_parse((const unsigned char *)file->data, file->len, NULL, &g, NULL), KRS_OK);
        const krs_gguf_value *value = krs_gguf_find(g, "k");
        assert_int_equal(krs_gguf_integer(value, 0), cases[i].integer);
        assert_true(krs_gguf_number(value, 0) == cases[i].number);
        krs_gguf_close(g);
        krs_gguf_file_deinit(&f);
    }
}

/* Each byte less: a clear refusal, and under a sanitizer no read behind the end. */
static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    put_sample(&f);
    const krs_buf *file = krs_gguf_file_finish(&f, 3);
    for (size_t n = 0; n < file->len; n++) {
        krs_gguf *g = NULL;
        unsigned char *copy;
        krs_error err = KRS_ERROR_INIT;
        const krs_status status = parse(file, n, &g, &copy, &err);
        if (status != KRS_EFORMAT || err.message[0] == '\0') {
            fail_msg("cut at %zu of %zu: status %d", n, file->len, (int)status);
        }
        free(copy);
    }
    krs_gguf_file_deinit(&f);
}

/* Each byte of the head, settings and infos, turned into others: never a crash. */
static void a_file_with_any_byte_changed_is_read_or_refused(void **state)
{
    (void)state;
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    put_sample(&f);
    krs_buf *file = &f.file;
    (void)krs_gguf_file_finish(&f, 3);
    static const unsigned char masks[] = {0x01, 0x80, 0xFF};
    for (size_t i = 0; i < file->len; i++) {
        for (size_t m = 0; m < sizeof(masks); m++) {
            file->data[i] = (char)(file->data[i] ^ masks[m]);
            krs_gguf *g = NULL;
            unsigned char *copy;
            const krs_status status = parse(file, file->len, &g, &copy, NULL);
            assert_true((status == KRS_OK) == (g != NULL));
            krs_gguf_close(g);
            free(copy);
            file->data[i] = (char)(file->data[i] ^ masks[m]);
        }
    }
    krs_gguf_file_deinit(&f);
}

/* What the head says, changed. */
static void refuse_head(size_t at, uint64_t value, size_t n_bytes, krs_status want,
                        const char *words)
{
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    put_sample(&f);
    (void)krs_gguf_file_finish(&f, 3);
    memcpy(f.file.data + at, &value, n_bytes);
    refuse(&f.file, want, words);
    krs_gguf_file_deinit(&f);
}

static void a_head_that_lies_is_refused(void **state)
{
    (void)state;
    refuse_head(0, 'X', 1, KRS_EFORMAT, "does not begin with \"GGUF\"");
    refuse_head(4, 1, 4, KRS_EUNSUPPORTED, "version 1, want 2 or 3");
    refuse_head(4, 4, 4, KRS_EUNSUPPORTED, "version 4");
    refuse_head(4, 0x03000000, 4, KRS_EUNSUPPORTED, "big-endian");
    refuse_head(8, UINT64_MAX, 8, KRS_ETOOLARGE, "tensors, limit 1048576");
    refuse_head(8, 1u << 19, 8, KRS_EFORMAT, "524288 tensors, ");
    refuse_head(16, UINT64_MAX, 8, KRS_ETOOLARGE, "settings, limit 65536");
    refuse_head(16, 60000, 8, KRS_EFORMAT, "60000 settings, ");
}

/* A file of one setting, whose value is `bytes`. */
static void refuse_value(uint32_t type, const void *bytes, size_t n, krs_status want,
                         const char *words)
{
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_put_key(&f, "some.key", type);
    krs_gguf_put_bytes(&f.values, bytes, n);
    krs_gguf_put_key(&f, "end", 0); /* so that the setting is not the file's last bytes */
    krs_gguf_put_bytes(&f.values, "\0", 1);
    refuse(krs_gguf_file_finish(&f, 3), want, words);
    krs_gguf_file_deinit(&f);
}

static void a_setting_that_lies_is_refused(void **state)
{
    (void)state;
    const uint64_t huge = UINT64_MAX;
    refuse_value(13, "\0", 1, KRS_EFORMAT, "some.key: type 13");
    refuse_value(7, "\2", 1, KRS_EFORMAT, "some.key: a bool of 2");
    refuse_value(8, &huge, 8, KRS_EFORMAT, "some.key: the file ends");
    /* Lists: of an unknown type; of more items than bytes; whose product would wrap. */
    const struct {
        uint32_t type;
        uint64_t n;
        const char *words;
    } lists[] = {
        {99, 1, "type 99"},
        {0, UINT64_MAX, "18446744073709551615 items of u8"},
        {12, UINT64_C(1) << 61, "items of f64"},
        {8, UINT64_C(1) << 40, "items of string"},
        {9, UINT64_C(1) << 40, "items of array"},
        {8, 1000, "1000 items of string"},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        unsigned char bytes[12];
        memcpy(bytes, &lists[i].type, 4);
        memcpy(bytes + 4, &lists[i].n, 8);
        refuse_value(9, bytes, sizeof(bytes), KRS_EFORMAT, lists[i].words);
    }
    unsigned char deep[12 * 8]; /* lists of one list of one list ... */
    for (size_t i = 0; i < 8; i++) {
        const uint32_t array = 9;
        const uint64_t one = 1;
        memcpy(deep + 12 * i, &array, 4);
        memcpy(deep + 12 * i + 4, &one, 8);
    }
    refuse_value(9, deep, sizeof(deep), KRS_ETOOLARGE, "nested more than 4 deep");
}

static void names_are_short_plain_and_unique(void **state)
{
    (void)state;
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    const char *const keys[] = {"", "a\033[2J", long_name};
    for (size_t i = 0; i < 3; i++) {
        krs_gguf_file f;
        krs_gguf_file_init(&f);
        krs_gguf_put_int(&f, keys[i], 1);
        refuse(krs_gguf_file_finish(&f, 3), KRS_EFORMAT, "setting 0: a name of");
        krs_gguf_file_deinit(&f);
    }
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_put_int(&f, "twice", 1);
    krs_gguf_put_int(&f, "other", 1);
    krs_gguf_put_int(&f, "twice", 2);
    refuse(krs_gguf_file_finish(&f, 3), KRS_EFORMAT, "twice: stands twice");
    krs_gguf_file_deinit(&f);
    krs_gguf_file_init(&f);
    krs_gguf_put_tensor(&f, "t", 24, 1, (int64_t[]){1}, "x", 1);
    krs_gguf_put_tensor(&f, "t", 24, 1, (int64_t[]){1}, "y", 1);
    refuse(krs_gguf_file_finish(&f, 3), KRS_EFORMAT, "tensor t: its name stands twice");
    krs_gguf_file_deinit(&f);
}

typedef struct bad_tensor {
    uint32_t type;
    int32_t rank;
    int64_t dims[8];
    krs_status status;
    const char *words;
} bad_tensor;

static void a_tensor_that_lies_is_refused(void **state)
{
    (void)state;
    static const bad_tensor cases[] = {
        {0, 5, {1, 1, 1, 1, 1}, KRS_EFORMAT, "tensor t: 5 dimensions, limit 4"},
        {0, 2, {0, 4}, KRS_EFORMAT, "dimension 1 is 0"},
        {0, 1, {-1}, KRS_EFORMAT, "dimension 0 is 18446744073709551615"},
        {0, 2, {INT64_MAX, INT64_MAX}, KRS_EFORMAT, "overflow"},
        {0, 4, {1 << 16, 1 << 16, 1 << 16, 1 << 16}, KRS_EFORMAT, "overflow"},
        {0, 1, {100}, KRS_EFORMAT, "tensor t: 400 bytes at 0, the file has 64 of data"},
        {8, 2, {2, 33}, KRS_EFORMAT, "rows of 33 do not divide into Q8_0 blocks of 32"},
        {12, 1, {128}, KRS_EFORMAT, "Q4_K blocks of 256"},
        {16, 1, {256}, KRS_EUNSUPPORTED, "type IQ2_XXS, want one of F32"},
        {19, 1, {256}, KRS_EUNSUPPORTED, "type IQ1_S"},
        {4, 1, {32}, KRS_EUNSUPPORTED, "type number 4"},
        {UINT32_MAX, 1, {32}, KRS_EUNSUPPORTED, "type number 4294967295"},
    };
    static const unsigned char data[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_gguf_file f;
        krs_gguf_file_init(&f);
        krs_gguf_put_tensor(&f, "t", cases[i].type, cases[i].rank, cases[i].dims, data,
                            sizeof(data));
        refuse(krs_gguf_file_finish(&f, 3), cases[i].status, cases[i].words);
        krs_gguf_file_deinit(&f);
    }
}

/* The offset of the last info, changed. */
static void refuse_offset(uint64_t offset, const char *words)
{
    static const unsigned char data[32];
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_put_tensor(&f, "a", 0, 1, (int64_t[]){8}, data, sizeof(data));
    krs_gguf_put_tensor(&f, "b", 0, 1, (int64_t[]){8}, data, sizeof(data));
    memcpy(f.infos.data + f.infos.len - 8, &offset, 8);
    refuse(krs_gguf_file_finish(&f, 3), KRS_EFORMAT, words);
    krs_gguf_file_deinit(&f);
}

static void tensors_lie_apart_and_inside_the_data(void **state)
{
    (void)state;
    refuse_offset(0, "lies inside");
    refuse_offset(16, "offset 16, not a multiple of 32");
    refuse_offset(64, "32 bytes at 64, the file has 64 of data");
    refuse_offset(UINT64_MAX - 31, "the file has 64 of data");
}

static void an_alignment_is_a_power_of_two_in_bounds(void **state)
{
    (void)state;
    static const struct {
        uint32_t n;
        const char *words;
    } cases[] = {
        {0, "general.alignment: 0, want 8 .. 65536"},
        {4, "general.alignment: 4"},
        {48, "48, want a power of two"},
        {1u << 31, "general.alignment: 2147483648"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_gguf_file f;
        krs_gguf_file_init(&f);
        krs_gguf_put_int(&f, "general.alignment", cases[i].n);
        refuse(krs_gguf_file_finish(&f, 3), KRS_EFORMAT, cases[i].words);
        krs_gguf_file_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_gives_what_was_written),
        cmocka_unit_test(settings_are_read_by_type),
        cmocka_unit_test(numbers_of_every_type_keep_their_value),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_file_with_any_byte_changed_is_read_or_refused),
        cmocka_unit_test(a_head_that_lies_is_refused),
        cmocka_unit_test(a_setting_that_lies_is_refused),
        cmocka_unit_test(names_are_short_plain_and_unique),
        cmocka_unit_test(a_tensor_that_lies_is_refused),
        cmocka_unit_test(tensors_lie_apart_and_inside_the_data),
        cmocka_unit_test(an_alignment_is_a_power_of_two_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
