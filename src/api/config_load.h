/* api/config_load.h - all sources of a command's options at once, and again while the program runs.
 *
 *   load:    flags, KRS_* variables, the file that --config names; weaker never overwrites stronger
 *   reload:  the same sources again; options marked LIVE in config.def take their new value, for every
 *            other one that differs from what the program started with it is told that it waits for a restart
 *
 * A reload that fails anywhere changes nothing: a server does not fall over because of a typing mistake.
 *
 * Thread: main.  Memory: a config owns its file; its texts borrow that file, argv and the environment. */
#pragma once

#include "api/config_file.h"

/* Options as a set, for KRS_OPTION_COUNT of them. */
typedef struct krs_config_changes {
    bool is_applied[KRS_OPTION_COUNT]; /* LIVE, and other than before this reload */
    bool is_waiting[KRS_OPTION_COUNT]; /* not LIVE, and other than at the start */
    uint32_t n_applied;
    uint32_t n_waiting;
} krs_config_changes;

/* Read the sources for command. With --help only the flags are read, so that help is there also for
 * whoever set a variable wrongly; `krs config` reads its file itself (krs_config_load_file).
 * Errors: KRS_EINVAL and what krs_config_file_open says. config can be used (for --json) and must be
 * given to krs_config_deinit in any case. */
KRS_MUST_USE krs_status krs_config_load(krs_config *config, krs_command command,
                                        const krs_config_origin *origin, krs_error *err);

/* Read the file that --config names, if any. */
KRS_MUST_USE krs_status krs_config_load_file(krs_config *config, krs_error *err);

/* Close the file. */
void krs_config_deinit(krs_config *config);

/* Read the sources of boot again. boot: as loaded at the start, outlives current. current: a copy of boot
 * with no file, or what an earlier reload left; its LIVE values take the new ones, and texts of LIVE options
 * that were read from it before are gone. On failure current and *changes are as before.
 * Errors: as krs_config_load. */
KRS_MUST_USE krs_status krs_config_reload(const krs_config *boot, krs_config *current,
                                          krs_config_changes *changes, krs_error *err);
