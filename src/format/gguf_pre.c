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
#define DEEPSEEK_LETTERS                                                                           \
    "\\s?[\\x{41}-\\x{5A}\\x{61}-\\x{7A}\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}"     \
    "\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}"         \
    "\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}" \
    "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}"    \
    "\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}"                 \
    "\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}"                 \
    "\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}"         \
    "\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}"        \
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}"                 \
    "\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}"         \
    "\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}"         \
    "\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}"                   \
    "\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}"                  \
    "\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}"                 \
    "\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}"                 \
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}"             \
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}"         \
    "\\x{1E900}-\\x{1E943}]+"

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
