/* SPDX-License-Identifier: Apache-2.0 */
#include "image/disk-download.h"

#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "image/http.h"
#include "image/url.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

/* One read of the network. */
#define DOWNLOAD_BLOCK (256u << 10)
/* Most bytes of what is noted of a download: a URL and two headers. */
#define NOTE_MAX (64u << 10)
/* Waits between tries: from here, twice as long each time, to there (image.md I-325). */
#define WAIT_MIN_MS 500
#define WAIT_MAX_MS 30000
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LEN 36

struct disk_download {
    struct disk_request request;
    char *part, *note; /* owned: names of the files */
    int fd;            /* owned: the part, locked */
    char boot_id[BOOT_ID_LEN + 1];
    struct http_client *http;    /* owned */
    struct disk_answer answer;   /* whose body goes on; none: a new one is needed */
    struct disk_validator first; /* of the kept bytes */
    bool has_total;
    uint64_t total;
    uint64_t kept, at; /* bytes in the part; of these, handed out */
    bool ended;
    unsigned tries;             /* since the last byte */
    unsigned slow;              /* tries that were given up for their speed */
    uint64_t slow_at;           /* bytes that were there at the last of them */
    struct digest_stream *hash; /* owned */
    unsigned char *block;       /* owned */
};

void disk_download_free(struct disk_download *d)
{
    if (!d)
        return;
    disk_answer_deinit(&d->answer);
    disk_validator_deinit(&d->first);
    http_client_free(d->http);
    digest_stream_free(d->hash);
    if (d->fd >= 0)
        (void) close(d->fd);
    free(d->part);
    free(d->note);
    free(d->block);
    free(d);
}

int disk_download_fd(const struct disk_download *d)
{
    return d->fd;
}

bool disk_download_is_empty(const struct disk_download *d)
{
    return d->kept == 0;
}

static bool text_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool has_validator(const struct disk_validator *v)
{
    return v->etag || v->last_modified;
}

/* What was written before the machine stopped may not be what is there now. */
static void boot_id_read(char id[BOOT_ID_LEN + 1])
{
    mvm_autoclose int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : io_read_full(fd, id, BOOT_ID_LEN, NULL);

    id[n < 0 ? 0 : n] = '\0';
}

/* Locked, and still the file of that name. */
static int part_lock(struct disk_download *d, mvm_error **err)
{
    for (;;) {
        mvm_autoclose int fd = -EBADF;
        struct stat st;
        int r = path_open_beneath(d->request.dir_fd, d->part, O_RDWR | O_CREAT, 0600, &fd, err);

        if (r < 0)
            return r;
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK && errno != EINTR)
                return mvm_fail(err, MVM_E_SYS, errno, "lock '%s'", d->part);
            r = image_tick_sleep(d->request.tick, IMAGE_TICK_MS, err);
            if (r < 0)
                return r;
        }
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
            return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", d->part);
        if (st.st_nlink == 0)
            continue; /* its last owner was done with it */
        d->kept = (uint64_t) st.st_size;
        d->fd = steal_fd(&fd);
        return 0;
    }
}

/* That the note is of this URL and of this run of the machine. */
static bool note_fits(const struct disk_download *d, const json_t *j)
{
    const char *url = NULL, *boot = NULL;

    return json_get_str(j, "url", &url, NULL) == 0 && json_get_str(j, "boot", &boot, NULL) == 0 &&
           text_equal(url, d->request.url) && d->boot_id[0] && text_equal(boot, d->boot_id);
}

static bool note_read(struct disk_download *d)
{
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *j = NULL;
    const char *etag = NULL, *modified = NULL;
    size_t len = 0;

    if (file_read(d->request.dir_fd, d->note, NOTE_MAX, &text, &len, NULL) < 0 ||
        json_parse(text, len, d->note, &j, NULL) < 0 || !json_is_object(j) || !note_fits(d, j) ||
        json_get_str(j, "etag", &etag, NULL) < 0 ||
        json_get_str(j, "last_modified", &modified, NULL) < 0 ||
        json_get_u64(j, "total", INT64_MAX, &d->total, NULL) < 0)
        return false;
    d->has_total = d->total > 0;
    return text_replace(&d->first.etag, etag) == 0 &&
           text_replace(&d->first.last_modified, modified) == 0;
}

