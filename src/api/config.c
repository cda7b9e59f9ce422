/* api/config.c - see config.h: the tables, and one value from text to checked number.  Reading whole
 * sources (argv, environment, tree) is in config_read.c. */
#include "api/config.h"

#include "base/check.h"
#include "base/nearest.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Sets of commands that config.def speaks of. */
#define ON(command) (1u << KRS_COMMAND_##command)
#define ON_ALL      ((1u << KRS_COMMAND_COUNT) - 1u)
#define LIVE        KRS_OPTION_LIVE
#define ON_HOST     (ON(SERVE) | ON(STDIO))
#define ON_ENGINE   (ON_HOST | ON(RUN) | ON(CHAT) | ON(BENCH))
#define ON_ANSWER   (ON(RUN) | ON(CHAT))
#define ON_TEXT     (ON(TOKENIZE) | ON(DETOKENIZE) | ON(TEMPLATE))

static const krs_option_row option_rows[KRS_OPTION_COUNT] = {
#define KRS_OPTION(id, name, letter, type, value, min, max, commands, metavar, help)               \
    {name,    letter, KRS_OPTION_TYPE_##type, value, (double)(min), (double)(max), commands,       \
     metavar, help},
#include "api/config.def"
#undef KRS_OPTION
};

static const krs_command_row command_rows[KRS_COMMAND_COUNT] = {
#define KRS_COMMAND(id, function, name, min, max, arguments, summary)                              \
    {name, min, max, arguments, summary},
#include "api/command.def"
#undef KRS_COMMAND
};

const krs_option_row *krs_option_row_of(krs_option option)
{
    KRS_CHECK((unsigned)option < KRS_OPTION_COUNT);
    return &option_rows[option];
}

const krs_command_row *krs_command_row_of(krs_command command)
{
    KRS_CHECK((unsigned)command < KRS_COMMAND_COUNT);
    return &command_rows[command];
}

_Static_assert(KRS_COMMAND_COUNT < 31, "a set of commands and LIVE share 32 bits");

bool krs_option_is_for(krs_option option, krs_command command)
{
    const uint32_t commands = krs_option_row_of(option)->commands;
    return (commands >> command & 1u) != 0 ||
           (command == KRS_COMMAND_CONFIG && (commands & ON(SERVE)) != 0);
}

bool krs_option_is_live(krs_option option)
{
    return (krs_option_row_of(option)->commands & LIVE) != 0;
}

krs_option krs_option_of_name(krs_command command, krs_str name)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (krs_option_is_for((krs_option)i, command) &&
            krs_str_equal(name, krs_str_of(option_rows[i].name))) {
            return (krs_option)i;
        }
    }
    return KRS_OPTION_COUNT;
}

krs_str krs_option_nearest(krs_command command, krs_str name)
{
    krs_nearest nearest = {.word = name};
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (krs_option_is_for((krs_option)i, command)) {
            krs_nearest_offer(&nearest, krs_str_of(option_rows[i].name));
        }
    }
    return nearest.best;
}

void krs_option_variable(krs_option option, char out[KRS_OPTION_VARIABLE_BYTES])
{
    (void)snprintf(out, KRS_OPTION_VARIABLE_BYTES, "KRS_%s", krs_option_row_of(option)->name);
    for (char *c = out; *c; c++) {
        if (*c == '-') {
            *c = '_';
        } else if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}

krs_command krs_command_of_name(krs_str name)
{
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        if (krs_str_equal(name, krs_str_of(command_rows[c].name))) {
            return (krs_command)c;
        }
    }
    return KRS_COMMAND_COUNT;
}

/* Power of 1024 of a size suffix ("", K, M, G, T, optionally followed by B or iB), or -1. */
static int suffix_power(const char *suffix)
{
    static const char letters[] = "KMGT";
    if (*suffix == '\0') {
        return 0;
    }
    const char *letter = strchr(letters, *suffix & ~0x20);
    if (!letter) {
        return -1;
    }
    const char *rest = suffix + 1;
    const bool is_whole = *rest == '\0' || strcmp(rest, "B") == 0 || strcmp(rest, "iB") == 0;
    return is_whole ? (int)(letter - letters) + 1 : -1;
}

static bool read_int(const char *text, bool has_suffix, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    if (end == text || errno != 0) {
        return false;
    }
    const int power = has_suffix ? suffix_power(end) : (*end == '\0' ? 0 : -1);
    if (power < 0) {
        return false;
    }
    return !__builtin_mul_overflow(n, (int64_t)1 << (10 * power), out);
}

static bool read_real(const char *text, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

static bool read_bool(const char *text, int64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (int64_t)(i & 1u);
            return true;
        }
    }
    return false;
}

/* Is text one of the words of "a|b|c"? */
static bool is_choice(const char *text, const char *words)
{
    const size_t n = strlen(text);
    while (n > 0) {
        const size_t n_word = strcspn(words, "|");
        if (n_word == n && memcmp(words, text, n) == 0) {
            return true;
        }
        if (words[n_word] == '\0') {
            return false;
        }
        words += n_word + 1;
    }
    return false;
}

static bool in_range(const krs_option_row *row, double x)
{
    return x >= row->min && x <= row->max;
}

