/* grammar/schema_format.c - formats of strings, as patterns.
 *
 * A format that is known is asserted, although 2020-12 lets it be a mere annotation: who writes it wants it. One that
 * is not known is an annotation, as the standard says. The few that are known and that no regex can tell are refused.
 *
 * `all` is every valid text, or a superset of them where only decoding would tell (the Punycode of host names); then
 * `sure` leaves out what is not certain. `out` is what is written, where that is less: the plain ones, which every
 * validator takes (no leap seconds, no quoted mailbox).
 *
 * "url" is no format of the standard: every string has it, but what is written is one.
 *
 * Source: RFC 3339 and its appendix A; RFC 5321 4.1.2; RFC 1123 2.1; RFC 4291 2.2; RFC 3986 appendix A; RFC 3987 2.2;
 * RFC 4122; RFC 6901; draft-bhutton-relative-json-pointer-00. */
#include "base/buf.h"
#include "base/check.h"
#include "grammar/builder_priv.h"
#include "grammar/pattern_priv.h"
#include "grammar/schema_priv.h"

/* Pieces of the patterns below; <name> stands for one. */
static const struct {
    const char *name;
    const char *text;
} pieces[] = {
    {"hour", "(?:[01]\\d|2[0-3])"},
    {"minute", "[0-5]\\d"},
    {"date", "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])"
             "|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))"
             "|(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])"
             "|(?:[02468][048]|[13579][26])00)-02-29)"},
    {"time", "<hour>:<minute>:<minute>(?:\\.\\d+)?(?:[zZ]|[+-]<hour>:<minute>)"},
    {"time-out", "<hour>:<minute>:<minute>(?:\\.\\d{1,9})?(?:Z|[+-]<hour>:<minute>)"},
    {"octet", "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"},
    {"ipv4", "<octet>(?:\\.<octet>){3}"},
    {"h16", "[0-9a-fA-F]{1,4}"},
    {"ls32", "(?:<h16>:<h16>|<ipv4>)"},
    {"ipv6", "(?:(?:<h16>:){6}<ls32>|::(?:<h16>:){5}<ls32>|(?:<h16>)?::(?:<h16>:){4}<ls32>"
             "|(?:(?:<h16>:){0,1}<h16>)?::(?:<h16>:){3}<ls32>"
             "|(?:(?:<h16>:){0,2}<h16>)?::(?:<h16>:){2}<ls32>"
             "|(?:(?:<h16>:){0,3}<h16>)?::<h16>:<ls32>|(?:(?:<h16>:){0,4}<h16>)?::<ls32>"
             "|(?:(?:<h16>:){0,5}<h16>)?::<h16>|(?:(?:<h16>:){0,6}<h16>)?::)"},
    {"label", "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"},
    {"host", "<label>(?:\\.<label>)*"},
    {"any-host", "(?=.{1,253}$)<host>"},
    /* No label with hyphens third and fourth: Punycode (xn--), which would have to be decoded, or reserved. */
    {"plain-host", "(?=.{1,253}$)(?!(?:.*\\.)?[^.][^.]--)<host>"},
    {"atom", "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"},
    {"dotted", "<atom>(?:\\.<atom>)*"},
    {"quoted", "\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\""},
    {"address", "\\[(?:<ipv4>|[iI][pP][vV]6:<ipv6>)\\]"},
    {"mail-out", "<dotted>@(?!(?:.*\\.)?[^.][^.]--)<label>(?:\\.<label>){1,3}"},
    {"u-atom", "(?:[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]|[^\\x00-\\x7f])+"},
    {"u-dotted", "<u-atom>(?:\\.<u-atom>)*"},
    {"u-quoted", "\"(?:[ !#-\\[\\]-~]|[^\\x00-\\x7f]|\\\\[ -~])*\""},
    {"u-letter", "(?:[a-zA-Z0-9]|[^\\x00-\\x7f])"},
    {"u-label", "<u-letter>(?:(?:<u-letter>|-)*<u-letter>)?"},
    {"pct", "%[0-9a-fA-F]{2}"},
    {"auth", "(?:(?:[a-zA-Z0-9._~!$&'()*+,;=:-]|<pct>)*@)?"
             "(?:\\[(?:<ipv6>|[vV][0-9a-fA-F]+\\.[a-zA-Z0-9._~!$&'()*+,;=:-]+)\\]"
             "|(?:[a-zA-Z0-9._~!$&'()*+,;=-]|<pct>)*)(?::\\d*)?"},
    {"pchar", "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|<pct>)"},
    {"pchar-nc", "(?:[a-zA-Z0-9._~!$&'()*+,;=@-]|<pct>)"},
    {"tail", "(?:\\?(?:<pchar>|[/?])*)?(?:#(?:<pchar>|[/?])*)?"},
    {"rooted", "//<auth>(?:/<pchar>*)*|/(?:<pchar>+(?:/<pchar>*)*)?"},
    {"uri", "[a-zA-Z][a-zA-Z0-9+.-]*:(?:<rooted>|<pchar>+(?:/<pchar>*)*|)<tail>"},
    /* Some validators want something after the colon. */
    {"uri-out", "[a-zA-Z][a-zA-Z0-9+.-]*:(?:<rooted>|<pchar>+(?:/<pchar>*)*)<tail>"},
    {"plain-label", "[a-z0-9]{1,20}(?:-[a-z0-9]{1,20})?"},
    {"relative", "(?:<rooted>|<pchar-nc>+(?:/<pchar>*)*|)<tail>"},
    /* RFC 3987's ucschar. */
    {"ucs", "[\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef\\u{10000}-\\u{1fffd}"
            "\\u{20000}-\\u{2fffd}\\u{30000}-\\u{3fffd}\\u{e1000}-\\u{efffd}]"},
    {"i-auth", "(?:(?:[a-zA-Z0-9._~!$&'()*+,;=:-]|<pct>|<ucs>)*@)?"
               "(?:\\[(?:<ipv6>|[vV][0-9a-fA-F]+\\.[a-zA-Z0-9._~!$&'()*+,;=:-]+)\\]|(?:[a-zA-Z0-9._"
               "~!$&'()*+,;=-]|<pct>|<ucs>)*)(?::\\d*)?"},
    {"i-char", "(?:<pchar>|<ucs>)"},
    {"i-char-nc", "(?:<pchar-nc>|<ucs>)"},
    {"i-private", "[\\ue000-\\uf8ff\\u{f0000}-\\u{ffffd}\\u{100000}-\\u{10fffd}]"},
    {"i-tail", "(?:\\?(?:<i-char>|<i-private>|[/?])*)?(?:#(?:<i-char>|[/?])*)?"},
    {"i-rooted", "//<i-auth>(?:/<i-char>*)*|/(?:<i-char>+(?:/<i-char>*)*)?"},
    {"iri", "[a-zA-Z][a-zA-Z0-9+.-]*:(?:<i-rooted>|<i-char>+(?:/<i-char>*)*|)<i-tail>"},
    {"i-relative", "(?:<i-rooted>|<i-char-nc>+(?:/<i-char>*)*|)<i-tail>"},
    {"pointer", "(?:/(?:[^/~]|~[01])*)*"},
    {"duration-time", "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)"},
    {"duration-date", "(?:\\d+D|\\d+M(?:\\d+D)?|\\d+Y(?:\\d+M(?:\\d+D)?)?)"},
};

