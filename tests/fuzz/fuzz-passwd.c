/* SPDX-License-Identifier: Apache-2.0 */
/* Three parts, each ended by a NUL byte: what is asked for, the passwd file, the group file. */
#include "../../guest/init/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct text_file take_part(const uint8_t **data, size_t *size)
{
    const uint8_t *stop = memchr(*data, '\0', *size);
    struct text_file part = { .data = (const char *) *data,
                              .len = stop ? (size_t) (stop - *data) : *size };

    *data += stop ? part.len + 1 : part.len;
    *size -= stop ? part.len + 1 : part.len;
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(user) user = { .home = NULL };
    mvm_autoerror mvm_error *err = NULL;
    struct text_file spec, passwd, group;
    mvm_autofree char *text = NULL;

    if (size == 0)
        return 0;
    spec = take_part(&data, &size);
    passwd = take_part(&data, &size);
    group = (struct text_file){ .data = (const char *) data, .len = size };
    text = strndup(spec.data, spec.len);
    if (!text || user_resolve(text, passwd, group, &user, &err) < 0)
        return 0;
    if (!user.home || user.uid > USER_ID_MAX || user.gid > USER_ID_MAX ||
        user.n_groups > USER_GROUPS_MAX)
        abort();
    return 0;
}
