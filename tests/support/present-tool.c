/* SPDX-License-Identifier: Apache-2.0 */
/*
 * present-tool FOLDER NAME [DATA INDEX]...: merges layers, base first, into a real directory NAME
 * below FOLDER, which is ours alone, and prints how contents were copied, how many things could not
 * be kept, and the first of them, "-" for none. DATA is "-" for a layer without content.
 */
#include "rootfs/directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LAYERS_MAX 128

struct layers {
    struct layer_index *items[LAYERS_MAX]; /* owned */
    int data_fds[LAYERS_MAX];              /* owned */
    size_t n;
};
static void layers_deinit(struct layers *l)
{
    while (l->n > 0) {
        layer_index_close(l->items[--l->n]);
        if (l->data_fds[l->n] >= 0)
            (void) close(l->data_fds[l->n]);
    }
}
MVM_DEFINE_AUTOVALUE(layers, layers_deinit)

static int open_layer(struct layers *l, char **paths, mvm_error **err)
{
    const bool empty = strcmp(paths[0], "-") == 0;
    mvm_autoclose int data = empty ? -EBADF : open(paths[0], O_RDONLY | O_CLOEXEC);
    mvm_autoclose int index = open(paths[1], O_RDONLY | O_CLOEXEC);
    int r;

    if ((data < 0 && !empty) || index < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s' and '%s'", paths[0], paths[1]);
    r = layer_index_open(index, NULL, &l->items[l->n], err);
    if (r < 0)
        return mvm_context(err, r, "'%s'", paths[1]);
    l->data_fds[l->n++] = steal_fd(&data);
    return 0;
}

static int run(char **argv, struct layers *l, mvm_error **err)
{
    static const char *const copies[] = { "none", "clone", "kernel", "plain" };
    mvm_autovalue(rootfs_directory_report) report = { 0 };
    mvm_autoclose int folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_auto(tree) t = NULL;
    int r = tree_new(&t, err);

    if (folder < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "open '%s'", argv[1]);
    for (char **paths = argv + 3; *paths && r == 0; paths += 2) {
        r = open_layer(l, paths, err);
        if (r == 0)
            r = tree_apply(t, l->items[l->n - 1], NULL, err);
    }
    if (r == 0)
        r = tree_finish(t, NULL, err);
    if (r == 0)
        r = rootfs_directory_make(t, l->data_fds, folder, argv[2], NULL, &report, err);
    if (r == 0)
        printf("%s %llu %s\n", copies[report.copy], (unsigned long long) report.lost,
               report.first_lost ? report.first_lost : "-");
    return r;
}

int main(int argc, char **argv)
{
    mvm_autovalue(layers) l = { .n = 0 };
    mvm_autoerror mvm_error *e = NULL;

    if (argc < 3 || argc % 2 == 0 || (argc - 3) / 2 > LAYERS_MAX) {
        fprintf(stderr, "usage: present-tool FOLDER NAME [DATA INDEX]...\n");
        return 2;
    }
    if (run(argv, &l, &e) == 0)
        return 0;
    fprintf(stderr, "present-tool: %s\n", mvm_error_message(e));
    return 1;
}
