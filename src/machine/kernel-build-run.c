/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of a kernel's build: into the log, with its progress, and a failure with its reason.
 */
#include "base/child.h"
#include "machine/kernel-build-internal.h"

#include <signal.h>

/* Objects of our own options on x86-64, for a person's idea of how far it is. */
#define BUILD_FILES_ABOUT 1640
/* Of the log, looked at in one go, and for the reason of a failure. */
#define BUILD_LOG_CHUNK 65536
/* Of a line of the log in a message. */
#define BUILD_SHOWN_MAX 300

void build_step(struct build *b, const char *step)
{
    b->step = step;
    log_info(b->store.log, "kernel", "%s", step);
}

/* One line of kbuild's is one file, or another small step. */
static void count_files(struct build *b)
{
    char chunk[4096];
    ssize_t n;

    while ((n = pread(b->log_fd, chunk, sizeof(chunk), b->log_seen)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            b->files += chunk[i] == '\n';
        b->log_seen += n;
    }
}

int build_watch(void *user)
{
    struct build *b = user;

    count_files(b);
    return b->options->progress
               ? b->options->progress(b->options->progress_user, b->step,
                                      b->object_path ? b->files : 0, BUILD_FILES_ABOUT)
               : 0;
}

/* The line that tells why: the first with an error in it, else the last. */
static const char *find_reason(char *text)
{
    static const char *const signs[] = { "error", "Error", "***", "No space", "annot" };
    const char *last = "";

    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        char *next = line + len + (line[len] == '\n');

        line[len] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
            if (strstr(line, signs[i]))
                return line;
        if (len > 0)
            last = line;
        line = next;
    }
    return last;
}

static int explain(const struct build *b, const char *program, off_t start, mvm_error **err)
{
    mvm_autofree char *text = malloc(BUILD_LOG_CHUNK + 1);
    off_t end = lseek(b->log_fd, 0, SEEK_END);
    ssize_t n;

    if (!text)
        return mvm_fail_nomem(err);
    /* The end of a long one: who fails, ends soon after. */
    n = pread(b->log_fd, text, BUILD_LOG_CHUNK,
              end - start > BUILD_LOG_CHUNK ? end - BUILD_LOG_CHUNK : start);
    text[n > 0 ? n : 0] = '\0';
    return mvm_fail(err, MVM_E_CHILD, 0, "%s: %s: %.*s (all of it: %s)", b->step, program,
                    BUILD_SHOWN_MAX, find_reason(text), b->log_path);
}

int build_run(struct build *b, char *const *argv, char *const *envp, int timeout_ms,
              mvm_error **err)
{
    const struct child_fd held = { .from = b->store.lock_fd, .to = STDIN_FILENO };
    /* SIGTERM: make passes it on to its own children, and they would outlive a make that was
     * killed. */
    const struct child_spec spec = { .argv = argv,
                                     .envp = envp,
                                     .fds = &held,
                                     .n_fds = 1,
                                     .death_signal = SIGTERM,
                                     .watch = build_watch,
                                     .watch_user = b,
                                     .output_fd = b->log_fd };
    off_t start = lseek(b->log_fd, 0, SEEK_END);
    int r;

    r = child_run(&spec, timeout_ms, 0, NULL, err);
    if (r != MVM_E_CHILD)
        return r;
    if (err) {
        mvm_error_free(*err);
        *err = NULL;
    }
    return explain(b, argv[0], start, err);
}
