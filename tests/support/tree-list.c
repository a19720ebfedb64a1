/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-list [-x] DIR: one line an entry of the tree below DIR, in the order of the names' bytes, so
 * that two trees can be compared wherever they are mounted. It is linked statically and needs
 * nothing of the system that it runs in, not even /proc. Fields, with a tab between them:
 *
 *   path   "." for DIR itself; bytes other than printable ASCII, and the backslash, as \xNN
 *   type   of find -printf %y: f d l c b p s
 *   mode   four octal digits
 *   uid, gid
 *   mtime  seconds.nanoseconds
 *   links
 *   device MAJOR:MINOR of a device, else "-"
 *   size   of a file or a symlink, else "-"
 *   group  of what has several links: the first path of the same inode; else "-"
 *   digest of a file's content, or SHA-256 of a symlink's target; else "-"
 *   xattrs NAME=HEX of all extended attributes, sorted, with a comma between; "-": none
 *
 * The digest of a content is SHA-256 over each block of 4096 bytes that is not all zeros, with its
 * number (8 bytes, big-endian) before it: gigabytes of holes are read, but not hashed.
 *
 * -x does not descend into other file systems.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BLOCK 4096
/* XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux. */
#define XATTRS_MAX 65536

static void fail(const char *what)
{
    fprintf(stderr, "tree-list: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        fail("memory");
    return p;
}

/* SHA-256 (FIPS 180-4, 6.2). */
struct sha256 {
    uint32_t h[8];
    uint8_t block[64];
    uint64_t len;
};

/* The first 32 bits of the fractional parts of the n-th roots of the first primes. */
static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha256_block(struct sha256 *s)
{
    uint32_t w[64], v[8];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t) s->block[4 * i] << 24 | (uint32_t) s->block[4 * i + 1] << 16 |
               (uint32_t) s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, s->h, sizeof(v));
    for (int i = 0; i < 64; i++) {
        const uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                            ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha256_k[i] + w[i];
        const uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                            ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] += v[i];
}

static void sha256_init(struct sha256 *s)
{
    static const uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

    memcpy(s->h, h, sizeof(h));
    s->len = 0;
}

static void sha256_add(struct sha256 *s, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        const size_t at = s->len % 64, n = len < 64 - at ? len : 64 - at;

        memcpy(s->block + at, p, n);
        s->len += n;
        if (at + n == 64)
            sha256_block(s);
        p += n;
        len -= n;
    }
}

static void sha256_print(struct sha256 *s)
{
    const uint64_t bits = s->len * 8;
    uint8_t end[8];

    for (int i = 0; i < 8; i++)
        end[i] = (uint8_t) (bits >> (56 - 8 * i));
    sha256_add(s, "\x80", 1);
    while (s->len % 64 != 56)
        sha256_add(s, "", 1);
    sha256_add(s, end, sizeof(end));
    for (int i = 0; i < 8; i++)
        printf("%08x", s->h[i]);
}

static void print_escaped(const char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char) *text;

        if (c > ' ' && c < 127 && c != '\\')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

/* The path of the current entry, grown as needed. */
static char *path;
static size_t path_cap;

static size_t path_push(const char *name)
{
    const size_t len = path ? strlen(path) : 0, add = strlen(name);

    if (len + add + 2 > path_cap) {
        path_cap = 2 * (len + add + 2);
        path = need(realloc(path, path_cap));
    }
    (void) snprintf(path + len, path_cap - len, "%s%s", len > 0 ? "/" : "", name);
    return len;
}

struct group {
    dev_t device;
    ino_t inode;
    char *path;
};

static int group_compare(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode == y->inode ? 0 : x->inode < y->inode ? -1 : 1;
}

static void print_group(const struct stat *st)
{
    static void *groups;
    struct group *mine, **found;

    if (st->st_nlink < 2 || S_ISDIR(st->st_mode)) {
        printf("\t-");
        return;
    }
    mine = need(malloc(sizeof(*mine)));
    *mine = (struct group){ st->st_dev, st->st_ino, path };
    found = need(tsearch(mine, &groups, group_compare));
    if (*found != mine)
        free(mine);
    else
        mine->path = need(strdup(path));
    putchar('\t');
    print_escaped((*found)->path);
}

/* musl's memcmp() goes byte by byte, which is too slow for gigabytes of holes. */
static bool is_zero(const char *p, size_t len)
{
    uint64_t any = 0, word;
    size_t at = 0;

    for (; len - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, p + at, sizeof(word));
        any |= word;
    }
    for (; at < len; at++)
        any |= (unsigned char) p[at];
    return any == 0;
}

static void print_content(const char *name)
{
    static char data[64 * BLOCK];
    const int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct sha256 s;
    uint64_t number = 0;
    ssize_t n;

    if (fd < 0)
        fail(path);
    sha256_init(&s);
    while ((n = read(fd, data, sizeof(data))) > 0)
        for (ssize_t at = 0; at < n; at += BLOCK, number++) {
            const size_t len = n - at < BLOCK ? (size_t) (n - at) : BLOCK;
            uint8_t head[8];

            if (is_zero(data + at, len))
                continue;
            for (int i = 0; i < 8; i++)
                head[i] = (uint8_t) (number >> (56 - 8 * i));
            sha256_add(&s, head, sizeof(head));
            sha256_add(&s, data + at, len);
        }
    if (n < 0)
        fail(path);
    (void) close(fd);
    putchar('\t');
    sha256_print(&s);
}

