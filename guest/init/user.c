/* SPDX-License-Identifier: Apache-2.0 */
#include "user.h"

#include "base/io.h"
#include "base/scan.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

/* Seconds after which no change of a file can carry the time of the one before. */
#define SETTLED_S 2

/* passwd(5) has 7 fields, group(5) has 4. */
#define FIELDS_MAX 7

struct field {
    const char *text;
    size_t len;
};

void user_deinit(struct user *u)
{
    free(u->groups);
    free(u->home);
    *u = (struct user){ .groups = NULL };
}

/* Takes the next line off @file and cuts it at its colons, the last field taking the rest; gives
 * the number of fields, 0 at the end of the file. */
static size_t next_line(struct text_file *file, struct field *fields)
{
    const char *stop, *at = file->data;
    size_t len, n = 0;

    if (file->len == 0)
        return 0;
    stop = memchr(at, '\n', file->len);
    len = stop ? (size_t) (stop - at) : file->len;
    file->data += stop ? len + 1 : len;
    file->len -= stop ? len + 1 : len;
    while (n < FIELDS_MAX) {
        const char *colon = n + 1 < FIELDS_MAX ? memchr(at, ':', len) : NULL;
        size_t part = colon ? (size_t) (colon - at) : len;

        fields[n++] = (struct field){ .text = at, .len = part };
        if (!colon)
            break;
        at += part + 1;
        len -= part + 1;
    }
    return n;
}

static bool field_is(const struct field *f, const char *text, size_t len)
{
    return f->len == len && memcmp(f->text, text, len) == 0;
}

/* What is asked for, as a name and, where it is one, as a number. */
struct wanted {
    const char *text;
    size_t len;
    bool numeric;
    uint64_t id;
};

static struct wanted wanted_make(const char *text, size_t len)
{
    struct wanted w = { .text = text, .len = len };

    w.numeric = scan_u64(text, len, USER_ID_MAX, &w.id);
    return w;
}

/* An entry with its name in field 0 and its number in field 2, as both files have it. */
static bool entry_matches(const struct field *fields, const struct wanted *w, uint64_t *ret_id)
{
    if (fields[0].len == 0 || !scan_u64(fields[2].text, fields[2].len, USER_ID_MAX, ret_id))
        return false;
    return field_is(&fields[0], w->text, w->len) || (w->numeric && *ret_id == w->id);
}

/* Positive: found, with the entry's name in @ret_name. 0: no such entry. */
static int find_user(struct text_file passwd, const struct wanted *w, struct user *u,
                     struct field *ret_name, mvm_error **err)
{
    struct field fields[FIELDS_MAX];
    size_t n;

    while ((n = next_line(&passwd, fields)) > 0) {
        uint64_t uid, gid;

        if (n < 4 || !entry_matches(fields, w, &uid) ||
            !scan_u64(fields[3].text, fields[3].len, USER_ID_MAX, &gid))
            continue;
        u->uid = (uid_t) uid;
        u->gid = (gid_t) gid;
        if (n > 5 && fields[5].len > 0 && !memchr(fields[5].text, '\0', fields[5].len)) {
            free(u->home);
            u->home = strndup(fields[5].text, fields[5].len);
            if (!u->home)
                return mvm_fail_nomem(err);
        }
        *ret_name = fields[0];
        return 1;
    }
    return 0;
}

static int find_group(struct text_file group, const struct wanted *w, gid_t *ret_gid,
                      mvm_error **err)
{
    struct field fields[FIELDS_MAX];
    size_t n;

    while ((n = next_line(&group, fields)) > 0) {
        uint64_t gid;

        if (n < 3 || !entry_matches(fields, w, &gid))
            continue;
        *ret_gid = (gid_t) gid;
        return 0;
    }
    if (!w->numeric)
        return mvm_fail(err, MVM_E_ARG, 0, "no group '%.*s' in /etc/group", (int) w->len, w->text);
    *ret_gid = (gid_t) w->id;
    return 0;
}

static bool list_has(const struct field *list, const struct field *name)
{
    const char *at = list->text, *end = list->text + list->len;

    for (;;) {
        const char *comma = memchr(at, ',', (size_t) (end - at));
        const struct field member = { .text = at, .len = (size_t) ((comma ? comma : end) - at) };

        if (field_is(&member, name->text, name->len))
            return true;
        if (!comma)
            return false;
        at = comma + 1;
    }
}

