/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the program runs as: "user[:group]", by name or number, looked up in the image's own passwd
 * and group files.
 *
 * The rules are docker's. A passwd entry matches by its name, or by its uid when the text is a
 * number; the first match wins. A number without an entry is used as it is, with group 0 and home
 * "/". Supplementary groups come from the group file, by the name of the matched entry, and only
 * when no group is asked for. The files come from an image and may hold anything: a line that does
 * not parse is no entry.
 */
#ifndef INIT_USER_H
#define INIT_USER_H

#include "base/error.h"
#include "base/mem.h"

#include <stdint.h>
#include <sys/types.h>

/* The largest uid and gid: one below (uid_t) -1, which means "none" to the kernel. */
#define USER_ID_MAX 4294967294u
/* Groups of one process (Linux, NGROUPS_MAX). */
#define USER_GROUPS_MAX 65536
/* Bytes of /etc/passwd and of /etc/group: some 50,000 entries, read into a guest's memory that may
 * be small. */
#define USER_FILE_MAX (4u << 20)

struct text_file {
    const char *data; /* borrowed; need not end with NUL */
    size_t len;
};

struct user {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* owned: the supplementary ones */
    size_t n_groups;
    char *home; /* owned */
};
void user_deinit(struct user *u);
MVM_DEFINE_AUTOVALUE(user, user_deinit)

/* @spec: NULL and "" mean uid 0. MVM_E_ARG names the user or the group that does not exist.
 */
int user_resolve(const char *spec, struct text_file passwd, struct text_file group,
                 struct user *ret, mvm_error **err);

struct user_stamp {
    int64_t device, inode, size, written[2], changed[2];
};
/* The last answer, which holds as long as the question and both files are the same: programs are
 * started one after the other as one user, and the files seldom change. */
struct user_cache {
    const char *passwd, *group; /* borrowed: paths */
    char *spec;                 /* owned; NULL: nothing is kept */
    struct user_stamp stamps[2];
    struct user user; /* owned */
};
#define USER_CACHE_INIT                                \
    {                                                  \
        .passwd = "/etc/passwd", .group = "/etc/group" \
    }
void user_cache_deinit(struct user_cache *c);
/* user_resolve() with the files of @c, of which an absent one is empty. *@ret is borrowed of @c, up
 * to the next call. */
int user_lookup(struct user_cache *c, const char *spec, const struct user **ret, mvm_error **err);

#endif
