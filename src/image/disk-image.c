/* SPDX-License-Identifier: Apache-2.0 */
#include "image/disk-image.h"

#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "image/disk-download.h"
#include "image/disk-inflate.h"
#include "image/url.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A download may find another file on the server so often before it gives up. */
#define RESTARTS_MAX 3
#define COPY_BLOCK (256u << 10)
/* Two digests. */
#define NOTE_MAX 4096
#define INFLATED_PREFIX ".inflate-"

struct disk_job {
    const struct disk_fetch *fetch;
    char *name, *note, *inflated; /* owned: of the image, of what is noted, of it in the making */
    int dir_fd;                   /* owned */
    struct image_tick tick;
    struct digest download, content;
};

static void job_deinit(struct disk_job *j)
{
    free(j->name);
    free(j->note);
    free(j->inflated);
    if (j->dir_fd >= 0)
        (void) close(j->dir_fd);
}
MVM_DEFINE_AUTOVALUE(disk_job, job_deinit)

static int job_init(struct disk_job *j, mvm_error **err)
{
    int r = disk_image_name(j->fetch->url, &j->name, err);

    if (r < 0)
        return r;
    if (asprintf(&j->note, ".%s.json", j->name) < 0) {
        j->note = NULL;
        return mvm_fail_nomem(err);
    }
    if (asprintf(&j->inflated, INFLATED_PREFIX "%s", j->name) < 0) {
        j->inflated = NULL;
        return mvm_fail_nomem(err);
    }
    return path_make_dirs(j->fetch->dir, 0700, &j->dir_fd, err);
}

static int hash_file(struct disk_job *j, int fd, struct digest *ret, mvm_error **err)
{
    mvm_autofree char *data = malloc(COPY_BLOCK);
    mvm_auto(digest_stream) hash = NULL;
    ssize_t n = 1;
    int r;

    if (!data)
        return mvm_fail_nomem(err);
    r = digest_stream_new(DIGEST_SHA256, &hash, err);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "seek in '%s'", j->name);
    while (r == 0 && n > 0) {
        n = io_read_full(fd, data, COPY_BLOCK, err);
        if (n < 0)
            return (int) n;
        digest_stream_update(hash, data, (size_t) n);
        r = image_tick(&j->tick, err);
    }
    return r < 0 ? r : digest_stream_finish(hash, ret, err);
}

/* What was downloaded, and what came of it; false: not known. */
static bool note_read(const struct disk_job *j, struct digest *ret_download,
                      struct digest *ret_content)
{
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *note = NULL;
    const char *download = NULL, *content = NULL;
    size_t len = 0;

    return file_read(j->dir_fd, j->note, NOTE_MAX, &text, &len, NULL) == 0 &&
           json_parse(text, len, j->note, &note, NULL) == 0 && json_is_object(note) &&
           json_need_str(note, "download", &download, NULL) == 0 &&
           json_need_str(note, "content", &content, NULL) == 0 &&
           digest_parse(download, ret_download, NULL) == 0 &&
           digest_parse(content, ret_content, NULL) == 0;
}

static int note_write(const struct disk_job *j, mvm_error **err)
{
    mvm_autojson json_t *note = json_pack("{s:s, s:s}", "download",
                                          digest_format(&j->download).text, "content",
                                          digest_format(&j->content).text);
    mvm_autofree char *text = note ? json_dumps(note, JSON_INDENT(2)) : NULL;

    if (!text)
        return mvm_fail_nomem(err);
    return file_write(j->dir_fd, j->note, text, strlen(text), 0600, err);
}

/* Why the file is not what is wanted: MVM_E_DIGEST; 0: it is. One whose download is not noted was
 * put there as it is on the server. */
static int check_content(struct disk_job *j, int fd, mvm_error **err)
{
    const struct digest *want = j->fetch->sha256;
    struct digest download, content, found;
    const bool noted = note_read(j, &download, &content);
    int r;

    if (!want)
        return 0;
    if (noted && !digest_equal(&download, want))
        return mvm_fail(err, MVM_E_DIGEST, 0, "it came of a file with the digest %s, wanted is %s",
                        digest_format(&download).text, digest_format(want).text);
    r = hash_file(j, fd, &found, err);
    if (r == 0 && !digest_equal(&found, noted ? &content : want))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "it has the digest %s, not %s",
                     digest_format(&found).text, digest_format(noted ? &content : want).text);
    return r;
}

