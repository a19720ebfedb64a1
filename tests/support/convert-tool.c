/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert-tool BLOB DATA INDEX [ROUNDS]: converts a layer, plain or compressed, as a pull does,
 * from a file instead of a network, and prints what it took beside the bare cost of the same:
 * SHA-256 of the compressed bytes and of the plain ones, inflating, and one write. The medians of
 * ROUNDS, and the most memory that the process had.
 *
 * convert-tool --list INDEX: prints the records, one a line.
 */
#include "base/clock.h"
#include "base/scan.h"
#include "image/inflate.h"
#include "image/layer-convert.h"
#include "image/layer-index.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define TOOL_BLOCK (256u << 10)
#define TOOL_ROUNDS_MAX 20

static double now_s(clockid_t clock)
{
    struct timespec ts;

    (void) clock_gettime(clock, &ts);
    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

struct file_reader {
    struct blob_reader base;
    int fd;
};

static ssize_t file_reader_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    ssize_t n = read(((struct file_reader *) base)->fd, data, len);

    return n < 0 ? mvm_fail(err, MVM_E_SYS, errno, "read the blob") : n;
}

static void file_reader_free(struct blob_reader *base)
{
    (void) base; /* is on the stack */
}

enum part {
    PART_READ = 0,
    PART_BLOB_SHA256,
    PART_INFLATE,
    PART_PLAIN_SHA256,
    PART_WRITE,
    PARTS
};
static const char *const part_names[] = { "read", "sha256 of the blob", "inflate",
                                          "sha256 of the tar", "write" };

struct tool {
    int blob, data, index;
    struct oci_descriptor descriptor;
    struct digest diff_id;
    double parts[PARTS]; /* of one bare round */
    uint64_t plain_bytes;
};

static void lap(struct tool *t, enum part part, double *since)
{
    double now = now_s(CLOCK_MONOTONIC);

    t->parts[part] += now - *since;
    *since = now;
}

/* One piece of the blob through the bare path. */
static int bare_piece(struct tool *t, struct inflate *z, struct inflate_io io, unsigned char *out,
                      struct digest_stream *plain, mvm_error **err)
{
    double at = now_s(CLOCK_MONOTONIC);

    do {
        size_t before = io.in_len, n;
        const unsigned char *from = out;
        int r = 0;

        io.out = out;
        io.out_size = TOOL_BLOCK;
        if (z) {
            r = inflate_step(z, &io, err);
            n = io.out_len;
        } else {
            from = io.in;
            n = io.in_len;
            io.in_len = 0;
        }
        lap(t, PART_INFLATE, &at);
        if (r < 0)
            return r;
        digest_stream_update(plain, from, n);
        lap(t, PART_PLAIN_SHA256, &at);
        if (n > 0 && write(t->data, from, n) != (ssize_t) n)
            return mvm_fail(err, MVM_E_SYS, errno, "write");
        lap(t, PART_WRITE, &at);
        t->plain_bytes += n;
        if (n == 0 && io.in_len == before)
            break;
    } while (io.in_len > 0 || (z && io.out_len > 0));
    return 0;
}

/* Learns the digests on the way. */
static int bare(struct tool *t, mvm_error **err)
{
    mvm_autofree unsigned char *in = malloc(TOOL_BLOCK), *out = malloc(TOOL_BLOCK);
    mvm_auto(digest_stream) blob = NULL;
    mvm_auto(digest_stream) plain = NULL;
    mvm_auto(inflate) z = NULL;
    bool first = true;
    ssize_t n;
    int r;

    memset(t->parts, 0, sizeof(t->parts));
    t->plain_bytes = 0;
    if (!in || !out || lseek(t->blob, 0, SEEK_SET) < 0 || ftruncate(t->data, 0) < 0 ||
        lseek(t->data, 0, SEEK_SET) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "begin");
    r = digest_stream_new(DIGEST_SHA256, &blob, err);
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &plain, err);
    for (double at = now_s(CLOCK_MONOTONIC); r == 0 && (n = read(t->blob, in, TOOL_BLOCK)) > 0;) {
        enum inflate_kind kind = inflate_detect(in, (size_t) n);

        lap(t, PART_READ, &at);
        digest_stream_update(blob, in, (size_t) n);
        lap(t, PART_BLOB_SHA256, &at);
        if (first && kind != INFLATE_PLAIN)
            r = inflate_new(kind, &z, err);
        first = false;
        if (r == 0)
            r = bare_piece(t, z, (struct inflate_io){ .in = in, .in_len = (size_t) n }, out, plain,
                           err);
        at = now_s(CLOCK_MONOTONIC);
    }
    if (r == 0)
        r = digest_stream_finish(blob, &t->descriptor.digest, err);
    return r < 0 ? r : digest_stream_finish(plain, &t->diff_id, err);
}

