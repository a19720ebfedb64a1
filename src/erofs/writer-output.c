/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"
#include "base/io.h"
#include "erofs/writer-internal.h"

/* Large enough that system calls do not count. */
#define OUTPUT_BUFFER (256u << 10)

int output_init(struct output *o, int fd, mvm_error **err)
{
    *o = (struct output){ .fd = fd, .buf = malloc(OUTPUT_BUFFER) };
    return o->buf ? 0 : mvm_fail_nomem(err);
}

void output_deinit(struct output *o)
{
    free(o->buf);
    o->buf = NULL;
}

uint64_t output_at(const struct output *o)
{
    return o->flushed + o->len;
}

int output_flush(struct output *o, mvm_error **err)
{
    int r = io_write_all(o->fd, o->buf, o->len, err);

    if (r < 0)
        return r;
    o->crc = crc64_add(o->crc, o->buf, o->len);
    o->flushed += o->len;
    o->len = 0;
    return 0;
}

/* A piece of the buffer, at most @want bytes, for the caller to fill. */
static int output_room(struct output *o, uint64_t want, unsigned char **ret, size_t *ret_len,
                       mvm_error **err)
{
    int r = o->len == OUTPUT_BUFFER ? output_flush(o, err) : 0;
    size_t room = OUTPUT_BUFFER - o->len;

    if (r < 0)
        return r;
    room = want < room ? (size_t) want : room;
    *ret = o->buf + o->len;
    *ret_len = room;
    o->len += room;
    return 0;
}

int output_put(struct output *o, const void *data, size_t len, mvm_error **err)
{
    const unsigned char *from = data;

    while (len > 0) {
        unsigned char *to;
        size_t n;
        int r = output_room(o, len, &to, &n, err);

        if (r < 0)
            return r;
        memcpy(to, from, n);
        from += n;
        len -= n;
    }
    return 0;
}

int output_fill(struct output *o, uint64_t offset, mvm_error **err)
{
    while (output_at(o) < offset) {
        unsigned char *to;
        size_t n;
        int r = output_room(o, offset - output_at(o), &to, &n, err);

        if (r < 0)
            return r;
        memset(to, 0, n);
    }
    return 0;
}
