/* os/term.h - is a person looking?  Thread: any.  Source: isatty(3), TIOCGWINSZ. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Is descriptor fd (0 input, 1 output, 2 errors) a terminal? */
bool krs_os_is_terminal(int fd);

/* Columns of the terminal on fd; 80 when it is none or does not say. */
uint32_t krs_os_terminal_columns(int fd);