static int convert(struct tool *t, struct layer_sums *sums, mvm_error **err)
{
    struct file_reader reader = { .base = { .read = file_reader_read, .free = file_reader_free },
                                  .fd = t->blob };
    struct image_budget budget = { .limits = IMAGE_LIMITS_DEFAULT };
    const struct layer_expect expect = { .blob = &t->descriptor,
                                         .diff_id = &t->diff_id,
                                         .budget = &budget };
    const struct layer_output out = { .data_fd = t->data, .index_fd = t->index };
    mvm_auto(layer_stream) stream = NULL;
    int r;

    if (lseek(t->blob, 0, SEEK_SET) < 0 || ftruncate(t->data, 0) < 0 || ftruncate(t->index, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "begin");
    r = layer_stream_new(&reader.base, &expect, &stream, err);
    return r < 0 ? r : layer_convert(stream, &out, &budget, NULL, sums, err);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return values[n / 2];
}

/* Seconds that pass, of all processors, and of the calling thread alone: on a busy machine the
 * first says little. */
struct times {
    double wall, processors, thread;
};
static struct times times_now(void)
{
    return (struct times){ .wall = now_s(CLOCK_MONOTONIC),
                           .processors = now_s(CLOCK_PROCESS_CPUTIME_ID),
                           .thread = now_s(CLOCK_THREAD_CPUTIME_ID) };
}

struct samples {
    double wall[TOOL_ROUNDS_MAX], processors[TOOL_ROUNDS_MAX], thread[TOOL_ROUNDS_MAX];
};
static void sample(struct samples *s, size_t round, const struct times *from)
{
    struct times now = times_now();

    s->wall[round] = now.wall - from->wall;
    s->processors[round] = now.processors - from->processors;
    s->thread[round] = now.thread - from->thread;
}

static struct times medians(struct samples *s, size_t rounds)
{
    return (struct times){ .wall = median(s->wall, rounds),
                           .processors = median(s->processors, rounds),
                           .thread = median(s->thread, rounds) };
}

static void print_times(struct samples *bare_samples, struct samples *samples, size_t rounds)
{
    struct times b = medians(bare_samples, rounds), c = medians(samples, rounds);

    (void) printf("bare total   %6.3f s, %6.3f s of processors\n", b.wall, b.processors);
    (void) printf("conversion   %6.3f s, %6.3f s of processors, %6.3f s of them not hashing\n",
                  c.wall, c.processors, c.thread);
    (void) printf("conversion / bare: %.2f, of processors %.2f, not hashing %.2f\n",
                  c.wall / b.wall, c.processors / b.processors, c.thread / b.processors);
}

static int measure(struct tool *t, size_t rounds, mvm_error **err)
{
    struct samples bare_samples = { 0 }, samples = { 0 };
    double parts[PARTS][TOOL_ROUNDS_MAX];
    struct layer_sums sums = { 0 };
    struct rusage usage;

    for (size_t i = 0; i < rounds; i++) {
        struct times from = times_now();
        int r = bare(t, err);

        sample(&bare_samples, i, &from);
        for (size_t p = 0; p < PARTS; p++)
            parts[p][i] = t->parts[p];
        from = times_now();
        if (r == 0)
            r = convert(t, &sums, err);
        if (r < 0)
            return r;
        sample(&samples, i, &from);
    }
    for (size_t p = 0; p < PARTS; p++)
        (void) printf("bare %-18s %6.3f s\n", part_names[p], median(parts[p], rounds));
    print_times(&bare_samples, &samples, rounds);
    (void) getrusage(RUSAGE_SELF, &usage);
    (void) printf("plain %llu data %llu %016llx index %llu %016llx peak %ld KiB\n",
                  (unsigned long long) t->plain_bytes, (unsigned long long) sums.data_size,
                  (unsigned long long) sums.data_crc, (unsigned long long) sums.index_size,
                  (unsigned long long) sums.index_crc, usage.ru_maxrss);
    return 0;
}

static int measure_files(char **argv, size_t rounds, mvm_error **err)
{
    mvm_autoclose int blob = open(argv[1], O_RDONLY | O_CLOEXEC);
    mvm_autoclose int data = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    mvm_autoclose int index = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct tool t = { .blob = blob, .data = data, .index = index };
    struct stat st;

    if (blob < 0 || data < 0 || index < 0 || fstat(blob, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the files");
    t.descriptor.size = (uint64_t) st.st_size;
    return measure(&t, rounds, err);
}

static int list(const char *path, mvm_error **err)
{
    static const char *const kinds[] = { "?",    "file",  "dir",  "symlink",  "hardlink",
                                         "char", "block", "fifo", "whiteout", "opaque" };
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    mvm_autovalue(layer_cursor) c = { 0 };
    mvm_auto(layer_index) x = NULL;
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    r = layer_index_open(fd, NULL, &x, err);
    if (r < 0)
        return r;
    while ((r = layer_index_next(x, &c, err)) > 0)
        (void) printf("%s %s%s%s %04o %u:%u %lld.%09u size %llu block %llu xattrs %u\n",
                      kinds[c.record.kind], c.record.path, c.record.link_len > 0 ? " -> " : "",
                      c.record.link, c.record.mode, c.record.uid, c.record.gid,
                      (long long) c.record.mtime_s, c.record.mtime_ns,
                      (unsigned long long) c.record.size, (unsigned long long) c.record.data_block,
                      c.record.n_xattrs);
    return r;
}

int main(int argc, char **argv)
{
    mvm_autoerror mvm_error *error = NULL;
    uint64_t rounds = 1;
    int r;

    if (argc == 3 && strcmp(argv[1], "--list") == 0) {
        r = list(argv[2], &error);
    } else if (argc == 4 ||
               (argc == 5 && scan_u64(argv[4], strlen(argv[4]), TOOL_ROUNDS_MAX, &rounds) &&
                rounds > 0)) {
        r = measure_files(argv, (size_t) rounds, &error);
    } else {
        (void) fprintf(stderr, "usage: convert-tool BLOB DATA INDEX [ROUNDS] | --list INDEX\n");
        return 2;
    }
    if (r == 0)
        return 0;
    (void) fprintf(stderr, "%d %s\n", r, mvm_error_message(error));
    return 125;
}