/* 1: the image is there; 0: it is not, or not any more. */
static int find_image(struct disk_job *j, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    mvm_autoclose int fd = -EBADF;
    struct stat st;
    int r = path_open_beneath(j->dir_fd, j->name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &why);

    if (r == MVM_E_NOT_FOUND)
        return 0;
    if (r == 0 && fstat(fd, &st) < 0)
        r = mvm_fail(&why, MVM_E_SYS, errno, "look at '%s'", j->name);
    if (r == 0 && !S_ISREG(st.st_mode))
        r = mvm_fail(&why, MVM_E_EXISTS, 0, "'%s' is not a regular file", j->name);
    if (r == 0)
        r = check_content(j, fd, &why);
    if (r == 0)
        return 1;
    if (r != MVM_E_DIGEST) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    log_warning(j->fetch->log, "disk-image", "'%s' is fetched again: %s", j->name,
                mvm_error_message(why));
    (void) unlinkat(j->dir_fd, j->note, 0);
    if (unlinkat(j->dir_fd, j->name, 0) < 0 && errno != ENOENT)
        return mvm_fail(err, MVM_E_SYS, errno, "remove '%s'", j->name);
    return 0;
}

static ssize_t input_read(void *user, void *data, size_t len, mvm_error **err)
{
    return disk_download_read(user, data, len, err);
}

static int check_download(struct disk_job *j, struct disk_download *d, mvm_error **err)
{
    const struct digest *want = j->fetch->sha256;
    int r = disk_download_digest(d, &j->download, err);

    if (r == 0 && want && !digest_equal(&j->download, want))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "it has the digest %s, expected is %s",
                     digest_format(&j->download).text, digest_format(want).text);
    return r;
}

/* Puts the finished file @from, whose descriptor is @fd, in its place. */
static int publish(struct disk_job *j, int fd, const char *from, mvm_error **err)
{
    int r = io_sync(fd, j->name, err);

    if (r == 0)
        r = note_write(j, err);
    if (r < 0)
        return r;
    if (fchmod(fd, 0600) < 0 || renameat(j->dir_fd, from, j->dir_fd, j->name) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "put '%s' in its place", j->name);
    return io_sync(j->dir_fd, "the folder", err);
}

static int take_plain(struct disk_job *j, struct disk_download *d, mvm_error **err)
{
    mvm_autofree char *part = NULL;
    mvm_autofree char *data = malloc(COPY_BLOCK);
    ssize_t n;
    int r;

    if (!data)
        return mvm_fail_nomem(err);
    while ((n = disk_download_read(d, data, COPY_BLOCK, err)) > 0)
        ;
    r = n < 0 ? (int) n : check_download(j, d, err);
    if (r < 0)
        return r;
    j->content = j->download;
    if (asprintf(&part, DISK_PART_PREFIX "%s", j->name) < 0) {
        part = NULL;
        return mvm_fail_nomem(err);
    }
    return publish(j, disk_download_fd(d), part, err);
}

static int inflate_into(struct disk_job *j, struct disk_download *d, enum disk_kind kind, int fd,
                        mvm_error **err)
{
    const struct disk_input input = { .read = input_read, .user = d };
    struct disk_output out = { .fd = fd, .max = j->fetch->max_bytes };
    int r = disk_inflate(kind, &input, &out, err);

    if (r == 0)
        r = check_download(j, d, err);
    if (r == 0)
        r = hash_file(j, fd, &j->content, err);
    return r < 0 ? r : publish(j, fd, j->inflated, err);
}