typedef struct format {
    const char *name;
    const char *all;  /* NULL: refused */
    const char *out;  /* to write; NULL: as sure */
    const char *sure; /* every text that is certainly valid; NULL: as all */
} format;

static const format formats[] = {
    {"date", "<date>", NULL, NULL},
    {"time", "<time>", "<time-out>", NULL},
    {"date-time", "<date>[tT]<time>", "<date>T<time-out>", NULL},
    {"duration", "P(?:<duration-date>(?:<duration-time>)?|<duration-time>|\\d+W)", NULL, NULL},
    {"email", "(?:<dotted>|<quoted>)@(?:<any-host>|<address>)", "<mail-out>",
     "(?:<dotted>|<quoted>)@(?:<plain-host>|<address>)"},
    {"idn-email", "(?:<u-dotted>|<u-quoted>)@(?:<u-label>(?:\\.<u-label>)*|<address>)",
     "<mail-out>", "(?:<u-dotted>|<u-quoted>)@(?:<plain-host>|<address>)"},
    {"hostname", "<any-host>", NULL, "<plain-host>"},
    {"ipv4", "<ipv4>", NULL, NULL},
    {"ipv6", "<ipv6>", NULL, NULL},
    {"uri", "<uri>", "<uri-out>", NULL},
    {"url", ".*", "https?://(?:<plain-label>\\.){1,3}[a-z]{2,10}(?:/[a-zA-Z0-9._~-]*){0,8}", ".*"},
    {"uri-reference", "<uri>|<relative>", NULL, NULL},
    {"iri", "<iri>", NULL, NULL},
    {"iri-reference", "<iri>|<i-relative>", NULL, NULL},
    {"uuid", "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", NULL, NULL},
    {"json-pointer", "<pointer>", NULL, NULL},
    {"relative-json-pointer", "(?:0|[1-9]\\d*)(?:#|<pointer>)", NULL, NULL},
    {"idn-hostname", NULL, NULL, NULL},
    {"uri-template", NULL, NULL, NULL},
    {"regex", NULL, NULL, NULL},
};

