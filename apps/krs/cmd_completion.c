/* apps/krs/cmd_completion.c - completion scripts for three shells, from the tables. */
#include "command.h"

#include <stdio.h>

static void print_words(krs_command command, const char *separator)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (krs_option_is_for((krs_option)i, command)) {
            (void)printf("--%s%s", krs_option_row_of((krs_option)i)->name, separator);
        }
    }
}

static void print_commands(void)
{
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        (void)printf("%s ", krs_command_row_of((krs_command)c)->name);
    }
}

/* The words of "a|b|c" with blanks between. */
static void print_choices(const char *choices)
{
    for (const char *c = choices; *c; c++) {
        (void)putchar(*c == '|' ? ' ' : *c);
    }
}

/* What may stand behind an option that has a choice; the same for every command that has the option. */
static void print_bash_choices(void)
{
    (void)printf("    case ${COMP_WORDS[COMP_CWORD-1]} in\n");
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option_row *row = krs_option_row_of((krs_option)i);
        if (row->type == KRS_OPTION_TYPE_CHOICE) {
            (void)printf("        --%s) words='", row->name);
            print_choices(row->metavar);
            (void)printf("' only=1 ;;\n");
        }
    }
    (void)printf("        help) words='");
    print_commands();
    (void)printf("' only=1 ;;\n    esac\n");
}

/* Bash's function serves zsh too, through bashcompinit. */
static void print_bash(void)
{
    (void)printf("_krs() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words= only=\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then only=1 words='");
    print_commands();
    (void)printf("'\n    else case ${COMP_WORDS[1]} in\n");
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        (void)printf("        %s) words='", krs_command_row_of((krs_command)c)->name);
        print_words((krs_command)c, " ");
        (void)printf("' ;;\n");
    }
    (void)printf("    esac; fi\n");
    print_bash_choices();
    (void)printf("    case $only:$cur in\n"
                 "        1:*|:-*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
                 "        *) local IFS=$'\\n'; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
                 "    esac\n}\ncomplete -o filenames -F _krs krs\n");
}

/* What fish is told of an option's value: nothing for a switch, the words of a choice, else that there is
 * one (a file, for all fish knows). */
static void print_fish_value(const krs_option_row *row)
{
    if (row->type == KRS_OPTION_TYPE_CHOICE) {
        (void)printf(" -xa \"");
        print_choices(row->metavar);
        (void)printf("\"");
    } else if (row->type != KRS_OPTION_TYPE_BOOL) {
        (void)printf(" -r");
    }
}

static void print_fish_command(krs_command command)
{
    const char *name = krs_command_row_of(command)->name;
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option_row *row = krs_option_row_of((krs_option)i);
        if (krs_option_is_for((krs_option)i, command)) {
            (void)printf("complete -c krs -n \"__fish_seen_subcommand_from %s\" -l %s", name,
                         row->name);
            print_fish_value(row);
            (void)printf(" -d \"%s\"\n", row->help);
        }
    }
}

static void print_fish(void)
{
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        const krs_command_row *row = krs_command_row_of((krs_command)c);
        (void)printf("complete -c krs -n __fish_use_subcommand -a %s -d \"%s\"\n", row->name,
                     row->summary);
        print_fish_command((krs_command)c);
    }
}

int krs_cmd_completion(const krs_config *config)
{
    const char *shell = config->positionals[0];
    if (strcmp(shell, "bash") == 0) {
        print_bash();
    } else if (strcmp(shell, "zsh") == 0) {
        (void)printf("autoload -U +X bashcompinit && bashcompinit\n");
        print_bash();
    } else if (strcmp(shell, "fish") == 0) {
        print_fish();
    } else {
        krs_error err = KRS_ERROR_INIT;
        (void)krs_fail(&err, KRS_EINVAL, "completion: \"%s\", want bash, zsh or fish", shell);
        return krs_say_error(config, &err);
    }
    return krs_say_flush();
}