static int take_compressed(struct disk_job *j, struct disk_download *d, enum disk_kind kind,
                           mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r;

    /* The lock of the download is that of this name: what is there was left by a killed process. */
    if (unlinkat(j->dir_fd, j->inflated, 0) < 0 && errno != ENOENT)
        return mvm_fail(err, MVM_E_SYS, errno, "remove '%s'", j->inflated);
    r = path_open_beneath(j->dir_fd, j->inflated, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, err);
    if (r < 0)
        return r;
    r = inflate_into(j, d, kind, fd, err);
    if (r < 0)
        (void) unlinkat(j->dir_fd, j->inflated, 0);
    return r;
}

/* *ret_kind tells whether the part has become the image. */
static int take_download(struct disk_job *j, struct disk_download *d, enum disk_kind *ret_kind,
                         mvm_error **err)
{
    unsigned char magic[DISK_MAGIC_LEN];
    ssize_t n = disk_download_peek(d, magic, sizeof(magic), err);

    if (n < 0)
        return (int) n;
    *ret_kind = disk_detect(magic, (size_t) n);
    return *ret_kind == DISK_PLAIN ? take_plain(j, d, err) : take_compressed(j, d, *ret_kind, err);
}

/* What is kept for the next time: bytes that may well be right. */
static bool is_worth_keeping(int r)
{
    return r == MVM_E_NET || r == MVM_E_CANCELLED || r == MVM_E_NOMEM;
}

static int download(struct disk_job *j, struct disk_download *d, mvm_error **err)
{
    enum disk_kind kind = DISK_PLAIN;

    for (unsigned n = 0;; n++) {
        mvm_autoerror mvm_error *why = NULL;
        int r = take_download(j, d, &kind, &why);

        if (r == MVM_E_STATE && n < RESTARTS_MAX) {
            log_debug(j->fetch->log, "disk-image", "%s: from the beginning: %s", j->name,
                      mvm_error_message(why));
            r = disk_download_restart(d, err);
            if (r < 0)
                return r;
            continue;
        }
        if (r < 0)
            error_move(err, steal_ptr(&why));
        if (!is_worth_keeping(r) || disk_download_is_empty(d))
            disk_download_drop(d, r == 0 && kind == DISK_PLAIN);
        return r == MVM_E_STATE ? mvm_context(err, r, "given up after %u restarts", n) : r;
    }
}

static int fetch_image(struct disk_job *j, mvm_error **err)
{
    const struct disk_request request = { .url = j->fetch->url,
                                          .name = j->name,
                                          .dir_fd = j->dir_fd,
                                          .max_bytes = j->fetch->max_bytes,
                                          .verified = j->fetch->sha256 != NULL,
                                          .tick = &j->tick };
    mvm_auto(disk_download) d = NULL;
    int r = find_image(j, err);

    if (r != 0)
        return r < 0 ? r : 0;
    disk_download_sweep(j->dir_fd);
    r = disk_download_open(&request, &d, err);
    /* Another process may have made it while we waited for the lock. */
    if (r == 0)
        r = find_image(j, err);
    if (r == 1) {
        disk_download_drop(d, false);
        return 0;
    }
    return r < 0 ? r : download(j, d, err);
}

int disk_image_fetch(const struct disk_fetch *fetch, char **ret, mvm_error **err)
{
    mvm_autofree char *shown = url_for_message(fetch->url);
    mvm_autofree char *path = NULL;
    mvm_autovalue(disk_job) j = { .fetch = fetch, .dir_fd = -EBADF };
    mvm_autovalue(url) url = { 0 };
    int r;

    if (!shown)
        return mvm_fail_nomem(err);
    j.tick = (struct image_tick){ .fn = fetch->progress, .user = fetch->progress_user };
    j.tick.now = (struct image_progress){ .phase = IMAGE_PHASE_DISK, .name = shown };
    r = url_parse(fetch->url, &url, err);
    if (r == 0)
        r = job_init(&j, err);
    if (r == 0)
        r = image_tick_now(&j.tick, err);
    if (r == 0)
        r = fetch_image(&j, err);
    if (r == 0)
        r = image_tick_now(&j.tick, err);
    if (r < 0)
        return mvm_context(err, r, "disk image %.512s", shown);
    path = path_join(fetch->dir, j.name);
    if (!path)
        return mvm_fail_nomem(err);
    *ret = steal_ptr(&path);
    return 0;
}