static int collect_groups(struct text_file group, const struct field *name, struct user *u,
                          mvm_error **err)
{
    struct field fields[FIELDS_MAX];
    size_t n, cap = 0;

    while ((n = next_line(&group, fields)) > 0) {
        uint64_t gid;

        if (n < 4 || fields[0].len == 0 || !list_has(&fields[3], name) ||
            !scan_u64(fields[2].text, fields[2].len, USER_ID_MAX, &gid))
            continue;
        if (u->n_groups == USER_GROUPS_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "user '%.*s': in more than %d groups",
                            (int) name->len, name->text, USER_GROUPS_MAX);
        if (mem_grow(&u->groups, &cap, u->n_groups, sizeof(*u->groups)) < 0)
            return mvm_fail_nomem(err);
        u->groups[u->n_groups++] = (gid_t) gid;
    }
    return 0;
}

int user_resolve(const char *spec, struct text_file passwd, struct text_file group,
                 struct user *ret, mvm_error **err)
{
    const char *text = spec ? spec : "";
    const char *colon = strchr(text, ':');
    struct wanted w = wanted_make(text, colon ? (size_t) (colon - text) : strlen(text));
    mvm_autovalue(user) u = { .home = strdup("/") };
    struct field name = { .text = "", .len = 0 };
    int r;

    if (!u.home)
        return mvm_fail_nomem(err);
    if (w.len == 0)
        w = wanted_make("0", 1);
    r = find_user(passwd, &w, &u, &name, err);
    if (r < 0)
        return r;
    if (r == 0 && !w.numeric)
        return mvm_fail(err, MVM_E_ARG, 0, "no user '%.*s' in /etc/passwd", (int) w.len, w.text);
    if (r == 0)
        u.uid = (uid_t) w.id;

    r = 0;
    if (colon && colon[1] != '\0') {
        w = wanted_make(colon + 1, strlen(colon + 1));
        r = find_group(group, &w, &u.gid, err);
    } else if (name.len > 0) {
        r = collect_groups(group, &name, &u, err);
    }
    if (r < 0)
        return r;
    *ret = u;
    u = (struct user){ .groups = NULL };
    return 0;
}

static int read_user_file(const char *path, char **ret_data, size_t *ret_len, mvm_error **err)
{
    /* Non-blocking, for a FIFO in the file's place. */
    mvm_autoclose int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    int r;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open %s", path);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s is not a regular file", path);
    r = io_read_all(fd, USER_FILE_MAX, ret_data, ret_len, err);
    return r < 0 ? mvm_context(err, r, "%s", path) : 0;
}

void user_cache_deinit(struct user_cache *c)
{
    free(c->spec);
    c->spec = NULL;
    user_deinit(&c->user);
}

/* What tells one state of a file from another; zeros for none. */
static struct user_stamp take_stamp(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (struct user_stamp){ .inode = 0 };
    return (struct user_stamp){
        .device = (int64_t) st.st_dev,
        .inode = (int64_t) st.st_ino,
        .size = st.st_size,
        .written = { st.st_mtim.tv_sec, st.st_mtim.tv_nsec },
        .changed = { st.st_ctim.tv_sec, st.st_ctim.tv_nsec },
    };
}

/* A change that came right after another may carry the same time. */
static bool is_settled(const struct user_stamp *s)
{
    struct timespec now;

    return clock_gettime(CLOCK_REALTIME, &now) == 0 && s->changed[0] + SETTLED_S < now.tv_sec;
}

int user_lookup(struct user_cache *c, const char *spec, const struct user **ret, mvm_error **err)
{
    /* Before the files are read: what changes meanwhile is read again next time. */
    const struct user_stamp now[2] = { take_stamp(c->passwd), take_stamp(c->group) };
    mvm_autofree char *passwd = NULL;
    mvm_autofree char *group = NULL;
    size_t passwd_len = 0, group_len = 0;
    int r;

    if (c->spec && strcmp(c->spec, spec ? spec : "") == 0 &&
        memcmp(c->stamps, now, sizeof(now)) == 0) {
        *ret = &c->user;
        return 0;
    }
    user_cache_deinit(c);
    r = read_user_file(c->passwd, &passwd, &passwd_len, err);
    if (r == 0)
        r = read_user_file(c->group, &group, &group_len, err);
    if (r == 0)
        r = user_resolve(spec, (struct text_file){ .data = passwd, .len = passwd_len },
                         (struct text_file){ .data = group, .len = group_len }, &c->user, err);
    if (r < 0)
        return r;
    if (is_settled(&now[0]) && is_settled(&now[1])) {
        c->spec = strdup(spec ? spec : ""); /* without memory nothing is kept */
        memcpy(c->stamps, now, sizeof(now));
    }
    *ret = &c->user;
    return 0;
}
