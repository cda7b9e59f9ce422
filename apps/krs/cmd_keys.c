/* apps/krs/cmd_keys.c - `krs keys`: API keys for `krs serve --api-keys FILE`.
 *
 *   krs keys new NAME      a fresh key (shown this once) and the line of it for the file
 *   krs keys check FILE    reads the file as the server will, and says what is in it
 *
 * The key goes to whoever will use it, the line into the file; from the line nobody gets back to the key.
 *
 * Thread: main. */
#include "command.h"
#include "os/file.h"
#include "os/random.h"
#include "service/keyfile.h"

#include <stdio.h>

#define KEY_PREFIX "krs-" /* so that scanners for leaked secrets can know one */
#define KEY_BYTES  32     /* random; nobody guesses 256 bits */
#define KEY_CHARS  (sizeof(KEY_PREFIX) - 1 + 2 * (size_t)KEY_BYTES + 1)

_Static_assert(KEY_BYTES == KRS_SHA256_BYTES, "a key is written the way a digest is");

static int say_new(const krs_config *config, const char *name, const char *key, const char *hex)
{
    if (krs_config_bool(config, KRS_OPTION_JSON)) {
        char line[KRS_TENANT_NAME_BYTES + KRS_SHA256_HEX_BYTES + 16];
        (void)snprintf(line, sizeof(line), "%s sha256:%s", name, hex);
        return krs_say_json(json_pack("{s:s, s:s, s:s}", "name", name, "key", key, "line", line));
    }
    krs_say_note(config, "the key, which is shown this once, then its line for --api-keys:");
    (void)printf("%s\n%s sha256:%s\n", key, name, hex);
    return krs_say_flush();
}

static int make_key(const krs_config *config, const char *name)
{
    uint8_t bytes[KEY_BYTES];
    uint8_t digest[KRS_SHA256_BYTES];
    char hex[KRS_SHA256_HEX_BYTES];
    char key[KEY_CHARS];
    char line[KRS_TENANT_NAME_BYTES + KRS_SHA256_HEX_BYTES + 16];
    krs_os_random_bytes(bytes, sizeof(bytes));
    krs_sha256_write(bytes, hex);
    (void)snprintf(key, sizeof(key), "%s%s", KEY_PREFIX, hex);
    krs_sha256((krs_str){key, strlen(key)}, digest);
    krs_sha256_write(digest, hex);
    /* The server's own reader says what a name may be. */
    const int n = snprintf(line, sizeof(line), "%s sha256:%s", name, hex);
    krs_error err = KRS_ERROR_INIT;
    krs_keyfile file;
    const bool is_short = n > 0 && (size_t)n < sizeof(line);
    krs_status status = krs_keyfile_parse(krs_str_of(is_short ? line : "?"), NULL, &file, &err);
    const bool is_good =
        status == KRS_OK && file.n_rows == 1 && strcmp(file.rows[0].name, name) == 0;
    krs_keyfile_deinit(&file);
    int code;
    if (is_good) {
        code = say_new(config, name, key, hex);
    } else {
        (void)krs_fail(&err, KRS_EINVAL,
                       "keys: \"%s\", want a name of 1..63 letters, digits and ._-", name);
        code = krs_say_error(config, &err);
    }
    krs_secret_wipe(bytes, sizeof(bytes));
    krs_secret_wipe(key, sizeof(key));
    return code;
}

static int say_file(const krs_config *config, const krs_keyfile *file)
{
    uint32_t n_admin = 0;
    uint32_t n_names = 0;
    for (uint32_t i = 0; i < file->n_rows; i++) {
        n_admin += file->rows[i].is_admin;
        n_names += file->rows[i].is_first;
    }
    if (krs_config_bool(config, KRS_OPTION_JSON)) {
        return krs_say_json(json_pack("{s:i, s:i, s:i}", "keys", (int)file->n_rows, "names",
                                      (int)n_names, "admin_keys", (int)n_admin));
    }
    (void)printf("%u keys of %u names, %u of them admin keys\n", file->n_rows, n_names, n_admin);
    return krs_say_flush();
}

static int check_file(const krs_config *config, const char *path)
{
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_KEYFILE_MAX_BYTES);
    krs_keyfile file = {.alloc = NULL};
    krs_error err = KRS_ERROR_INIT;
    krs_status status = krs_os_file_read(path, &text, &err);
    if (status == KRS_OK) {
        status = krs_keyfile_parse(krs_buf_view(&text), NULL, &file, &err);
    }
    if (status != KRS_OK) {
        (void)krs_error_wrap(&err, status, "%s", path);
    }
    const int code = status == KRS_OK ? say_file(config, &file) : krs_say_error(config, &err);
    krs_keyfile_deinit(&file);
    krs_buf_deinit(&text);
    return code;
}

int krs_cmd_keys(const krs_config *config)
{
    const krs_str what = krs_str_of(config->positionals[0]);
    if (krs_str_equal(what, KRS_STR("new"))) {
        return make_key(config, config->positionals[1]);
    }
    if (krs_str_equal(what, KRS_STR("check"))) {
        return check_file(config, config->positionals[1]);
    }
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail(&err, KRS_EINVAL, "keys: \"%.*s\", want new NAME or check FILE",
                   KRS_STR_ARGS(what));
    return krs_say_error(config, &err);
}
