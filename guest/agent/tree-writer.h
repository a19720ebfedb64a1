/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a file or a tree from items in the order of Read: a folder before what it holds, a file's
 * info before its data.
 *
 * The target's own path is the client's word, symbolic links in it included. Below it each name is
 * checked (relative, no "..", no empty part) and resolved beneath the target without any link, so
 * that neither a link of the tree nor one that was there leads out. A file or a link is made under
 * a temporary name in its folder and renamed when it is complete; one that is not is removed.
 * Devices, FIFOs and sockets are refused: no client copies any (agent/copy.h), and each would have
 * to be given its mode by a name that the folder's owner can put something else under. A folder
 * that was there already is merged into and stays as it is; one that was made gets its owner, mode
 * and times at the end, since what is made in it changes these.
 */
#ifndef GUEST_AGENT_TREE_WRITER_H
#define GUEST_AGENT_TREE_WRITER_H

#include "agent/messages.h"
#include "base/error.h"

#include <sys/types.h>

/* Folders that are made for one tree, and bytes of their names: what is kept until the end. */
#define TREE_FOLDERS_MAX 65536
#define TREE_NAMES_MAX (4u << 20)
/* ".microvm-" and 16 hexadecimal digits. */
#define TREE_TEMP_SIZE 32

struct tree_folder;

struct tree_writer {
    int parent_fd; /* owned: where the item with the empty name goes; -EBADF: no target yet */
    char *last;    /* owned: its name there; NULL: the target is the root itself */
    int base_fd;   /* owned: the target, when it is a folder; -EBADF: it is not, or not yet */
    char *path;    /* owned: the target's */
    int root_fd;   /* borrowed */
    bool own;
    bool begun;                  /* the item with the empty name has come */
    struct tree_folder *folders; /* owned */
    size_t n_folders, cap_folders, name_bytes;
    /* The file that is being written: */
    int file_fd;   /* owned; -EBADF: none */
    int folder_fd; /* owned: where it is */
    char temp[TREE_TEMP_SIZE];
    struct agent_file file; /* owned */
    uint64_t left;          /* bytes of it to come */
    struct agent_write_response result;
};
void tree_writer_init(struct tree_writer *w, int root_fd);
void tree_writer_deinit(struct tree_writer *w); /* removes what is incomplete */
/* Takes what it keeps out of @m. */
int tree_writer_add(struct tree_writer *w, struct agent_item *m, mvm_error **err);
/* No item follows. */
int tree_writer_finish(struct tree_writer *w, mvm_error **err);

#endif
