/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk-tool URL DIR [SHA256|-] [MAX_BYTES]: prints the path of the disk image.
 *
 * An error is one line on stderr, "CODE message", and status 125; log records are lines that begin
 * with "log". DISK_TOOL_CANCEL=BYTES cancels once so many have arrived; DISK_TOOL_PROGRESS=1 prints
 * each report to stderr.
 */
#include "base/scan.h"

#include <inttypes.h>
#include <microvm/disk-image.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tool {
    uint64_t cancel_at; /* 0: never */
    int verbose;
};

static int on_progress(void *user, const mvm_progress *p)
{
    const struct tool *tool = user;

    if (tool->verbose)
        (void) fprintf(stderr, "progress %u %" PRIu64 "/%" PRIu64 " %s\n", p->phase, p->done,
                       p->total, p->name);
    return tool->cancel_at > 0 && p->done >= tool->cancel_at;
}

static void on_log(void *user, int level, const char *module, const char *message)
{
    (void) user;
    (void) fprintf(stderr, "log %d %s: %s\n", level, module, message);
}

int main(int argc, char **argv)
{
    const char *cancel = getenv("DISK_TOOL_CANCEL");
    struct tool tool = { .verbose = getenv("DISK_TOOL_PROGRESS") != NULL };
    uint64_t max = 0;
    mvm_error *error = NULL;
    char *path = NULL;
    int r;

    if (argc < 3 || argc > 5 ||
        (cancel && !scan_u64(cancel, strlen(cancel), UINT64_MAX, &tool.cancel_at)) ||
        (argc > 4 && !scan_u64(argv[4], strlen(argv[4]), UINT64_MAX, &max))) {
        (void) fprintf(stderr, "usage: disk-tool URL DIR [SHA256|-] [MAX_BYTES]\n");
        return 2;
    }
    const mvm_disk_image_options options = MVM_DISK_IMAGE_OPTIONS(
            .sha256 = argc > 3 && argv[3][0] != '-' ? argv[3] : NULL, .max_bytes = max,
            .progress = on_progress, .progress_user = &tool, .log = on_log);

    r = mvm_disk_image_fetch(argv[1], argv[2], &options, &path, &error);
    if (r == 0)
        (void) printf("%s\n", path);
    else
        (void) fprintf(stderr, "%d %s\n", r, mvm_error_message(error));
    free(path);
    mvm_error_free(error);
    return r == 0 ? 0 : 125;
}
