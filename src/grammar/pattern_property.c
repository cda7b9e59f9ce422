/* grammar/pattern_property.c - \p{..}: sets by Unicode's general category, from utf8proc.
 *
 * Planes 4 to 13 have no characters and planes 15 and 16 are private as a whole, so only the first four and the
 * fourteenth are looked through; that takes about a millisecond. Scripts and other properties are refused: the
 * library does not have them. */
#include "grammar/pattern_priv.h"

#include <utf8proc.h>

typedef struct category {
    const char *name;
    const char *long_name;
    uint32_t bits; /* 1 << utf8proc_category_t */
} category;

#define BIT(c)      (1u << UTF8PROC_CATEGORY_##c)
#define LETTERS     (BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO))
#define OTHERS      (BIT(CN) | BIT(CC) | BIT(CF) | BIT(CS) | BIT(CO))
#define PUNCTUATION (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))

static const category categories[] = {
    {"L", "Letter", LETTERS},
    {"Lu", "Uppercase_Letter", BIT(LU)},
    {"Ll", "Lowercase_Letter", BIT(LL)},
    {"Lt", "Titlecase_Letter", BIT(LT)},
    {"LC", "Cased_Letter", BIT(LU) | BIT(LL) | BIT(LT)},
    {"Lm", "Modifier_Letter", BIT(LM)},
    {"Lo", "Other_Letter", BIT(LO)},
    {"M", "Mark", BIT(MN) | BIT(MC) | BIT(ME)},
    {"Mn", "Nonspacing_Mark", BIT(MN)},
    {"Mc", "Spacing_Mark", BIT(MC)},
    {"Me", "Enclosing_Mark", BIT(ME)},
    {"N", "Number", BIT(ND) | BIT(NL) | BIT(NO)},
    {"Nd", "Decimal_Number", BIT(ND)},
    {"Nl", "Letter_Number", BIT(NL)},
    {"No", "Other_Number", BIT(NO)},
    {"P", "Punctuation", PUNCTUATION},
    {"Pc", "Connector_Punctuation", BIT(PC)},
    {"Pd", "Dash_Punctuation", BIT(PD)},
    {"Ps", "Open_Punctuation", BIT(PS)},
    {"Pe", "Close_Punctuation", BIT(PE)},
    {"Pi", "Initial_Punctuation", BIT(PI)},
    {"Pf", "Final_Punctuation", BIT(PF)},
    {"Po", "Other_Punctuation", BIT(PO)},
    {"S", "Symbol", BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO)},
    {"Sm", "Math_Symbol", BIT(SM)},
    {"Sc", "Currency_Symbol", BIT(SC)},
    {"Sk", "Modifier_Symbol", BIT(SK)},
    {"So", "Other_Symbol", BIT(SO)},
    {"Z", "Separator", BIT(ZS) | BIT(ZL) | BIT(ZP)},
    {"Zs", "Space_Separator", BIT(ZS)},
    {"Zl", "Line_Separator", BIT(ZL)},
    {"Zp", "Paragraph_Separator", BIT(ZP)},
    {"C", "Other", OTHERS},
    {"Cc", "Control", BIT(CC)},
    {"Cf", "Format", BIT(CF)},
    {"Co", "Private_Use", BIT(CO)},
    {"Cn", "Unassigned", BIT(CN)},
    {"Any", "Any", ~0u},
    {"punct", "punct", PUNCTUATION},
    {"digit", "digit", BIT(ND)},
};

static void add_run(krs_pattern_reader *reader, krs_charset *set, uint32_t first, uint32_t end)
{
    if (first < end && reader->status == KRS_OK &&
        krs_charset_add(set, reader->arena, first, end - 1) != KRS_OK) {
        reader->status = krs_fail(reader->err, KRS_ENOMEM, "pattern: out of memory");
    }
}

/* Add the characters first .. end - 1 of these categories. */
static void add_plane(krs_pattern_reader *reader, krs_charset *set, uint32_t bits, uint32_t first,
                      uint32_t end)
{
    uint32_t run = end;
    for (uint32_t c = first; c < end; c++) {
        const bool is_in = (bits >> (unsigned)utf8proc_category((utf8proc_int32_t)c) & 1) != 0;
        if (is_in && run == end) {
            run = c;
        } else if (!is_in && run != end) {
            add_run(reader, set, run, c);
            run = end;
        }
    }
    add_run(reader, set, run, end);
}

static void add_categories(krs_pattern_reader *reader, krs_charset *set, uint32_t bits)
{
    add_plane(reader, set, bits, 0, 0x40000);
    if (bits & BIT(CN)) {
        add_run(reader, set, 0x40000, 0xE0000);
    }
    add_plane(reader, set, bits, 0xE0000, 0xE0200);
    if (bits & BIT(CN)) {
        add_run(reader, set, 0xE0200, 0xF0000);
    }
    add_plane(reader, set, bits, 0xFFFFE, 0x100000);
    add_plane(reader, set, bits, 0x10FFFE, 0x110000);
    if (bits & BIT(CO)) {
        add_run(reader, set, 0xF0000, 0xFFFFE);
        add_run(reader, set, 0x100000, 0x10FFFE);
    }
}

static krs_str read_name(krs_pattern_reader *reader)
{
    const char *begin = reader->left.ptr;
    uint32_t c;
    do {
        c = krs_pattern_peek(reader);
        if (c == UINT32_MAX || c > 0x7F) {
            krs_pattern_refuse(reader, "\\p wants {a property}");
            return (krs_str){NULL, 0};
        }
        (void)krs_pattern_read(reader);
    } while (c != '}');
    const krs_str name = {begin, (size_t)(reader->left.ptr - begin) - 1};
    const size_t equals = krs_str_find(name, KRS_STR("="), 0);
    if (equals == SIZE_MAX) {
        return name;
    }
    const krs_str key = {name.ptr, equals};
    if (!krs_str_equal(key, KRS_STR("gc")) && !krs_str_equal(key, KRS_STR("General_Category"))) {
        krs_pattern_refuse(reader, "\\p{..=..}: only general categories are supported");
    }
    return (krs_str){name.ptr + equals + 1, name.len - equals - 1};
}

void krs_pattern_read_property(krs_pattern_reader *reader, bool is_negated, krs_charset *set)
{
    if (!krs_pattern_skip(reader, '{')) {
        krs_pattern_refuse(reader, "\\p wants {a property}");
        return;
    }
    const krs_str name = read_name(reader);
    if (krs_str_equal(name, KRS_STR("ASCII"))) {
        add_run(reader, set, is_negated ? 0x80 : 0, is_negated ? KRS_CHARS_MAX + 1 : 0x80);
        return;
    }
    for (size_t i = 0; i < sizeof(categories) / sizeof(*categories); i++) {
        if (krs_str_equal(name, krs_str_of(categories[i].name)) ||
            krs_str_equal(name, krs_str_of(categories[i].long_name))) {
            add_categories(reader, set, is_negated ? ~categories[i].bits : categories[i].bits);
            return;
        }
    }
    krs_pattern_refuse(reader, "this property is not supported");
}
