/* text/scan.c - see scan.h: the table of known expressions. */
#include "text/scan_priv.h"

#define MARKED (KRS_CHAR_LETTER | KRS_CHAR_MARK)

/* The models are those whose files carry the expression; many others share them. */
static const krs_scan_rule rules[] = {
    /* GPT-2, GPT-NeoX, StarCoder 2, SmolLM 2, Granite: also ByteLevel with use_regex */
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_gpt2, KRS_CHAR_LETTER, 0, true, false},
    /* Llama 3, SmolLM 3, Phi 4, GLM 4, OLMo 2, GPT-4 */
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_cl100k, KRS_CHAR_LETTER, 3, true, false},
    /* Qwen 2, 2.5, 3 */
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_cl100k, KRS_CHAR_LETTER, 1, true, false},
    /* Qwen 3.5 */
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
     "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_cl100k, MARKED, 1, true, false},
    /* gpt-oss, GPT-4o, Llama 4 */
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_o200k, KRS_CHAR_LETTER, 3, true, true},
    /* Mistral Nemo and later (Tekken) */
    {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
     "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
     "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_o200k, KRS_CHAR_LETTER, 1, false, true},
    /* DeepSeek V3, R1: three splits, one after the other */
    {"\\p{N}{1,3}", krs_scan_fill_numbers, 0, 3, false, false},
    {"[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
     krs_scan_fill_han_kana, 0, 0, false, false},
    {"[!\"#$%&'()*+,\\-./"
     ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]"
     "+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     krs_scan_fill_deepseek, MARKED, 0, false, false},
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

/* The same, if a CR or LF that stands in a for itself counts as the escape that b has. */
static bool is_same(krs_str a, const char *b)
{
    for (size_t i = 0; i < a.len; i++) {
        const char c = a.ptr[i];
        if ((c == '\r' || c == '\n') && *b == '\\') {
            b++;
            if (*b != (c == '\r' ? 'r' : 'n')) {
                return false;
            }
        } else if (c != *b) {
            return false;
        }
        b++;
    }
    return *b == '\0';
}

krs_status krs_scan_new(krs_str expression, const krs_alloc *alloc, krs_scan **out)
{
    *out = NULL;
    size_t i = 0;
    while (i < N_RULES && !is_same(expression, rules[i].expression)) {
        i++;
    }
    if (i == N_RULES) {
        return KRS_ENOENT;
    }
    krs_scan *scan = krs_alloc_zero(alloc, sizeof(*scan));
    krs_char_classes *classes = krs_char_classes_new(alloc);
    if (!scan || !classes) {
        krs_alloc_free(alloc, scan);
        krs_alloc_free(alloc, classes);
        return KRS_ENOMEM;
    }
    *scan = (krs_scan){alloc, &rules[i], classes};
    *out = scan;
    return KRS_OK;
}

void krs_scan_free(krs_scan *scan)
{
    if (scan) {
        krs_alloc_free(scan->alloc, scan->classes);
        krs_alloc_free(scan->alloc, scan);
    }
}

size_t krs_scan_fill(const krs_scan *scan, krs_str text, size_t *at, krs_span *out, size_t max)
{
    return scan->rule->fill(scan, text, at, out, max);
}

const char *krs_scan_expression(size_t i)
{
    return i < N_RULES ? rules[i].expression : NULL;
}
