/* apps/krs/line.c - see line.h. libedit's own loop reads the characters we hand it, so that waiting for
 * one also waits for signals: they are blocked and arrive on a descriptor. Its readline() would instead
 * let Ctrl-C end the program. Input is UTF-8 whatever the locale says, as everything else here is. */
#define _POSIX_C_SOURCE 200809L /* strndup */
#include "line.h"

#include "base/utf8.h"
#include "os/wake.h"

#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_LINES 500 /* to walk back through with the arrow keys */

struct krs_line {
    const krs_os_signals *signals;
    EditLine *editor;
    History *history;
    char *text;    /* the last line; owned */
    int signal;    /* that ended the wait; 0 when none did */
    bool is_ended; /* end of input, as opposed to a signal */
};

/* el_get and el_set take their arguments as printf does: no types are checked. */
static krs_line *line_of(EditLine *editor)
{
    void *line = NULL;
    (void)el_get(editor, EL_CLIENTDATA, &line);
    return line;
}

static char *prompt(EditLine *editor)
{
    static char text[] = "> ";
    (void)editor;
    return text;
}

/* Of a well-formed character of length bytes, 1 .. 4. */
static wchar_t code_point(const char *bytes, size_t length)
{
    const unsigned lead = (unsigned char)bytes[0];
    wchar_t c = (wchar_t)(length == 1 ? lead : lead & (0x7Fu >> length));
    for (size_t i = 1; i < length; i++) {
        c = (wchar_t)(c << 6 | (bytes[i] & 0x3F));
    }
    return c;
}

/* A whole character of standard input, whose first byte is there; false at the end. A byte that begins
 * none is U+FFFD. */
static bool read_character(wchar_t *out)
{
    char bytes[4] = "";
    size_t n = 0;
    size_t length = 0;
    *out = 0xFFFD;
    while (length == 0) { /* four bytes that can go on are a character */
        const int c = getc(stdin);
        if (c == EOF) {
            return n > 0;
        }
        bytes[n++] = (char)c;
        length = krs_utf8_length(bytes, n);
        const bool can_go_on = n == 1 ? c >= 0xC2 && c <= 0xF4 : (c & 0xC0) == 0x80 && n < 4;
        if (length == 0 && !can_go_on) {
            return true;
        }
    }
    *out = code_point(bytes, length);
    return true;
}

/* What libedit calls for the next character: 1, or 0 when there will be none. */
static int next_character(EditLine *editor, wchar_t *out)
{
    krs_line *line = line_of(editor);
    const int fds[2] = {line->signals->fd, 0};
    if (krs_os_wait_readable(fds, 2, -1) == 0) {
        line->signal = krs_os_signals_take(line->signals);
        return 0;
    }
    line->is_ended = !read_character(out);
    return line->is_ended ? 0 : 1;
}

static void set_up(krs_line *line)
{
    HistEvent event;
    (void)el_set(line->editor, EL_CLIENTDATA, line);
    (void)el_set(line->editor, EL_PROMPT, prompt);
    (void)el_set(line->editor, EL_EDITOR, "emacs");
    (void)el_set(line->editor, EL_SIGNAL, 1); /* the terminal is put right around Ctrl-Z */
    (void)el_set(line->editor, EL_GETCFN, next_character);
    (void)history(line->history, &event, H_SETSIZE, HISTORY_LINES);
    (void)el_set(line->editor, EL_HIST, history, line->history);
}

krs_line *krs_line_new(const krs_os_signals *signals)
{
    krs_line *line = calloc(1, sizeof(*line));
    if (!line) {
        return NULL;
    }
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* what is read ahead would not wake the wait */
    line->signals = signals;
    line->editor = el_init("krs", stdin, stdout, stderr);
    line->history = history_init();
    if (!line->editor || !line->history) {
        krs_line_free(line);
        return NULL;
    }
    set_up(line);
    return line;
}

void krs_line_free(krs_line *line)
{
    if (!line) {
        return;
    }
    if (line->editor) {
        el_end(line->editor);
    }
    if (line->history) {
        history_end(line->history);
    }
    free(line->text);
    free(line);
}

static krs_line_end keep(krs_line *line, const char *typed, size_t n, const char **text)
{
    HistEvent event;
    n -= n > 0 && typed[n - 1] == '\n';
    free(line->text);
    line->text = strndup(typed, n);
    if (!line->text) {
        return KRS_LINE_OVER;
    }
    if (n > 0) {
        (void)history(line->history, &event, H_ENTER, line->text);
    }
    *text = line->text;
    return KRS_LINE_TYPED;
}

krs_line_end krs_line_read(krs_line *line, const char **text)
{
    int n = 0;
    line->signal = 0;
    const char *typed = el_gets(line->editor, &n);
    if (typed && n > 0 && line->signal == 0 && !line->is_ended) {
        return keep(line, typed, (size_t)n, text);
    }
    (void)fputc('\n', stdout); /* leave the line that was being typed */
    (void)fflush(stdout);
    return line->signal == SIGINT ? KRS_LINE_CLEARED : KRS_LINE_OVER;
}
