/* api/config_load.c - see config_load.h.
 *
 * Reloading keeps two files at most: the one of the start, which the options that wait for a restart borrow,
 * and the newest, which all LIVE options borrow, changed or not; what an earlier reload had opened is closed. */
#include "api/config_load.h"

krs_status krs_config_load_file(krs_config *config, krs_error *err)
{
    const char *path = krs_config_text(config, KRS_OPTION_CONFIG);
    const char *environment = krs_config_text(config, KRS_OPTION_ENV);
    if (!path) {
        /* A variable may be there for another program's sake; a flag is meant. */
        const bool is_lost = config->values[KRS_OPTION_ENV].source == KRS_SOURCE_FLAG;
        return is_lost ? krs_fail_field(err, KRS_EINVAL, "env", "--env: \"%s\", want --config too",
                                        environment)
                       : KRS_OK;
    }
    const krs_status status = krs_config_file_open(path, &config->file, err);
    return status == KRS_OK ? krs_config_file_apply(config->file, environment, config, err)
                            : status;
}

krs_status krs_config_load(krs_config *config, krs_command command, const krs_config_origin *origin,
                           krs_error *err)
{
    krs_config_init(config, command);
    config->origin = *origin;
    krs_status status = krs_config_read_args(config, origin->argc, origin->argv, err);
    if (status != KRS_OK || krs_config_bool(config, KRS_OPTION_HELP)) {
        return status;
    }
    status = krs_config_read_environment(config, origin->lookup, err);
    if (status != KRS_OK || command == KRS_COMMAND_CONFIG) {
        return status;
    }
    return krs_config_load_file(config, err);
}

void krs_config_deinit(krs_config *config)
{
    krs_config_file_close(config->file);
    config->file = NULL;
}

static krs_config_changes compare(const krs_config *boot, const krs_config *current,
                                  const krs_config *fresh)
{
    krs_config_changes changes = {.n_applied = 0};
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option option = (krs_option)i;
        const bool is_live = krs_option_is_live(option);
        if (is_live && !krs_config_is_same(current, fresh, option)) {
            changes.is_applied[i] = true;
            changes.n_applied++;
        }
        if (!is_live && !krs_config_is_same(boot, fresh, option)) {
            changes.is_waiting[i] = true;
            changes.n_waiting++;
        }
    }
    return changes;
}

krs_status krs_config_reload(const krs_config *boot, krs_config *current,
                             krs_config_changes *changes, krs_error *err)
{
    krs_config fresh;
    const krs_status status = krs_config_load(&fresh, boot->command, &boot->origin, err);
    if (status != KRS_OK) {
        krs_config_deinit(&fresh);
        return status;
    }
    *changes = compare(boot, current, &fresh);
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (krs_option_is_live((krs_option)i)) {
            current->values[i] = fresh.values[i];
        }
    }
    krs_config_deinit(current);
    current->file = fresh.file;
    return KRS_OK;
}
