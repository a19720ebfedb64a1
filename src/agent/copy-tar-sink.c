/* SPDX-License-Identifier: Apache-2.0 */
/* A tar stream on its way to a descriptor, through libarchive's pax writer. */
#include "agent/copy-internal.h"
#include "base/libarchive.h"
#include "base/stream-end.h"

#include <locale.h>
#include <poll.h>
#include <sys/stat.h>

struct tar_sink {
    struct stream_end end;
    char *prefix;            /* owned */
    struct archive *archive; /* owned */
    locale_t locale;         /* owned */
    mvm_error *write_error;  /* owned: why the descriptor took no more */
    int write_code;
};

/* For one call of libarchive, in the calling thread. */
static void locale_leave(locale_t *before)
{
    (void) uselocale(*before);
}
#define IN_LOCALE(s) \
    __attribute__((cleanup(locale_leave), unused)) locale_t locale_ = uselocale((s)->locale)

/* libarchive 3.6.2 leaks what it holds when its writer fails, so that it never hears of that: the
 * rest is dropped, and whoever called it asks for write_code. */
static la_ssize_t write_out(struct archive *a, void *user, const void *data, size_t len)
{
    struct tar_sink *s = user;

    (void) a;
    while (s->write_code == 0) {
        struct pollfd p = { .fd = s->end.fd, .events = POLLOUT };
        ssize_t n = -1;

        errno = EAGAIN;
        if (!s->end.blocking || poll(&p, 1, -1) == 1)
            n = stream_end_write(&s->end, data, len);
        if (n >= 0)
            return n;
        if (errno == EAGAIN && poll(&p, 1, -1) >= 0)
            continue;
        if (errno == EINTR)
            continue;
        s->write_code = mvm_fail(&s->write_error, MVM_E_SYS, errno, "write the tar stream");
    }
    return (la_ssize_t) len;
}

/* After a call of libarchive: whether it, and the writing, went well. */
static int tar_check(struct tar_sink *s, bool good, mvm_error **err)
{
    const char *text = libarchive()->error_string(s->archive);

    if (s->write_code < 0) {
        error_move(err, steal_ptr(&s->write_error));
        return s->write_code;
    }
    if (good)
        return 0;
    return mvm_fail(err, MVM_E_SYS, 0, "make the tar stream: %s", text ? text : "no reason given");
}

int tar_sink_new(int fd, const char *prefix, struct tar_sink **ret, mvm_error **err)
{
    mvm_auto(tar_sink) s = calloc(1, sizeof(*s));
    int r;

    if (!s) {
        (void) close(fd);
        return mvm_fail_nomem(err);
    }
    s->end = (struct stream_end) STREAM_END_NONE;
    r = stream_end_open(fd, true, &s->end, err);
    if (r == 0)
        r = libarchive_load(err);
    if (r < 0)
        return r;
    /* Names that are UTF-8 need no mark in the stream then, which other programs remark upon. */
    s->locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t) 0);
    if (s->locale == (locale_t) 0)
        s->locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    s->prefix = strdup(prefix);
    s->archive = libarchive()->write_new();
    if (s->locale == (locale_t) 0 || !s->prefix || !s->archive)
        return mvm_fail_nomem(err);
    IN_LOCALE(s);
    if (libarchive()->write_set_format_pax_restricted(s->archive) != ARCHIVE_OK ||
        libarchive()->write_set_bytes_in_last_block(s->archive, 1) != ARCHIVE_OK ||
        libarchive()->write_open(s->archive, s, NULL, write_out, NULL) != ARCHIVE_OK)
        return tar_check(s, false, err);
    *ret = steal_ptr(&s);
    return 0;
}

static int sink_info(void *user, const struct agent_file *f, mvm_error **err)
{
    struct tar_sink *s = user;
    mvm_autofree char *name = NULL;
    struct archive_entry *e = libarchive()->entry_new();
    int64_t seconds = f->mtime_ns / 1000000000, rest = f->mtime_ns % 1000000000;
    int code;

    if (asprintf(&name, "%s%s%s", s->prefix, f->name ? "/" : "", f->name ? f->name : "") < 0)
        name = NULL;
    if (!e || !name) {
        libarchive()->entry_free(e);
        return mvm_fail_nomem(err);
    }
    IN_LOCALE(s);
    libarchive()->entry_copy_pathname(e, name);
    libarchive()->entry_set_mode(e, f->mode);
    libarchive()->entry_set_uid(e, f->uid);
    libarchive()->entry_set_gid(e, f->gid);
    libarchive()->entry_set_mtime(e, rest < 0 ? seconds - 1 : seconds,
                                  (long) (rest < 0 ? rest + 1000000000 : rest));
    libarchive()->entry_set_size(e, S_ISREG(f->mode) ? (int64_t) f->size : 0);
    if (S_ISLNK(f->mode))
        libarchive()->entry_copy_symlink(e, f->link);
    code = libarchive()->write_header(s->archive, e);
    libarchive()->entry_free(e);
    /* A name that is no UTF-8 goes as it is, with a warning. */
    return tar_check(s, code >= ARCHIVE_WARN, err);
}

static int sink_data(void *user, struct bytes_view data, mvm_error **err)
{
    struct tar_sink *s = user;

    IN_LOCALE(s);
    return tar_check(
        s, libarchive()->write_data(s->archive, data.data, data.len) == (la_ssize_t) data.len, err);
}

struct copy_sink tar_sink_get(struct tar_sink *s)
{
    return (struct copy_sink){ .info = sink_info, .data = sink_data, .user = s };
}

int tar_sink_finish(struct tar_sink *s, mvm_error **err)
{
    IN_LOCALE(s);
    return tar_check(s, libarchive()->write_close(s->archive) == ARCHIVE_OK, err);
}

void tar_sink_free(struct tar_sink *s)
{
    if (!s)
        return;
    if (s->archive) {
        /* A stream that is not whole must not look as if it were: its end is dropped. */
        s->write_code = s->write_code ? s->write_code : MVM_E_CANCELLED;
        (void) libarchive()->write_free(s->archive);
    }
    if (s->locale != (locale_t) 0)
        freelocale(s->locale);
    stream_end_close(&s->end);
    mvm_error_free(s->write_error);
    free(s->prefix);
    free(s);
}
