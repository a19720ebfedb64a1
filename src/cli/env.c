/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/env.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>

int env_add(mvm_options *options, const char *entry, mvm_error **err)
{
    mvm_autofree char *own = NULL;
    const char *value;
    int r;

    if (entry[0] == '\0' || entry[0] == '=')
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not NAME or NAME=VALUE", entry);
    if (!strchr(entry, '=')) {
        value = getenv(entry);
        if (!value)
            return 0;
        if (asprintf(&own, "%s=%s", entry, value) < 0)
            return mvm_fail_nomem(err);
        entry = own;
    }
    r = mvm_options_add_env(options, entry);
    return r < 0 ? mvm_fail(err, r, 0, "variable '%.64s' cannot be set", entry) : 0;
}

/* @line is cut out of the file in place. */
static int env_add_line(mvm_options *options, char *line, mvm_error **err)
{
    size_t len = strlen(line);

    while (*line == ' ' || *line == '\t')
        line++;
    len = strlen(line);
    if (len > 0 && line[len - 1] == '\r')
        line[len - 1] = '\0';
    if (*line == '\0' || *line == '#')
        return 0;
    if (strcspn(line, " \t") < strcspn(line, "="))
        return mvm_fail(err, MVM_E_FORMAT, 0, "a name with a blank in it");
    return env_add(options, line, err);
}

int env_add_file(mvm_options *options, const char *path, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    mvm_autofree char *text = NULL;
    size_t len = 0;
    unsigned number = 1;
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "env file '%s'", path);
    r = io_read_all(fd, ENV_FILE_MAX, &text, &len, err);
    if (r < 0)
        return mvm_context(err, r, "env file '%s'", path);
    if (strlen(text) != len)
        return mvm_fail(err, MVM_E_FORMAT, 0, "env file '%s': a NUL byte", path);
    for (char *line = text, *end; line; line = end, number++) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        r = env_add_line(options, line, err);
        if (r < 0)
            return mvm_context(err, r, "env file '%s': line %u", path, number);
    }
    return 0;
}