static int note_write(struct disk_download *d, mvm_error **err)
{
    mvm_autojson json_t *j = json_pack("{s:s, s:s, s:s*, s:s*, s:I}", "url", d->request.url, "boot",
                                       d->boot_id, "etag", d->first.etag, "last_modified",
                                       d->first.last_modified, "total",
                                       (json_int_t) (d->has_total ? d->total : 0));
    mvm_autofree char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;

    if (!text)
        return mvm_fail(err, MVM_E_FORMAT, 0, "headers that are no text");
    return file_write(d->request.dir_fd, d->note, text, strlen(text), 0600, err);
}

int disk_download_restart(struct disk_download *d, mvm_error **err)
{
    disk_answer_deinit(&d->answer);
    disk_validator_deinit(&d->first);
    digest_stream_free(steal_ptr(&d->hash));
    d->kept = d->at = d->total = d->slow_at = 0;
    d->has_total = d->ended = false;
    if (ftruncate(d->fd, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "empty '%s'", d->part);
    return digest_stream_new(DIGEST_SHA256, &d->hash, err);
}

void disk_download_drop(struct disk_download *d, bool renamed)
{
    if (!renamed)
        (void) unlinkat(d->request.dir_fd, d->part, 0);
    (void) unlinkat(d->request.dir_fd, d->note, 0);
}

static int names_make(struct disk_download *d, mvm_error **err)
{
    if (asprintf(&d->part, DISK_PART_PREFIX "%s", d->request.name) < 0) {
        d->part = NULL;
        return mvm_fail_nomem(err);
    }
    if (asprintf(&d->note, "%s" DISK_PART_SUFFIX, d->part) < 0) {
        d->note = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

int disk_download_open(const struct disk_request *request, struct disk_download **ret,
                       mvm_error **err)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    mvm_auto(disk_download) d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return mvm_fail_nomem(err);
    d->request = *request;
    d->fd = -EBADF;
    d->block = malloc(DOWNLOAD_BLOCK);
    if (!d->block)
        return mvm_fail_nomem(err);
    if (request->slow_ms > 0)
        limits.stall_ms = limits.slow_ms = request->slow_ms;
    boot_id_read(d->boot_id);
    r = names_make(d, err);
    if (r == 0)
        r = part_lock(d, err);
    if (r == 0)
        r = http_client_new(&limits, request->tick, &d->http, err);
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &d->hash, err);
    if (r == 0 && d->kept > 0 && !note_read(d))
        r = disk_download_restart(d, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&d);
    return 0;
}

static int check_max(const struct disk_download *d, uint64_t bytes, mvm_error **err)
{
    return bytes <= d->request.max_bytes
               ? 0
               : mvm_fail(err, MVM_E_LIMIT, 0, "more than the limit of %llu bytes",
                          (unsigned long long) d->request.max_bytes);
}

/* Whether the answer goes on with the file that the kept bytes are of. */
static bool answer_continues(const struct disk_download *d, const struct disk_answer *a)
{
    return a->from == d->kept && (!a->has_total || !d->has_total || a->total == d->total) &&
           text_equal(a->validator.etag, d->first.etag) &&
           text_equal(a->validator.last_modified, d->first.last_modified);
}

/* A new answer, from where the kept bytes end. */
static int answer_open(struct disk_download *d, mvm_error **err)
{
    /* Where nothing tells one file from another only a digest of the whole would notice. */
    const bool resumable = has_validator(&d->first) || d->request.verified;
    int r;

    if (d->kept > 0 && !resumable)
        return mvm_fail(err, MVM_E_STATE, 0, "the server has no way to tell a changed file");
    r = disk_http_get(d->http, d->request.url, d->kept, &d->answer, err);
    if (r < 0)
        return r;
    if (d->kept > 0 && !answer_continues(d, &d->answer))
        return mvm_fail(err, MVM_E_STATE, 0, "the file on the server is another one now");
    if (d->kept > 0)
        return 0;
    d->has_total = d->answer.has_total;
    d->total = d->answer.total;
    r = d->has_total ? check_max(d, d->total, err) : 0;
    if (r < 0)
        return r;
    disk_validator_deinit(&d->first);
    d->first = d->answer.validator;
    d->answer.validator = (struct disk_validator){ 0 };
    return note_write(d, err);
}

/* One read of the network, appended to the part. */
static int fetch_block(struct disk_download *d, mvm_error **err)
{
    ssize_t n;
    int r = d->answer.response ? 0 : answer_open(d, err);

    if (r < 0)
        return r;
    n = http_read(d->answer.response, d->block, DOWNLOAD_BLOCK, err);
    if (n < 0)
        return (int) n;
    d->ended = n == 0;
    if (n == 0)
        return !d->has_total || d->kept == d->total
                   ? 0
                   : mvm_fail(err, MVM_E_STATE, 0, "%llu bytes came, %llu were announced",
                              (unsigned long long) d->kept, (unsigned long long) d->total);
    r = check_max(d, d->kept + (uint64_t) n, err);
    if (r < 0)
        return r;
    if (lseek(d->fd, (off_t) d->kept, SEEK_SET) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "seek in '%s'", d->part);
    r = io_write_all(d->fd, d->block, (size_t) n, err);
    d->kept += r == 0 ? (uint64_t) n : 0;
    d->tries = r == 0 ? 0 : d->tries;
    return r;
}

static uint64_t wait_ms(const struct disk_download *d)
{
    uint64_t ms = WAIT_MIN_MS;

    for (unsigned i = 1; i < d->tries && ms < WAIT_MAX_MS; i++)
        ms *= 2;
    ms = ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
    return d->answer.retry_after_ms > ms ? d->answer.retry_after_ms : ms;
}

/* After a try that failed: one that dripped brought something, and yet must not go on for ever. */
static bool is_too_slow(struct disk_download *d)
{
    if (!http_client_slow(d->http))
        return false;
    if (d->kept - d->slow_at >= HTTP_SLOW_FORGIVEN)
        d->slow = 0;
    d->slow_at = d->kept;
    return ++d->slow >= DISK_TRIES;
}

/* More bytes, or the end, whatever it takes. */
static int fetch_more(struct disk_download *d, mvm_error **err)
{
    for (;;) {
        mvm_autoerror mvm_error *why = NULL;
        bool opened = d->answer.response != NULL;
        int r = fetch_block(d, &why);
        /* A body that breaks off may go on; an answer that was none tells itself. */
        const bool again = r == MVM_E_NET && (opened || d->answer.response || d->answer.retryable);
        uint64_t ms;

        if (r == 0)
            return 0;
        if (!again || ++d->tries >= DISK_TRIES || is_too_slow(d)) {
            error_move(err, steal_ptr(&why));
            return again ? mvm_context(err, r, "after %u tries",
                                       d->slow > d->tries ? d->slow : d->tries)
                         : r;
        }
        ms = wait_ms(d);
        disk_answer_deinit(&d->answer);
        r = image_tick_sleep(d->request.tick, ms, err);
        if (r < 0)
            return r;
    }
}

static int fetch_until(struct disk_download *d, uint64_t wanted, mvm_error **err)
{
    int r = 0;

    /* All of it was kept: nothing is left to ask for. */
    if (d->has_total && d->kept == d->total)
        d->ended = true;
    while (r == 0 && !d->ended && d->kept < wanted)
        r = fetch_more(d, err);
    return r;
}

static ssize_t part_read(struct disk_download *d, void *data, size_t len, mvm_error **err)
{
    size_t want = d->kept - d->at < len ? (size_t) (d->kept - d->at) : len;
    ssize_t n;

    do
        n = pread(d->fd, data, want, (off_t) d->at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? mvm_fail(err, MVM_E_SYS, errno, "read '%s'", d->part) : n;
}

ssize_t disk_download_read(struct disk_download *d, void *data, size_t len, mvm_error **err)
{
    ssize_t n;
    int r = fetch_until(d, d->at + 1, err);

    if (r == 0)
        r = image_tick(d->request.tick, err);
    if (r < 0)
        return r;
    n = part_read(d, data, len, err);
    if (n <= 0)
        return n;
    digest_stream_update(d->hash, data, (size_t) n);
    d->at += (uint64_t) n;
    d->request.tick->now.done = d->at;
    d->request.tick->now.total = d->has_total ? d->total : 0;
    return n;
}

ssize_t disk_download_peek(struct disk_download *d, void *data, size_t len, mvm_error **err)
{
    int r = fetch_until(d, len, err);

    return r < 0 ? r : part_read(d, data, len, err);
}

int disk_download_digest(struct disk_download *d, struct digest *ret, mvm_error **err)
{
    return digest_stream_finish(d->hash, ret, err);
}
