/* SPDX-License-Identifier: Apache-2.0 */
#include "image/name.h"

#include "base/path.h"
#include "base/scan.h"

#include <fcntl.h>
#include <limits.h>

static const char *const other_transports[] = { "oci-archive:", "docker-archive:",
                                                "docker-daemon:" };

void image_name_deinit(struct image_name *name)
{
    oci_reference_deinit(&name->ref);
    free(name->path);
    free(name->tag);
    free(name->qualified);
    *name = (struct image_name){ 0 };
}

/* The folder's own path where there is one, so that two ways to it are one image; else the text
 * made absolute, so that what the store remembers of a folder that is gone can still be named. */
static int layout_path(const char *dir, char **ret, mvm_error **err)
{
    mvm_autoclose int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    mvm_autofree char *here = NULL;

    if (fd >= 0)
        return path_of_fd(fd, ret, err);
    if (dir[0] == '/') {
        *ret = strdup(dir);
        return *ret ? 0 : mvm_fail_nomem(err);
    }
    here = getcwd(NULL, 0);
    if (!here)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the current folder");
    *ret = path_join(here, dir);
    return *ret ? 0 : mvm_fail_nomem(err);
}

/* The first colon ends DIR, as with the containers tools: a tag may hold a whole reference. */
static int parse_layout(const char *text, struct image_name *name, mvm_error **err)
{
    size_t n = strcspn(text, ":");
    mvm_autofree char *dir = strndup(text, n);
    int r;

    if (!dir)
        return mvm_fail_nomem(err);
    if (n == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "no folder is named");
    if (text[n] == ':' && text[n + 1] == '\0')
        return mvm_fail(err, MVM_E_ARG, 0, "the tag is empty");
    if (text[n] == ':' && !(name->tag = strdup(text + n + 1)))
        return mvm_fail_nomem(err);
    r = layout_path(dir, &name->path, err);
    if (r < 0)
        return r;
    if (asprintf(&name->qualified, "oci:%s%s%s", name->path, name->tag ? ":" : "",
                 name->tag ? name->tag : "") < 0) {
        name->qualified = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int parse_any(const char *text, struct image_name *name, mvm_error **err)
{
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(other_transports); i++)
        if (scan_has_prefix(text, other_transports[i]))
            return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                            "the transport '%s' is not available in this release",
                            other_transports[i]);
    if (scan_has_prefix(text, "oci:")) {
        name->is_layout = true;
        return parse_layout(text + strlen("oci:"), name, err);
    }
    r = oci_reference_parse(text, &name->ref, err);
    if (r < 0)
        return r;
    name->qualified = strdup(name->ref.name);
    return name->qualified ? 0 : mvm_fail_nomem(err);
}

int image_name_parse(const char *text, struct image_name *name, mvm_error **err)
{
    mvm_autovalue(image_name) made = { 0 };
    int r = parse_any(text, &made, err);

    if (r < 0)
        return r;
    *name = made;
    made = (struct image_name){ 0 };
    return 0;
}
