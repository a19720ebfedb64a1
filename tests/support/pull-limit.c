/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a pull has to do with its layers, and nothing else: hash the compressed bytes,
 * inflate, hash the plain bytes, write those once, and sync. One thread a CPU, each with the next
 * layer that nobody has.
 *
 *   pull-limit FOLDER BLOB...      the milliseconds that it took; FOLDER gets the plain layers
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/io.h"
#include "image/inflate.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#define PIECE (1u << 20)
#define THREADS_MAX 64

struct work {
    char **blobs;
    int n;
    atomic_int next;
    int folder;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

struct layer {
    struct digest_stream *blob, *plain;
    struct inflate *inflate;
    unsigned char *out;
    int fd;
};

static void write_plain(struct layer *l, const void *data, size_t len)
{
    digest_stream_update(l->plain, data, len);
    if (io_write_all(l->fd, data, len, NULL) < 0)
        die("write");
}

static void inflate_piece(struct layer *l, const unsigned char *data, size_t len)
{
    struct inflate_io io = { .in = data, .in_len = len, .out = l->out, .out_size = PIECE };

    do {
        io.out_len = 0;
        if (inflate_step(l->inflate, &io, NULL) < 0)
            die("inflate");
        write_plain(l, l->out, io.out_len);
    } while (io.in_len > 0 || io.out_len == PIECE);
}

static void layer_open(struct layer *l, const struct work *w, int i)
{
    char name[32];

    (void) snprintf(name, sizeof(name), "limit-%d", i);
    l->fd = openat(w->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    l->out = malloc(PIECE);
    if (l->fd < 0 || !l->out || digest_stream_new(DIGEST_SHA256, &l->blob, NULL) < 0 ||
        digest_stream_new(DIGEST_SHA256, &l->plain, NULL) < 0)
        die(name);
}

static void layer_close(struct layer *l)
{
    struct digest digest;

    if (digest_stream_finish(l->blob, &digest, NULL) < 0 ||
        digest_stream_finish(l->plain, &digest, NULL) < 0 || fsync(l->fd) < 0 || close(l->fd) < 0)
        die("finish");
    digest_stream_free(l->blob);
    digest_stream_free(l->plain);
    inflate_free(l->inflate);
    free(l->out);
}

static void do_layer(const struct work *w, int i)
{
    struct layer l = { .inflate = NULL };
    mvm_autoclose int in = open(w->blobs[i], O_RDONLY | O_CLOEXEC);
    mvm_autofree unsigned char *data = malloc(PIECE);
    bool first = true;
    ssize_t n;

    layer_open(&l, w, i);
    if (in < 0 || !data)
        die(w->blobs[i]);
    for (; (n = io_read_full(in, data, PIECE, NULL)) > 0; first = false) {
        enum inflate_kind kind = inflate_detect(data, (size_t) n);

        if (first && kind != INFLATE_PLAIN && inflate_new(kind, &l.inflate, NULL) < 0)
            die("inflate");
        digest_stream_update(l.blob, data, (size_t) n);
        if (l.inflate)
            inflate_piece(&l, data, (size_t) n);
        else
            write_plain(&l, data, (size_t) n);
    }
    if (n < 0)
        die(w->blobs[i]);
    layer_close(&l);
}

static void *worker(void *user)
{
    struct work *w = user;

    for (int i = atomic_fetch_add(&w->next, 1); i < w->n; i = atomic_fetch_add(&w->next, 1))
        do_layer(w, i);
    return NULL;
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct work w = { .blobs = argv + 2, .n = argc - 2 };
    pthread_t threads[THREADS_MAX];
    int n = cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (int) cpus;
    uint64_t start = clock_now_ms();

    if (argc < 3) {
        (void) fprintf(stderr, "usage: pull-limit FOLDER BLOB...\n");
        return 2;
    }
    w.folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w.folder < 0)
        die(argv[1]);
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, worker, &w) != 0)
            die("pthread_create");
    for (int i = 0; i < n; i++)
        (void) pthread_join(threads[i], NULL);
    (void) printf("%llu\n", (unsigned long long) (clock_now_ms() - start));
    return 0;
}
