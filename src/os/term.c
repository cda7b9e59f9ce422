/* os/term.c - see term.h. */
#define _DEFAULT_SOURCE /* TIOCGWINSZ */
#include "os/term.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80 /* what terminals have been since the VT100 */

bool krs_os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

uint32_t krs_os_terminal_columns(int fd)
{
    struct winsize size = {0};
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}
