/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a directory below the root of an image, component by component with held descriptors, as
 * a process in a chroot would: symlinks on the way are followed inside the root, an absolute target
 * starts again at the root. No name of the image is ever handed to the kernel with a slash in it,
 * and nothing outside the root can be reached.
 *
 * Stricter than a chroot in one thing: ".." above the root is an error, since no honest image has
 * it.
 */
#ifndef IMAGE_ROOTFS_WALK_H
#define IMAGE_ROOTFS_WALK_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>
#include <sys/types.h>

/* Links followed on one way (path_resolution(7) has the same). */
#define WALK_LINKS_MAX 40
/* Most bytes of a name, and of what stands before us with links put in their places. */
#define WALK_NAME_MAX 4096
#define WALK_REST_MAX (64u << 10)

struct walk_frame {
    int fd; /* owned: O_PATH */
    uint64_t ino;
    char *name; /* owned: in its parent; NULL for the root */
};

/* What the walker does where a name is in the way or is missing. */
struct walk_hooks {
    /* Makes the directory @name. NULL: nothing is made. */
    int (*make_dir)(void *user, const struct walk_frame *parent, const char *name, mvm_error **err);
    /* Something that is no directory stands at @name: removes it, so that a directory can be made,
     * or fails. */
    int (*make_room)(void *user, const struct walk_frame *parent, const char *name,
                     mvm_error **err);
    void *user;
};

struct walk {
    struct walk_frame *frames; /* owned; frames[0] is the root */
    size_t n_frames, cap;
    size_t depth_max; /* most frames below the root */
    char *path;       /* owned: the last one asked for, NULL when it may not hold any more */
    bool linked;      /* a link was followed on it: frames are not its components */
};

/* @root_fd is borrowed and must outlive the walk. */
int walk_init(struct walk *w, int root_fd, size_t depth_max, mvm_error **err);
void walk_deinit(struct walk *w);
MVM_DEFINE_AUTOVALUE(walk, walk_deinit)

enum walk_result {
    WALK_FOUND = 0,
    WALK_MISSING = 1,      /* only without hooks */
    WALK_NOT_DIRECTORY = 2 /* only without hooks */
};
/* @path is normal: components without "." and "..", one slash between them, "" for the root. With
 * @hooks it is made where it is missing. The target of a link is never made: a missing one is an
 * error then. */
int walk_to(struct walk *w, const char *path, const struct walk_hooks *hooks, mvm_error **err);
/* A directory or link was removed or replaced: what was walked may be gone. */
void walk_forget(struct walk *w);
/* Where the last walk ended. */
static inline const struct walk_frame *walk_top(const struct walk *w)
{
    return &w->frames[w->n_frames - 1];
}

#endif