/* Fill value's numbers from text; false when text is not of the row's type and range. */
static bool read_value(const krs_option_row *row, const char *text, krs_option_value *value)
{
    switch (row->type) {
    case KRS_OPTION_TYPE_TEXT:
    case KRS_OPTION_TYPE_LIST:
        return true;
    case KRS_OPTION_TYPE_CHOICE:
        return is_choice(text, row->metavar);
    case KRS_OPTION_TYPE_BOOL:
        return read_bool(text, &value->integer);
    case KRS_OPTION_TYPE_REAL:
        return read_real(text, &value->real) && in_range(row, value->real);
    default:
        return read_int(text, row->type == KRS_OPTION_TYPE_BYTES, &value->integer) &&
               in_range(row, (double)value->integer);
    }
}

static krs_status fail_value(const krs_option_row *row, const char *text, krs_error *err)
{
    const char *name = row->name;
    switch (row->type) {
    case KRS_OPTION_TYPE_CHOICE:
        return krs_fail_field(err, KRS_EINVAL, name, "--%s: \"%s\", want one of %s", name, text,
                              row->metavar);
    case KRS_OPTION_TYPE_BOOL:
        return krs_fail_field(err, KRS_EINVAL, name, "--%s: \"%s\", want true or false", name,
                              text);
    case KRS_OPTION_TYPE_REAL:
        return krs_fail_field(err, KRS_EINVAL, name, "--%s: \"%s\", want a number in %g..%g", name,
                              text, row->min, row->max);
    default:
        return krs_fail_field(err, KRS_EINVAL, name,
                              "--%s: \"%s\", want a whole number in %.0f..%.0f", name, text,
                              row->min, row->max);
    }
}

krs_status krs_config_set(krs_config *config, krs_option option, const char *text,
                          krs_source source, krs_error *err)
{
    const krs_option_row *row = krs_option_row_of(option);
    krs_option_value value = {.source = source, .text = text};
    if (!read_value(row, text, &value)) {
        return fail_value(row, text, err);
    }
    krs_option_value *slot = &config->values[option];
    if (source < slot->source) {
        return KRS_OK;
    }
    if (row->type == KRS_OPTION_TYPE_LIST) {
        config->n_stops = source > slot->source ? 0 : config->n_stops;
        if (config->n_stops == KRS_CONFIG_MAX_LIST) {
            return krs_fail_field(err, KRS_EINVAL, row->name, "--%s: more than %d of them",
                                  row->name, KRS_CONFIG_MAX_LIST);
        }
        config->stops[config->n_stops++] = text;
    }
    *slot = value;
    return KRS_OK;
}

void krs_config_init(krs_config *config, krs_command command)
{
    *config = (krs_config){.command = command};
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (option_rows[i].value) {
            /* A default that does not pass its own check is a bug in the table. */
            KRS_CHECK(krs_config_set(config, (krs_option)i, option_rows[i].value,
                                     KRS_SOURCE_DEFAULT, NULL) == KRS_OK);
        }
    }
}

const char *krs_config_text(const krs_config *config, krs_option option)
{
    return config->values[option].text;
}

int64_t krs_config_int(const krs_config *config, krs_option option)
{
    return config->values[option].integer;
}

double krs_config_real(const krs_config *config, krs_option option)
{
    return config->values[option].real;
}

bool krs_config_bool(const krs_config *config, krs_option option)
{
    return config->values[option].integer != 0;
}

bool krs_config_is_given(const krs_config *config, krs_option option)
{
    return config->values[option].source > KRS_SOURCE_DEFAULT;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* config->stops belong to the one LIST option. */
static bool is_same_list(const krs_config *a, const krs_config *b)
{
    bool is_same = a->n_stops == b->n_stops;
    for (uint32_t i = 0; is_same && i < a->n_stops; i++) {
        is_same = is_same_text(a->stops[i], b->stops[i]);
    }
    return is_same;
}

bool krs_config_is_same(const krs_config *a, const krs_config *b, krs_option option)
{
    const krs_option_value *x = &a->values[option];
    const krs_option_value *y = &b->values[option];
    switch (krs_option_row_of(option)->type) {
    case KRS_OPTION_TYPE_TEXT:
    case KRS_OPTION_TYPE_CHOICE:
        return is_same_text(x->text, y->text);
    case KRS_OPTION_TYPE_LIST:
        return is_same_list(a, b);
    case KRS_OPTION_TYPE_REAL:
        return !(x->real < y->real) && !(x->real > y->real);
    default:
        return x->integer == y->integer;
    }
}

static krs_status show_list(const krs_config *config, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < config->n_stops; i++) {
        status = krs_buf_printf(out, "%s%s", i > 0 ? ", " : "", config->stops[i]);
    }
    return status;
}

krs_status krs_config_show(const krs_config *config, krs_option option, krs_buf *out)
{
    const krs_option_value *value = &config->values[option];
    if (value->source == KRS_SOURCE_UNSET) {
        return KRS_OK;
    }
    switch (krs_option_row_of(option)->type) {
    case KRS_OPTION_TYPE_LIST:
        return show_list(config, out);
    case KRS_OPTION_TYPE_BOOL:
        return krs_buf_append_str(out, krs_str_of(value->integer ? "true" : "false"));
    case KRS_OPTION_TYPE_REAL:
        return krs_buf_printf(out, "%.15g", value->real);
    case KRS_OPTION_TYPE_INT:
    case KRS_OPTION_TYPE_BYTES:
        return krs_buf_printf(out, "%lld", (long long)value->integer);
    default:
        return krs_buf_append_str(out, krs_str_of(value->text));
    }
}
