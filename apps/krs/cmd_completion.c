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

/* Bash's function serves zsh too, through bashcompinit. */
static void print_bash(void)
{
    (void)printf("_krs() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then words='");
    print_commands();
    (void)printf("'\n    else case ${COMP_WORDS[1]} in\n");
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        (void)printf("        %s) words='", krs_command_row_of((krs_command)c)->name);
        print_words((krs_command)c, " ");
        (void)printf("' ;;\n");
    }
    (void)printf("    esac; fi\n"
                 "    case $cur in\n"
                 "        -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
                 "        *) if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "               COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "           else COMPREPLY=($(compgen -f -- \"$cur\")); fi ;;\n"
                 "    esac\n}\ncomplete -o filenames -F _krs krs\n");
}

static void print_fish(void)
{
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        const krs_command_row *row = krs_command_row_of((krs_command)c);
        (void)printf("complete -c krs -n __fish_use_subcommand -a %s -d \"%s\"\n", row->name,
                     row->summary);
        for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
            if (krs_option_is_for((krs_option)i, (krs_command)c)) {
                (void)printf(
                    "complete -c krs -n \"__fish_seen_subcommand_from %s\" -l %s -d \"%s\"\n",
                    row->name, krs_option_row_of((krs_option)i)->name,
                    krs_option_row_of((krs_option)i)->help);
            }
        }
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
