/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erofs-tool IMAGE [DATA INDEX]...: merges layers, base first, into an EROFS metadata image and
 * prints the extents of the whole disk, one "BYTES PATH" a line. What it took is told on stderr.
 */
#include "base/clock.h"
#include "erofs/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#define LAYERS_MAX 128

struct layers {
    struct layer_index *items[LAYERS_MAX]; /* owned */
    size_t n;
};
static void layers_deinit(struct layers *l)
{
    while (l->n > 0)
        layer_index_close(l->items[--l->n]);
}
MVM_DEFINE_AUTOVALUE(layers, layers_deinit)

static int open_layer(struct layers *l, const char *path, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    r = layer_index_open(fd, &l->items[l->n], err);
    if (r < 0)
        return mvm_context(err, r, "'%s'", path);
    l->n++;
    return 0;
}

static int merge(const struct layers *l, struct tree *t, mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; i < l->n && r == 0; i++)
        r = tree_apply(t, l->items[i], NULL, err);
    return r < 0 ? r : tree_finish(t, NULL, err);
}

static int write_image(const char *path, const struct tree *t, uint64_t *ret_size, mvm_error **err)
{
    mvm_autoclose int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct erofs_sum sum;
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "create '%s'", path);
    r = erofs_write(fd, t, NULL, &sum, err);
    if (r == 0)
        *ret_size = sum.size;
    return r;
}

/* The most memory that the process had so far. */
static long peak_kib(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : -1;
}

static int run(char **argv, struct layers *l, mvm_error **err)
{
    mvm_auto(tree) t = NULL;
    const uint64_t start = clock_now_ms();
    uint64_t merged, size = 0;
    long merged_kib;
    int r = tree_new(&t, err);

    for (char **layer = argv + 2; *layer && r == 0; layer += 2)
        r = open_layer(l, layer[1], err);
    if (r == 0)
        r = merge(l, t, err);
    merged = clock_now_ms();
    merged_kib = peak_kib();
    if (r == 0)
        r = write_image(argv[1], t, &size, err);
    if (r < 0)
        return r;
    fprintf(stderr, "%u entries: merged in %llu ms, %ld KiB; written in %llu ms, %ld KiB\n",
            tree_n_entries(t), (unsigned long long) (merged - start), merged_kib,
            (unsigned long long) (clock_now_ms() - merged), peak_kib());
    printf("%llu %s\n", (unsigned long long) size, argv[1]);
    for (size_t i = 0; i < l->n; i++) {
        const uint64_t bytes = layer_index_totals(l->items[i])->data_blocks * LAYER_BLOCK;

        if (bytes > 0)
            printf("%llu %s\n", (unsigned long long) bytes, argv[2 + 2 * i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    mvm_autovalue(layers) l = { .n = 0 };
    mvm_autoerror mvm_error *e = NULL;

    if (argc < 2 || argc % 2 != 0 || (argc - 2) / 2 > LAYERS_MAX) {
        fprintf(stderr, "usage: erofs-tool IMAGE [DATA INDEX]...\n");
        return 2;
    }
    if (run(argv, &l, &e) == 0)
        return 0;
    fprintf(stderr, "erofs-tool: %s\n", mvm_error_message(e));
    return 1;
}
