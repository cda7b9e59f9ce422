/* base/check.h - for invariants of ours only; never for what a peer, a file or the machine did.
 *
 * KRS_CHECK is on in every build: a broken invariant in a server that goes on is a wrong answer to
 * somebody. KRS_DCHECK is for hot loops and is compiled out with NDEBUG.
 *
 * Thread: any. */
#pragma once

/* Print "file:line: check failed: expression" on stderr and abort. */
_Noreturn void krs_check_failed(const char *expression, const char *file, int line);

#define KRS_CHECK(expression)                                                                      \
    ((expression) ? (void)0 : krs_check_failed(#expression, __FILE__, __LINE__))

#ifdef NDEBUG
#define KRS_DCHECK(expression) ((void)sizeof((expression) ? 1 : 0))
#else
#define KRS_DCHECK(expression) KRS_CHECK(expression)
#endif
