/* SPDX-License-Identifier: Apache-2.0 */
#include "image/sources.h"

#include "base/strbuf.h"
#include "image/daemon.h"
#include "image/docker-archive.h"
#include "image/fetcher.h"
#include "image/registry-options.h"

/* Both places of a reference; a name with a transport has one. */
#define SOURCES_MAX 2

enum source_kind {
    SOURCE_REGISTRY,
    SOURCE_DAEMON,
    SOURCE_FETCHER,
    SOURCE_LAYOUT,
    SOURCE_OCI_ARCHIVE,
    SOURCE_DOCKER_ARCHIVE
};
static const char *const source_names[] = { "registry",   "container engine", "fetcher",
                                            "OCI layout", "OCI archive",      "docker archive" };

struct plan {
    enum source_kind kinds[SOURCES_MAX];
    size_t n;
};

/* A digest is a registry's, and an engine's copy cannot be compared with it: the engine is then
 * left out where there is something else. */
static struct plan plan_reference(const struct sources *s)
{
    if (s->options->fetcher)
        return (struct plan){ { SOURCE_FETCHER }, 1 };
    if (s->options->order == IMAGE_SOURCE_LOCAL_ONLY)
        return (struct plan){ { SOURCE_DAEMON }, 1 };
    if (s->options->order == IMAGE_SOURCE_REGISTRY_ONLY || s->name->ref.has_digest)
        return (struct plan){ { SOURCE_REGISTRY }, 1 };
    if (s->options->order == IMAGE_SOURCE_LOCAL_FIRST)
        return (struct plan){ { SOURCE_DAEMON, SOURCE_REGISTRY }, 2 };
    return (struct plan){ { SOURCE_REGISTRY, SOURCE_DAEMON }, 2 };
}

static struct plan plan_make(const struct sources *s)
{
    switch (s->name->transport) {
    case IMAGE_TRANSPORT_LAYOUT:
        return (struct plan){ { SOURCE_LAYOUT }, 1 };
    case IMAGE_TRANSPORT_OCI_ARCHIVE:
        return (struct plan){ { SOURCE_OCI_ARCHIVE }, 1 };
    case IMAGE_TRANSPORT_DOCKER_ARCHIVE:
        return (struct plan){ { SOURCE_DOCKER_ARCHIVE }, 1 };
    case IMAGE_TRANSPORT_DAEMON:
        return (struct plan){ { SOURCE_DAEMON }, 1 };
    default:
        return plan_reference(s);
    }
}

static int source_open(const struct sources *s, enum source_kind kind, struct image_source **ret,
                       mvm_error **err)
{
    const struct image_name *name = s->name;

    switch (kind) {
    case SOURCE_LAYOUT:
        return layout_source_open(name->path, name->tag, ret, err);
    case SOURCE_OCI_ARCHIVE:
        return oci_archive_source_open(name->path, name->tag, s->dir_fd, s->tick, ret, err);
    case SOURCE_DOCKER_ARCHIVE:
        return docker_archive_source_open(name->path, name->ref.name ? &name->ref : NULL, s->dir_fd,
                                          s->tick, ret, err);
    case SOURCE_DAEMON:
        return daemon_source_open(name, s->dir_fd,
                                  s->options->registry ? s->options->registry->stall_ms : 0,
                                  s->tick, ret, err);
    case SOURCE_FETCHER:
        return fetcher_source_open(s->options->fetcher, &name->ref, ret, err);
    default:
        return registry_source_open(&name->ref, s->options->registry, s->tick, s->options->log, ret,
                                    err);
    }
}

static int try_one(const struct sources *s, enum source_kind kind, sources_try_fn *fn, void *user,
                   mvm_error **err)
{
    mvm_auto(image_source) source = NULL;
    int r = source_open(s, kind, &source, err);

    return r < 0 ? r : fn(user, &source, err);
}

int sources_try(const struct sources *s, sources_try_fn *fn, void *user, mvm_error **err)
{
    const struct plan plan = plan_make(s);
    mvm_autovalue(strbuf) before = STRBUF_INIT(ERROR_MESSAGE_MAX);

    for (size_t i = 0;; i++) {
        const char *name = source_names[plan.kinds[i]];
        mvm_autoerror mvm_error *why = NULL;
        int r = try_one(s, plan.kinds[i], fn, user, &why);

        if (r == 0)
            return 0;
        if (i + 1 == plan.n || r == MVM_E_CANCELLED || r == MVM_E_NOMEM) {
            error_move(err, steal_ptr(&why));
            return i == 0 ? r : mvm_context(err, r, "%s%s", strbuf_str(&before), name);
        }
        log_debug(s->options->log, "image", "source %zu of %zu, %s, does not have %s: %s", i + 1,
                  plan.n, name, s->name->qualified, mvm_error_message(why));
        strbuf_addf(&before, "%s: %s; ", name, mvm_error_message(why));
    }
}
