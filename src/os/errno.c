/* os/errno.c - see errno_priv.h. */
#include "os/errno_priv.h"

#include <errno.h>
#include <string.h>

krs_status krs_os_status_of_errno(int code)
{
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return KRS_ENOENT;
    case EACCES:
    case EPERM:
    case EROFS:
        return KRS_EPERM;
    case ENOMEM:
        return KRS_ENOMEM;
    case EEXIST:
        return KRS_EEXIST;
    case EAGAIN:
        return KRS_EAGAIN;
    case EISDIR: /* reading a folder */
    case ENAMETOOLONG:
    case ELOOP:
        return KRS_EINVAL;
    default:
        return KRS_EIO;
    }
}

const char *krs_os_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

krs_status krs_os_fail_errno(krs_error *err, int code, const char *what, const char *name)
{
    return krs_fail_os(err, krs_os_status_of_errno(code), code, "%s %s", what,
                       krs_os_base_name(name));
}
