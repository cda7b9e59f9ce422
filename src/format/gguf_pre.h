/* format/gguf_pre.h - how text is cut before byte-pair encoding, by the names GGUF files use.
 *
 * A tokenizer.json spells its pre-tokeniser out; a GGUF file keeps only a name for it
 * (tokenizer.ggml.pre), and the reader has to know. A name that is not in this table is refused: a wrong
 * cut gives plausible, wrong ids.
 *
 * Thread: constant table.  Source: the tokenizer.json of the models each name stands for; names from
 * llama.cpp at b6000 .. b6900, llama-vocab.cpp. */
#pragma once

#include "base/str.h"

#define GGUF_PRE_MAX_STEPS 8

typedef enum gguf_pre_kind {
    GGUF_PRE_END,
    GGUF_PRE_SPLIT,       /* by a regex, matches apart */
    GGUF_PRE_GPT2,        /* ByteLevel with GPT-2's regex */
    GGUF_PRE_BYTES,       /* ByteLevel without one */
    GGUF_PRE_DIGITS,      /* each digit apart */
    GGUF_PRE_NUMBERS,     /* runs of digits apart */
    GGUF_PRE_PUNCTUATION, /* runs of punctuation apart */
} gguf_pre_kind;

typedef struct gguf_pre_step {
    gguf_pre_kind kind;
    const char *regex;
} gguf_pre_step;

typedef struct gguf_pre {
    gguf_pre_step steps[GGUF_PRE_MAX_STEPS];
    bool has_nfc;          /* text is brought into NFC first */
    bool is_whole_word_ok; /* ignore_merges: a piece that is a token needs no merging */
    bool adds_bos;         /* unless the file says */
} gguf_pre;

/* NULL: no such name. */
const gguf_pre *krs_gguf_pre_find(krs_str name);
