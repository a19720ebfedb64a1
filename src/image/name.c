/* SPDX-License-Identifier: Apache-2.0 */
#include "image/name.h"

#include "base/path.h"
#include "base/scan.h"

#include <fcntl.h>
#include <limits.h>

static const struct {
    const char *prefix;
    enum image_transport transport;
} transports[] = {
    { "oci:", IMAGE_TRANSPORT_LAYOUT },
    { "oci-archive:", IMAGE_TRANSPORT_OCI_ARCHIVE },
    { "docker-archive:", IMAGE_TRANSPORT_DOCKER_ARCHIVE },
    { "docker-daemon:", IMAGE_TRANSPORT_DAEMON },
};

void image_name_deinit(struct image_name *name)
{
    oci_reference_deinit(&name->ref);
    free(name->path);
    free(name->tag);
    free(name->id);
    free(name->qualified);
    *name = (struct image_name){ 0 };
}

/* The file's or folder's own path where there is one, so that two ways to it are one image; else
 * the text made absolute, so that what the store remembers of one that is gone can still be named.
 */
static int absolute_path(const char *path, char **ret, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    mvm_autofree char *here = NULL;

    if (fd >= 0)
        return path_of_fd(fd, ret, err);
    if (path[0] == '/') {
        *ret = strdup(path);
        return *ret ? 0 : mvm_fail_nomem(err);
    }
    here = getcwd(NULL, 0);
    if (!here)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the current folder");
    *ret = path_join(here, path);
    return *ret ? 0 : mvm_fail_nomem(err);
}

/* What follows the path: a tag of a layout, which may be any text, or a reference. */
static int parse_choice(const char *text, struct image_name *name, const char **ret,
                        mvm_error **err)
{
    int r;

    if (name->transport != IMAGE_TRANSPORT_DOCKER_ARCHIVE) {
        name->tag = strdup(text);
        *ret = name->tag;
        return name->tag ? 0 : mvm_fail_nomem(err);
    }
    r = oci_reference_parse(text, &name->ref, err);
    if (r == 0 && name->ref.has_digest)
        r = mvm_fail(err, MVM_E_ARG, 0, "'%.300s': the images of an archive have tags, no digests",
                     text);
    *ret = name->ref.name;
    return r;
}

/* The first colon ends the path, as with the containers tools: a tag may hold a whole reference. */
static int parse_path(const char *prefix, const char *text, struct image_name *name,
                      mvm_error **err)
{
    const bool folder = name->transport == IMAGE_TRANSPORT_LAYOUT;
    size_t n = strcspn(text, ":");
    mvm_autofree char *path = strndup(text, n);
    const char *choice = NULL;
    int r;

    if (!path)
        return mvm_fail_nomem(err);
    if (n == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "no %s is named", folder ? "folder" : "file");
    if (text[n] == ':' && text[n + 1] == '\0')
        return mvm_fail(err, MVM_E_ARG, 0, "the tag is empty");
    r = text[n] == ':' ? parse_choice(text + n + 1, name, &choice, err) : 0;
    if (r == 0)
        r = absolute_path(path, &name->path, err);
    if (r < 0)
        return r;
    if (asprintf(&name->qualified, "%s%s%s%s", prefix, name->path, choice ? ":" : "",
                 choice ? choice : "") < 0) {
        name->qualified = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

/* A reference, or the id of an image, which is a digest. */
static int parse_daemon(const char *prefix, const char *text, struct image_name *name,
                        mvm_error **err)
{
    struct digest id;
    int r = 0;

    if (digest_parse(text, &id, NULL) == 0) {
        name->id = strdup(text);
        if (!name->id)
            return mvm_fail_nomem(err);
    } else {
        r = oci_reference_parse(text, &name->ref, err);
    }
    if (r < 0)
        return r;
    if (asprintf(&name->qualified, "%s%s", prefix, name->id ? name->id : name->ref.name) < 0) {
        name->qualified = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int parse_any(const char *text, struct image_name *name, mvm_error **err)
{
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
        const char *prefix = transports[i].prefix;

        if (!scan_has_prefix(text, prefix))
            continue;
        name->transport = transports[i].transport;
        return name->transport == IMAGE_TRANSPORT_DAEMON
                   ? parse_daemon(prefix, text + strlen(prefix), name, err)
                   : parse_path(prefix, text + strlen(prefix), name, err);
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
