/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of copy.h share: items on their way from a source to a sink. */
#ifndef AGENT_COPY_INTERNAL_H
#define AGENT_COPY_INTERNAL_H

#include "agent/copy.h"
#include "agent/messages.h"

/* Where items go. Both are called with what copy_check_*() has passed. */
struct copy_sink {
    int (*info)(void *user, const struct agent_file *f, mvm_error **err);
    int (*data)(void *user, struct bytes_view data, mvm_error **err);
    void *user;
};

/* Holds the items of one copy to their rules: the source itself comes first, under the empty name;
 * depth first, each folder before what it holds; of a file exactly as many bytes as were announced;
 * all within the limits. */
struct copy_check {
    const struct copy_options *options;
    struct copy_result *result;
    bool begun, root_is_dir;
    char *dir;               /* owned: the folder that the last item was, or lies in; "" the root */
    uint64_t left;           /* bytes of the file that still have to come */
    uint64_t entries, bytes; /* announced */
};
#define COPY_CHECK_INIT(o, res)         \
    {                                   \
        .options = (o), .result = (res) \
    }
/* 1: @f goes on to the sink; 0: it is left out. */
int copy_check_info(struct copy_check *c, const struct agent_file *f, mvm_error **err);
int copy_check_data(struct copy_check *c, size_t len, mvm_error **err);
/* All have come. */
int copy_check_end(const struct copy_check *c, mvm_error **err);
void copy_check_deinit(struct copy_check *c);
MVM_DEFINE_AUTOVALUE(copy_check, copy_check_deinit)

/* Whether a file of this type is copied at all. */
bool copy_type_is_copied(uint32_t mode);
/* A relative name without empty, "." and ".." components, of at most COPY_DEPTH_MAX. */
bool copy_name_is_valid(const char *name);

/* What a path of a source says: its last component, NULL where there is none ("/", "..", "."), and
 * whether only the content is meant ("/." at its end, or there is no name). */
struct copy_source_name {
    char *base; /* owned */
    bool content;
};
int copy_source_name_of(const char *path, struct copy_source_name *ret, mvm_error **err);
void copy_source_name_deinit(struct copy_source_name *n);
MVM_DEFINE_AUTOVALUE(copy_source_name, copy_source_name_deinit)

/* A tree on the host. */
struct copy_place {
    int dir_fd; /* owned */
    char *name; /* owned; NULL: dir_fd itself */
};
#define COPY_PLACE_NONE  \
    {                    \
        .dir_fd = -EBADF \
    }
void copy_place_deinit(struct copy_place *p);
MVM_DEFINE_AUTOVALUE(copy_place, copy_place_deinit)
/* Where a copy to @path goes. */
int copy_place_resolve(const char *path, const struct copy_source_name *source, bool source_is_dir,
                       struct copy_place *ret, mvm_error **err);

/* Called once, with the type of what comes, when that is known. */
typedef int copy_place_fn(void *user, bool source_is_dir, struct copy_place *ret, mvm_error **err);
struct tree_sink;
int tree_sink_new(copy_place_fn *place, void *user, const struct copy_options *o,
                  struct tree_sink **ret, mvm_error **err);
struct copy_sink tree_sink_get(struct tree_sink *s);
int tree_sink_finish(struct tree_sink *s, mvm_error **err);
void tree_sink_free(struct tree_sink *s); /* what is not whole goes */
MVM_DEFINE_AUTO(tree_sink, tree_sink_free)

/* Gives @name in @dir_fd, and what it holds, to @sink. */
int tree_source_run(int dir_fd, const char *name, bool follow, struct copy_check *check,
                    const struct copy_sink *sink, mvm_error **err);

/* Tar streams. */
struct tar_sink;
/* @prefix stands before each name. */
int tar_sink_new(int fd, const char *prefix, struct tar_sink **ret, mvm_error **err);
struct copy_sink tar_sink_get(struct tar_sink *s);
int tar_sink_finish(struct tar_sink *s, mvm_error **err);
void tar_sink_free(struct tar_sink *s);
MVM_DEFINE_AUTO(tar_sink, tar_sink_free)
/* @root is what the folder is that the entries go into: the first item. */
int tar_source_run(int fd, const struct agent_file *root, struct copy_check *check,
                   const struct copy_sink *sink, mvm_error **err);

#endif