static void print_target(const char *name)
{
    static char target[XATTRS_MAX];
    const ssize_t n = readlink(name, target, sizeof(target));
    struct sha256 s;

    if (n < 0)
        fail(path);
    sha256_init(&s);
    sha256_add(&s, target, (size_t) n);
    putchar('\t');
    sha256_print(&s);
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static void print_xattr(const char *name, const char *xattr)
{
    static unsigned char value[XATTRS_MAX];
    const ssize_t n = lgetxattr(name, xattr, value, sizeof(value));

    if (n < 0)
        fail(path);
    print_escaped(xattr);
    putchar('=');
    for (ssize_t i = 0; i < n; i++)
        printf("%02x", value[i]);
}

static void print_xattrs(const char *name)
{
    static char list[XATTRS_MAX], *names[XATTRS_MAX / 2];
    const ssize_t n = llistxattr(name, list, sizeof(list));
    size_t count = 0;

    if (n < 0 && errno != ENOTSUP)
        fail(path);
    for (ssize_t at = 0; at < n; at += (ssize_t) strlen(list + at) + 1)
        names[count++] = list + at;
    qsort(names, count, sizeof(*names), text_compare);
    printf(count > 0 ? "\t" : "\t-");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            putchar(',');
        print_xattr(name, names[i]);
    }
    putchar('\n');
}

static char type_of(mode_t mode)
{
    static const struct {
        mode_t mode;
        char type;
    } types[] = { { S_IFREG, 'f' }, { S_IFDIR, 'd' }, { S_IFLNK, 'l' }, { S_IFCHR, 'c' },
                  { S_IFBLK, 'b' }, { S_IFIFO, 'p' }, { S_IFSOCK, 's' } };

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if ((mode & S_IFMT) == types[i].mode)
            return types[i].type;
    return '?';
}

/* @name is in the current directory. */
static void print_entry(const char *name, const struct stat *st)
{
    const bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
    const bool sized = S_ISREG(st->st_mode) || S_ISLNK(st->st_mode);

    print_escaped(path);
    printf("\t%c\t%04o\t%u\t%u\t%lld.%09ld\t%llu", type_of(st->st_mode),
           (unsigned) st->st_mode & 07777, st->st_uid, st->st_gid, (long long) st->st_mtim.tv_sec,
           st->st_mtim.tv_nsec, (unsigned long long) st->st_nlink);
    if (device)
        printf("\t%u:%u", major(st->st_rdev), minor(st->st_rdev));
    else
        printf("\t-");
    if (sized)
        printf("\t%llu", (unsigned long long) st->st_size);
    else
        printf("\t-");
    print_group(st);
    if (S_ISREG(st->st_mode))
        print_content(name);
    else if (S_ISLNK(st->st_mode))
        print_target(name);
    else
        printf("\t-");
    print_xattrs(name);
}

static char **list_directory(size_t *ret_n)
{
    DIR *dir = opendir(".");
    const struct dirent *entry;
    size_t n = 0, cap = 16;
    char **names = need(malloc(cap * sizeof(*names)));

    if (!dir)
        fail(path);
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (n == cap) {
            cap *= 2;
            names = need(realloc(names, cap * sizeof(*names)));
        }
        names[n++] = need(strdup(entry->d_name));
    }
    (void) closedir(dir);
    qsort(names, n, sizeof(*names), text_compare);
    *ret_n = n;
    return names;
}

/* The entries of the current directory, and what is below them. */
static void list_tree(dev_t only)
{
    size_t n;
    char **names = list_directory(&n);

    for (size_t i = 0; i < n; i++) {
        const size_t len = path_push(names[i]);
        struct stat st;

        if (lstat(names[i], &st) < 0)
            fail(path);
        print_entry(names[i], &st);
        if (S_ISDIR(st.st_mode) && (only == 0 || st.st_dev == only)) {
            if (chdir(names[i]) < 0)
                fail(path);
            list_tree(only);
            if (chdir("..") < 0)
                fail(path);
        }
        path[len] = '\0';
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    const bool one = argc == 3 && strcmp(argv[1], "-x") == 0;
    struct stat st;

    if (argc != 2 && !one) {
        fprintf(stderr, "usage: tree-list [-x] DIR\n");
        return 2;
    }
    if (chdir(argv[argc - 1]) < 0 || lstat(".", &st) < 0)
        fail(argv[argc - 1]);
    (void) path_push(".");
    print_entry(".", &st);
    path[0] = '\0';
    list_tree(one ? st.st_dev : 0);
    if (fflush(stdout) != 0 || ferror(stdout))
        fail("write");
    return 0;
}
