/* apps/krs/help.c - help text, written by the tables that run the program. */
#include "command.h"

#include <stdio.h>

#define COLUMN 30 /* where explanations start; fits "  --repetition-penalty X" */

static bool is_flag(const krs_option_row *row)
{
    return row->type == KRS_OPTION_TYPE_BOOL;
}

/* A flag that is on unless denied is shown the way one uses it: --no-name. */
static bool is_on(const krs_option_row *row)
{
    return is_flag(row) && row->value && strcmp(row->value, "true") == 0;
}

static void print_option(krs_option option)
{
    const krs_option_row *row = krs_option_row_of(option);
    char left[KRS_HELP_OPTION_BYTES];
    const char letter[] = {'-', row->letter, ',', ' ', '\0'};
    const int n =
        snprintf(left, sizeof(left), "  %s--%s%s%s%s", row->letter ? letter : "    ",
                 is_on(row) ? "no-" : "", row->name, row->metavar[0] ? " " : "", row->metavar);
    (void)printf("%-*s%s%s", COLUMN, left, n >= COLUMN ? " " : "", row->help);
    const bool has_default = row->value && !is_flag(row) && row->value[0];
    if (has_default) {
        (void)printf(" (default %s)", row->value);
    }
    (void)printf("\n");
}

void krs_help_command(krs_command command)
{
    const krs_command_row *row = krs_command_row_of(command);
    (void)printf("usage: krs %s%s%s [options]\n\n%s\n\n", row->name, row->arguments[0] ? " " : "",
                 row->arguments, row->summary);
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (krs_option_is_for((krs_option)i, command)) {
            print_option((krs_option)i);
        }
    }
    (void)printf("\nEvery option can also be set in the environment: --max-tokens is "
                 "KRS_MAX_TOKENS.\n");
}

void krs_help_all(void)
{
    (void)printf("usage: krs COMMAND [arguments] [options]\n\n");
    for (unsigned i = 0; i < KRS_COMMAND_COUNT; i++) {
        const krs_command_row *row = krs_command_row_of((krs_command)i);
        (void)printf("  %-12s %s\n", row->name, row->summary);
    }
    (void)printf("\nkrs COMMAND --help lists a command's options; krs man is the manual.\n");
}
