/* support/sanitized.h - whether this build is instrumented, where everything takes ten times as long: a test then
 * leaves out what repeats the same code over the same memory and only computes something else. */
#pragma once

#include <stdbool.h>

#if defined(__SANITIZE_THREAD__)
enum { KRS_IS_TSAN = true, KRS_IS_SANITIZED = true };
#elif defined(__SANITIZE_ADDRESS__)
enum { KRS_IS_TSAN = false, KRS_IS_SANITIZED = true };
#else
enum { KRS_IS_TSAN = false, KRS_IS_SANITIZED = false };
#endif
