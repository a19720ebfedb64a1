/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds each file of a corpus folder, and the empty input, to a fuzz target, as an ordinary test
 * with any compiler. Every input gets a buffer of exactly its size, so that the address sanitizer
 * sees a read beyond it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seeds are small; a larger file is there by mistake. */
#define SEED_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name, uint8_t *scratch)
{
    char path[4096];
    size_t size;
    uint8_t *data;
    FILE *f;

    if ((size_t) snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
        return -1;
    f = fopen(path, "rbe");
    if (!f)
        return -1;
    size = fread(scratch, 1, SEED_MAX + 1, f);
    (void) fclose(f);
    data = size <= SEED_MAX ? malloc(size ? size : 1) : NULL;
    if (!data)
        return -1;
    memcpy(data, scratch, size);
    (void) LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int replay_folder(const char *folder, DIR *dir, uint8_t *scratch)
{
    const struct dirent *entry;
    int seeds = 0;
    int bad = 0;
    int r;

    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        /* Told before it runs: a crash is then the input named last. */
        printf("# %s\n", entry->d_name);
        (void) fflush(stdout);
        r = replay_file(folder, entry->d_name, scratch);
        bad += r < 0;
        printf("%sok %d - %s\n", r < 0 ? "not " : "", ++seeds, entry->d_name);
    }
    (void) LLVMFuzzerTestOneInput(scratch, 0);
    printf("%sok %d - the empty input\n", seeds ? "" : "not ", seeds + 1);
    printf("1..%d\n", seeds + 1);
    return bad || !seeds;
}

int main(int argc, char **argv)
{
    uint8_t *scratch = malloc(SEED_MAX + 1);
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    int status = 1;

    if (dir && scratch)
        status = replay_folder(argv[1], dir, scratch);
    else
        printf("Bail out! usage: replay FOLDER\n");
    if (dir)
        (void) closedir(dir);
    free(scratch);
    return status;
}
