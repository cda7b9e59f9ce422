/* format/gguf_pre.c - see gguf_pre.h. */
#include "format/gguf_pre.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SPACES       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS_OF_TAIL(digits)                                                                      \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| "                                     \
                 "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES

/* DeepSeek's first models cut out runs of letters of scripts with case, by ranges. */
#define DEEPSEEK_LETTERS                                                                                                                                                                                  \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-"                                                                       \
    "Ჿᴀ-"                                                                                                                                                                                             \
    "ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-"                                                                                                                                                          \
    "Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-" \
    "ꚛꜢ-"                                                                                                                                                                                             \
    "ꝯ"                                                                                                                                                                                                 \
    "ꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-"                                                                                        \
    "𞥃]"                                                                                                                                                                                               \
    "+"

static const gguf_pre gpt2 = {.steps = {{GGUF_PRE_GPT2, NULL}}};
static const gguf_pre gpt2_nfc = {.steps = {{GGUF_PRE_GPT2, NULL}}, .has_nfc = true};
static const gguf_pre digits_gpt2 = {.steps = {{GGUF_PRE_DIGITS, NULL}, {GGUF_PRE_GPT2, NULL}}};

static const gguf_pre llama3 = {
    .steps = {{GGUF_PRE_SPLIT, WORDS_OF_TAIL("\\p{N}{1,3}")}, {GGUF_PRE_BYTES, NULL}},
    .is_whole_word_ok = true,
    .adds_bos = true};

static const gguf_pre cl100k = {
    .steps = {{GGUF_PRE_SPLIT, WORDS_OF_TAIL("\\p{N}{1,3}")}, {GGUF_PRE_BYTES, NULL}}};

static const gguf_pre qwen2 = {
    .steps = {{GGUF_PRE_SPLIT, WORDS_OF_TAIL("\\p{N}")}, {GGUF_PRE_BYTES, NULL}}, .has_nfc = true};

static const gguf_pre stablelm2 = {
    .steps = {{GGUF_PRE_SPLIT, WORDS_OF_TAIL("\\p{N}")}, {GGUF_PRE_BYTES, NULL}}};

static const gguf_pre deepseek_llm = {.steps = {{GGUF_PRE_SPLIT, "[\r\n]"},
                                                {GGUF_PRE_SPLIT, DEEPSEEK_LETTERS},
                                                {GGUF_PRE_SPLIT, "\\s?[!-/:-~！-／：-～‘-‟　-。]+"},
                                                {GGUF_PRE_SPLIT, "\\s+$"},
                                                {GGUF_PRE_SPLIT, "[一-龥ࠀ-一가-퟿]+"},
                                                {GGUF_PRE_DIGITS, NULL},
                                                {GGUF_PRE_BYTES, NULL}}};

static const gguf_pre deepseek_coder = {.steps = {{GGUF_PRE_SPLIT, "[\r\n]"},
                                                  {GGUF_PRE_SPLIT, "\\s?\\p{L}+"},
                                                  {GGUF_PRE_SPLIT, "\\s?\\p{P}+"},
                                                  {GGUF_PRE_SPLIT, "[一-龥ࠀ-一가-퟿]+"},
                                                  {GGUF_PRE_DIGITS, NULL},
                                                  {GGUF_PRE_BYTES, NULL}}};

static const gguf_pre deepseek_v3 = {
    .steps = {{GGUF_PRE_SPLIT, "\\p{N}{1,3}"},
              {GGUF_PRE_SPLIT, "[一-龥぀-ゟ゠-ヿ]+"},
              {GGUF_PRE_SPLIT, "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                               "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
                               " ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES},
              {GGUF_PRE_BYTES, NULL}}};

static const gguf_pre falcon = {.steps = {{GGUF_PRE_PUNCTUATION, NULL},
                                          {GGUF_PRE_GPT2, NULL},
                                          {GGUF_PRE_NUMBERS, NULL},
                                          {GGUF_PRE_SPLIT, "[0-9][0-9][0-9]"}}};

static const gguf_pre tekken = {
    .steps = {{GGUF_PRE_SPLIT, "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|"
                               "[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}| "
                               "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES},
              {GGUF_PRE_BYTES, NULL}},
    .is_whole_word_ok = true,
    .adds_bos = true};

static const gguf_pre o200k = {
    .steps = {{GGUF_PRE_SPLIT, "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "?|"
                               "[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" CONTRACTIONS
                               "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES},
              {GGUF_PRE_BYTES, NULL}}};

static const struct {
    const char *name;
    const gguf_pre *pre;
} names[] = {
    {"gpt-2", &gpt2},
    {"gpt2", &gpt2},
    {"phi-2", &gpt2},
    {"roberta-bpe", &gpt2},
    {"olmo", &gpt2},
    {"mpt", &gpt2_nfc},
    {"starcoder", &digits_gpt2},
    {"refact", &digits_gpt2},
    {"command-r", &digits_gpt2},
    {"smollm", &digits_gpt2},
    {"codeshell", &digits_gpt2},
    {"llama3", &llama3},
    {"llama-v3", &llama3},
    {"llama-bpe", &llama3},
    {"smaug-bpe", &cl100k},
    {"dbrx", &cl100k},
    {"qwen2", &qwen2},
    {"deepseek-r1-qwen", &qwen2},
    {"stablelm2", &stablelm2},
    {"deepseek-llm", &deepseek_llm},
    {"deepseek-coder", &deepseek_coder},
    {"deepseek-v3", &deepseek_v3},
    {"falcon", &falcon},
    {"tekken", &tekken},
    {"gpt-4o", &o200k},
    {"llama4", &o200k},
};

const gguf_pre *krs_gguf_pre_find(krs_str name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (krs_str_equal(name, krs_str_of(names[i].name))) {
            return names[i].pre;
        }
    }
    return NULL;
}
