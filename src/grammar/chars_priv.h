/* grammar/chars_priv.h - the part of chars.h that its two files share. */
#pragma once

#include "grammar/chars.h"

/* One character of a tidy set as \uXXXX, above U+FFFF as a pair of them; digits in either case. */
krs_regex krs_chars_by_number(krs_grammar_builder *b, const krs_charset *set);