#define N_FORMATS (sizeof(formats) / sizeof(*formats))
_Static_assert(N_FORMATS <= KRS_SCHEMA_MAX_FORMATS, "room for every format's language");

static const char *piece(krs_str name)
{
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        if (krs_str_equal(name, krs_str_of(pieces[i].name))) {
            return pieces[i].text;
        }
    }
    return NULL;
}

/* Append text with its pieces put in. They nest six deep. */
static krs_status expand(krs_buf *out, krs_str text)
{
    while (text.len > 0) {
        const size_t open = krs_str_find(text, KRS_STR("<"), 0);
        const size_t n = open == SIZE_MAX ? text.len : open;
        krs_status status = krs_buf_append(out, text.ptr, n);
        text = (krs_str){text.ptr + n, text.len - n};
        if (status == KRS_OK && text.len > 0) {
            const size_t close = krs_str_find(text, KRS_STR(">"), 0);
            KRS_CHECK(close != SIZE_MAX);
            const char *inner = piece((krs_str){text.ptr + 1, close - 1});
            KRS_CHECK(inner);
            status = expand(out, krs_str_of(inner));
            text = (krs_str){text.ptr + close + 1, text.len - close - 1};
        }
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

static krs_regex compiled(krs_schema *s, const json_t *node, krs_str pattern)
{
    const krs_pattern_options options = {s->spelling, false};
    const krs_pattern_flags flags = {.is_dot_all = true};
    krs_regex r = krs_regex_none(s->b);
    krs_error why = KRS_ERROR_INIT;
    krs_buf text;
    krs_buf_init(&text, s->b->alloc, KRS_GRAMMAR_PATTERN_MAX_BYTES);
    krs_status status = s->status == KRS_OK ? expand(&text, pattern) : KRS_ECANCELLED;
    if (status == KRS_OK) {
        status = krs_pattern_compile(s->b, krs_buf_view(&text), &options, flags, &r, &why);
    }
    krs_buf_deinit(&text);
    if (status == KRS_ENOMEM) {
        krs_schema_no_memory(s);
    } else if (status != KRS_OK) {
        krs_schema_refuse(s, node, "format", "%s", why.message);
    }
    return r;
}

/* all, and leap seconds, which are the last of a day in UTC: seconds of 60. An offset shifts both hour and minute, which
 * would have to be told in pairs; such texts are in `upper` and not accepted. */
static krs_regex with_leap_seconds(krs_schema *s, const json_t *node, const format *f,
                                   krs_regex all, krs_str leap)
{
    const bool is_time = strcmp(f->name, "time") == 0;
    if (!is_time && strcmp(f->name, "date-time") != 0) {
        return all;
    }
    krs_regex seconds = compiled(s, node, leap);
    if (!is_time) {
        seconds = krs_regex_cat2(s->b, compiled(s, node, KRS_STR("<date>[tT]")), seconds);
    }
    return krs_regex_or2(s->b, all, seconds);
}

static krs_language language_of(krs_schema *s, const json_t *node, const format *f)
{
    const krs_regex all = compiled(s, node, krs_str_of(f->all));
    krs_language made = {.upper =
                             with_leap_seconds(s, node, f, all, KRS_STR("<hour>:<minute>:60.*"))};
    made.out = f->sure ? compiled(s, node, krs_str_of(f->sure))
                       : with_leap_seconds(s, node, f, all,
                                           KRS_STR("23:59:60(?:\\.\\d+)?(?:[zZ]|[+-]00:00)"));
    if (f->out && !s->options.is_any_spelling) {
        made.out = compiled(s, node, krs_str_of(f->out));
    }
    return made;
}

bool krs_schema_format(krs_schema *s, const json_t *node, krs_str name, krs_language *out)
{
    size_t i = 0;
    while (i < N_FORMATS && !krs_str_equal(name, krs_str_of(formats[i].name))) {
        i++;
    }
    if (i == N_FORMATS) {
        return false;
    }
    if (!formats[i].all) {
        krs_schema_refuse(s, node, "format", "%s is not supported", formats[i].name);
        return false;
    }
    if ((s->known_formats >> i & 1) == 0) {
        s->formats[i] = language_of(s, node, &formats[i]);
        s->known_formats |= 1u << i; /* wrong ones after a failure, which stands */
    }
    *out = s->formats[i];
    return true;
}
