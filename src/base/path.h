/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths from held directory descriptors, through openat2 (Linux 5.6). O_CLOEXEC is added here.
 *
 * path_open_in_root(): symlinks are the tree's business and end inside it (RESOLVE_IN_ROOT).
 * path_open_beneath(): our own store; no symlink at all (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS).
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* The tree chooses what a name is: a caller that reads adds O_NONBLOCK, for a FIFO, and looks at
 * the type. Makes nothing: @flags has no O_CREAT. */
int path_open_in_root(int root_fd, const char *path, int flags, int *ret_fd, mvm_error **err);
int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                      mvm_error **err);
/* Makes the directory @path (absolute, from the user or the environment) with its parents and opens
 * it. New ones get @mode; an existing one keeps its own. */
int path_make_dirs(const char *path, mode_t mode, int *ret_fd, mvm_error **err);
/* Makes (unless it is there) and opens one directory below @dir_fd; @name is one component. */
int path_make_dir_at(int dir_fd, const char *name, mode_t mode, int *ret_fd, mvm_error **err);
/* Removes @name, one component, below @dir_fd and all that it holds, at any depth, without
 * following links or crossing into another mount; absent is fine. */
int path_remove_tree(int dir_fd, const char *name, mvm_error **err);
/* Whether something is there that is no regular file. Links are not followed. */
bool path_is_odd(int dir_fd, const char *name);
/* "a/b" with exactly one slash between; @name alone below an empty @dir; owned by the caller; NULL
 * when out of memory. */
char *path_join(const char *dir, const char *name);
/* The path behind a descriptor, from /proc/self/fd; owned by the caller. MVM_E_NOT_FOUND for what
 * never had a path, or has none any more. */
int path_of_fd(int fd, char **ret_path, mvm_error **err);
/* 0, or what ends the listing. @name is borrowed. */
typedef int path_name_fn(void *user, const char *name, mvm_error **err);
/* Calls @fn for what the folder @dir_fd has: the names that begin with @prefix, or with NULL all
 * that do not begin with a dot. */
int path_each_name(int dir_fd, const char *prefix, path_name_fn *fn, void *user, mvm_error **err);
/* One component: not empty, ".", "..", no slash, at most 255 bytes. */
bool path_is_component(const char *name);
/* A regular file that we may execute. */
bool path_is_program(const char *path);
/* The first program @name in the folders of PATH; owned by the caller; NULL for none. */
char *path_find_program(const char *name);
/* Makes a fresh directory "<prefix>XXXXXXXX" below @dir_fd, mode 0700, and opens it. *ret_name is
 * owned. */
int path_make_temp_dir(int dir_fd, const char *prefix, char **ret_name, int *ret_fd,
                       mvm_error **err);

#endif
