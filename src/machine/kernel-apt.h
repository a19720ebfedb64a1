/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting one package through the host's apt without root.
 *
 * apt runs on a state of its own (lists, caches, an empty dpkg status) in a folder that the caller
 * throws away, with the system's sources, proxies and keyrings. Nothing of the system is written,
 * and its hooks are not run. A package counts only when a signed source lists it: apt is told to
 * refuse the others, whatever the system's configuration says. (A source that the administrator
 * marked [trusted=yes] is trusted here too.) A source that is down or refused does not matter as
 * long as another one has the package.
 */
#ifndef MACHINE_KERNEL_APT_H
#define MACHINE_KERNEL_APT_H

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

struct apt_package {
    char *name;    /* owned */
    char *version; /* owned */
};
void apt_package_deinit(struct apt_package *p);
MVM_DEFINE_AUTOVALUE(apt_package, apt_package_deinit)

struct apt {
    const char *dir;          /* borrowed: the folder for its state, empty at first */
    int dir_fd;               /* borrowed: the same */
    int held_fd;              /* borrowed: an empty file: standard input of its programs, so that
                               * a lock on it ends with the last of them */
    const struct log *log;    /* borrowed */
    int (*watch)(void *user); /* as in struct child_spec; NULL: none */
    void *watch_user;
};
/* Reads the sources' lists, then finds the newest real package behind the metapackage @meta: its
 * first dependency that starts with @prefix. MVM_E_NOT_FOUND when no usable source has it, with
 * apt's reason if there was one. */
int apt_find_package(const struct apt *a, const char *meta, const char *prefix,
                     struct apt_package *ret, mvm_error **err);
/* The newest of the package @name itself. */
int apt_find_named(const struct apt *a, const char *name, struct apt_package *ret, mvm_error **err);
/* Downloads it, verified, after apt_find_package(), and unpacks it: *ret_tree_fd is the folder
 * "tree" in the state's, the package's root, to be closed by the caller. */
int apt_get_tree(const struct apt *a, const struct apt_package *p, int *ret_tree_fd,
                 mvm_error **err);

/* Reads the fields of `apt-cache show META`; for unit tests. MVM_E_FORMAT when no dependency fits
 * or a name has letters that Debian policy (5.6.7, 5.6.12) does not allow. */
int apt_parse_show(const char *text, const char *prefix, struct apt_package *ret, mvm_error **err);
/* The same for a package that is meant itself. */
int apt_parse_version(const char *text, const char *name, struct apt_package *ret, mvm_error **err);

#endif
