/* SPDX-License-Identifier: Apache-2.0 */
/* A tar stream on its way to a descriptor, through libarchive's pax writer. */
#include "agent/copy-internal.h"
#include "base/stream-end.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <poll.h>
#include <sys/stat.h>

struct tar_sink {
    struct stream_end end;
    char *prefix;            /* owned */
    struct archive *archive; /* owned */
    locale_t locale;         /* owned; C, in which libarchive leaves the bytes of names alone */
    mvm_error *write_error;  /* owned: why the descriptor took no more */
    int write_code;
};

/* For one call of libarchive, in the calling thread. */
static void locale_leave(locale_t *before)
{
    (void) uselocale(*before);
}
#define IN_C_LOCALE(s) \
    __attribute__((cleanup(locale_leave), unused)) locale_t locale_ = uselocale((s)->locale)

static la_ssize_t write_out(struct archive *a, void *user, const void *data, size_t len)
{
    struct tar_sink *s = user;

    for (;;) {
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
        archive_set_error(a, EIO, "the tar stream cannot be written");
        return -1;
    }
}

static int tar_fail(struct tar_sink *s, mvm_error **err)
{
    const char *text = archive_error_string(s->archive);

    if (s->write_code < 0) {
        error_move(err, steal_ptr(&s->write_error));
        return s->write_code;
    }
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
    if (r < 0)
        return r;
    s->locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    s->prefix = strdup(prefix);
    s->archive = archive_write_new();
    if (s->locale == (locale_t) 0 || !s->prefix || !s->archive)
        return mvm_fail_nomem(err);
    IN_C_LOCALE(s);
    if (archive_write_set_format_pax_restricted(s->archive) != ARCHIVE_OK ||
        archive_write_set_options(s->archive, "hdrcharset=BINARY") != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(s->archive, 1) != ARCHIVE_OK ||
        archive_write_open(s->archive, s, NULL, write_out, NULL) != ARCHIVE_OK)
        return tar_fail(s, err);
    *ret = steal_ptr(&s);
    return 0;
}

static int sink_info(void *user, const struct agent_file *f, mvm_error **err)
{
    struct tar_sink *s = user;
    mvm_autofree char *name = NULL;
    struct archive_entry *e = archive_entry_new();
    int64_t seconds = f->mtime_ns / 1000000000, rest = f->mtime_ns % 1000000000;
    int code;

    if (asprintf(&name, "%s%s%s", s->prefix, f->name ? "/" : "", f->name ? f->name : "") < 0)
        name = NULL;
    if (!e || !name) {
        archive_entry_free(e);
        return mvm_fail_nomem(err);
    }
    IN_C_LOCALE(s);
    archive_entry_copy_pathname(e, name);
    archive_entry_set_mode(e, f->mode);
    archive_entry_set_uid(e, f->uid);
    archive_entry_set_gid(e, f->gid);
    archive_entry_set_mtime(e, rest < 0 ? seconds - 1 : seconds,
                            (long) (rest < 0 ? rest + 1000000000 : rest));
    archive_entry_set_size(e, S_ISREG(f->mode) ? (int64_t) f->size : 0);
    if (S_ISLNK(f->mode))
        archive_entry_copy_symlink(e, f->link);
    code = archive_write_header(s->archive, e);
    archive_entry_free(e);
    return code >= ARCHIVE_WARN ? 0 : tar_fail(s, err);
}

static int sink_data(void *user, struct bytes_view data, mvm_error **err)
{
    struct tar_sink *s = user;

    IN_C_LOCALE(s);
    return archive_write_data(s->archive, data.data, data.len) == (la_ssize_t) data.len
               ? 0
               : tar_fail(s, err);
}

struct copy_sink tar_sink_get(struct tar_sink *s)
{
    return (struct copy_sink){ .info = sink_info, .data = sink_data, .user = s };
}

int tar_sink_finish(struct tar_sink *s, mvm_error **err)
{
    IN_C_LOCALE(s);
    return archive_write_close(s->archive) == ARCHIVE_OK ? 0 : tar_fail(s, err);
}

void tar_sink_free(struct tar_sink *s)
{
    if (!s)
        return;
    if (s->archive) {
        /* Not closed: a stream that is not whole must not look as if it were. */
        (void) archive_write_fail(s->archive);
        (void) archive_write_free(s->archive);
    }
    if (s->locale != (locale_t) 0)
        freelocale(s->locale);
    stream_end_close(&s->end);
    mvm_error_free(s->write_error);
    free(s->prefix);
    free(s);
}
