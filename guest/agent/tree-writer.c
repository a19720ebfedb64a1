/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/tree-writer.h"

#include "guest/agent/file-info.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/random.h>

/* Temporary names tried; 64 random bits do not meet an existing one by chance. */
#define TEMP_TRIES 4
/* Modes that a file may be given. */
#define MODE_BITS 07777

struct tree_folder {
    char *name; /* owned; "": the target itself */
    uint32_t mode, uid, gid;
    int64_t mtime_ns;
};

void tree_writer_init(struct tree_writer *w, int root_fd)
{
    *w = (struct tree_writer){ .root_fd = root_fd };
    w->parent_fd = w->base_fd = w->file_fd = w->folder_fd = -EBADF;
}

static void close_file(struct tree_writer *w)
{
    if (w->file_fd >= 0)
        (void) close(steal_fd(&w->file_fd));
    if (w->folder_fd >= 0)
        (void) close(steal_fd(&w->folder_fd));
    agent_file_deinit(&w->file);
}

static void drop_temp(struct tree_writer *w)
{
    if (w->folder_fd >= 0 && w->temp[0] != '\0')
        (void) unlinkat(w->folder_fd, w->temp, 0); /* nothing could be done about it */
    w->temp[0] = '\0';
    close_file(w);
}

void tree_writer_deinit(struct tree_writer *w)
{
    drop_temp(w);
    if (w->parent_fd >= 0)
        (void) close(steal_fd(&w->parent_fd));
    if (w->base_fd >= 0)
        (void) close(steal_fd(&w->base_fd));
    for (size_t i = 0; i < w->n_folders; i++)
        free(w->folders[i].name);
    free(w->folders);
    free(w->last);
    free(w->path);
    tree_writer_init(w, w->root_fd);
}

/* --- The target --- */

/* Opens the folder @path; makes it, and what is missing above it, if @make. @path is changed
 * meanwhile. */
static int open_parents(int root_fd, char *path, bool make, int *ret_fd, mvm_error **err)
{
    mvm_autoclose int above = -EBADF;
    int r;

    r = path_open_in_root(root_fd, "/", O_PATH | O_DIRECTORY, &above, err);
    for (char *part = path; r == 0 && part;) {
        char *slash;
        int fd;

        while (*part == '/')
            part++;
        slash = strchr(part, '/');
        if (*part == '\0')
            break;
        if (slash)
            *slash = '\0';
        if (make && strcmp(part, "..") != 0 && mkdirat(above, part, 0755) < 0 && errno != EEXIST)
            r = mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", path);
        if (r == 0)
            r = path_open_in_root(root_fd, path, O_PATH | O_DIRECTORY, &fd, err);
        if (r == 0) {
            (void) close(above);
            above = fd;
        }
        if (slash)
            *slash = '/';
        part = slash;
    }
    if (r == 0)
        *ret_fd = steal_fd(&above);
    return r;
}

static int set_target(struct tree_writer *w, struct agent_item *m, mvm_error **err)
{
    mvm_autofree char *above = NULL;
    char *slash;
    size_t len;

    if (w->path)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a second target");
    w->path = steal_ptr(&m->path);
    w->own = m->own;
    for (len = strlen(w->path); len > 1 && w->path[len - 1] == '/'; len--)
        w->path[len - 1] = '\0';
    slash = strrchr(w->path, '/');
    if (slash[1] != '\0') {
        if (!path_is_component(slash + 1))
            return mvm_fail(err, MVM_E_ARG, 0, "'%s' does not end in a name", w->path);
        w->last = strdup(slash + 1);
        if (!w->last)
            return mvm_fail_nomem(err);
    }
    above = strndup(w->path, (size_t) (slash - w->path));
    if (!above)
        return mvm_fail_nomem(err);
    return open_parents(w->root_fd, above, m->parents, &w->parent_fd, err);
}

/* --- Places --- */

/* Relative, each part a name. */
static int check_name(const char *name, mvm_error **err)
{
    size_t depth = 1;

    for (const char *part = name;; depth++) {
        size_t len = strcspn(part, "/");

        if (len == 0 || len > 255 || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.'))
            return mvm_fail(err, MVM_E_ARG, 0, "'%s' is no plain relative path", name);
        if (part[len] == '\0')
            break;
        part += len + 1;
    }
    if (depth > FILE_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d folders in each other", FILE_DEPTH_MAX);
    return 0;
}

/* The folder of the item @name and its last part, which is borrowed. */
static int find_place(struct tree_writer *w, const char *name, int *ret_fd, const char **ret_last,
                      mvm_error **err)
{
    const char *slash = strrchr(name, '/');
    mvm_autofree char *folder = NULL;
    int r;

    if (name[0] == '\0') {
        *ret_last = w->last;
        return path_open_beneath(w->parent_fd, ".", O_PATH | O_DIRECTORY, 0, ret_fd, err);
    }
    if (w->base_fd < 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is in what is no folder", name);
    r = check_name(name, err);
    if (r < 0)
        return r;
    folder = slash ? strndup(name, (size_t) (slash - name)) : strdup(".");
    if (!folder)
        return mvm_fail_nomem(err);
    *ret_last = slash ? slash + 1 : name;
    return path_open_beneath(w->base_fd, folder, O_PATH | O_DIRECTORY, 0, ret_fd, err);
}

/* --- Attributes --- */

static struct timespec time_of(int64_t ns)
{
    int64_t rest = ns % 1000000000;

    return (struct timespec){ .tv_sec = ns / 1000000000 - (rest < 0),
                              .tv_nsec = rest < 0 ? rest + 1000000000 : rest };
}

/* Owner before mode: it clears set-id bits. @fd may be a link's own (O_PATH). */
static int set_attributes(const struct tree_writer *w, int fd, const struct agent_file *f,
                          mvm_error **err)
{
    const struct timespec times[2] = { time_of(f->mtime_ns), time_of(f->mtime_ns) };
    uid_t uid = w->own ? f->uid : geteuid();
    gid_t gid = w->own ? f->gid : getegid();

    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "give '%s' to %u:%u", f->name ? f->name : "", uid,
                        gid);
    if ((!S_ISLNK(f->mode) && fchmod(fd, f->mode & MODE_BITS) < 0) ||
        utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set mode and time of '%s'", f->name ? f->name : "");
    return 0;
}

/* --- Files and links --- */

static int make_temp_name(char *temp, mvm_error **err)
{
    uint64_t number;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        return mvm_fail(err, MVM_E_SYS, errno, "make a temporary name");
    (void) snprintf(temp, TREE_TEMP_SIZE, ".microvm-%016llx", (unsigned long long) number);
    return 0;
}

/* Makes @f under w->temp in w->folder_fd and opens it. A link that somebody else, whose folder this
 * may be, has put another file in place of is none any more. 0, or -1 with errno set. */
static int make_node(struct tree_writer *w, const struct agent_file *f)
{
    struct stat st;
    int saved;

    if (!S_ISLNK(f->mode)) {
        w->file_fd = openat(w->folder_fd, w->temp,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        return w->file_fd < 0 ? -1 : 0;
    }
    if (symlinkat(f->link, w->folder_fd, w->temp) < 0)
        return -1;
    w->file_fd = openat(w->folder_fd, w->temp, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (w->file_fd >= 0 && fstat(w->file_fd, &st) == 0) {
        errno = ESTALE;
        return S_ISLNK(st.st_mode) ? 0 : -1;
    }
    saved = errno;
    (void) unlinkat(w->folder_fd, w->temp, 0); /* nothing could be done about it */
    errno = saved;
    return -1;
}

static int make_temp(struct tree_writer *w, const struct agent_file *f, mvm_error **err)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        int r = make_temp_name(w->temp, err);

        if (r < 0)
            return r;
        if (make_node(w, f) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    w->temp[0] = '\0'; /* not ours to remove */
    return mvm_fail(err, MVM_E_SYS, errno, "make '%s'", f->name ? f->name : w->path);
}

/* What is being made is complete: gives it its name. */
static int complete(struct tree_writer *w, mvm_error **err)
{
    const char *name = w->file.name ? w->file.name : "";
    const char *slash = strrchr(name, '/');
    const char *last = name[0] == '\0' ? w->last : slash ? slash + 1 : name;
    int r;

    r = set_attributes(w, w->file_fd, &w->file, err);
    if (r < 0)
        return r;
    if (close(steal_fd(&w->file_fd)) < 0) /* some file systems tell here */
        return mvm_fail(err, MVM_E_SYS, errno, "write '%s'", last);
    if (renameat(w->folder_fd, w->temp, w->folder_fd, last) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "rename it to '%s'", last);
    w->temp[0] = '\0';
    w->result.files++;
    close_file(w);
    return 0;
}

static int add_node(struct tree_writer *w, struct agent_item *m, mvm_error **err)
{
    const char *last;
    int r;

    if (S_ISLNK(m->info.mode) && !m->info.link)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a symbolic link without a target");
    r = find_place(w, m->info.name ? m->info.name : "", &w->folder_fd, &last, err);
    if (r == 0 && !last)
        r = mvm_fail(err, MVM_E_ARG, 0, "the root is a folder");
    if (r == 0)
        r = make_temp(w, &m->info, err);
    if (r < 0)
        return r;
    w->file = m->info;
    m->info = (struct agent_file){ .name = NULL };
    w->left = S_ISREG(w->file.mode) ? w->file.size : 0;
    return w->left > 0 ? 0 : complete(w, err);
}

static int add_data(struct tree_writer *w, struct bytes_view data, mvm_error **err)
{
    if (data.len > w->left)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%zu bytes of data, of which %llu are expected",
                        data.len, (unsigned long long) w->left);
    while (data.len > 0) {
        ssize_t n = write(w->file_fd, data.data, data.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "write '%s'",
                            w->file.name ? w->file.name : w->path);
        data.data += n;
        data.len -= (size_t) n;
        w->left -= (uint64_t) n;
        w->result.bytes += (uint64_t) n;
        if (w->left == 0)
            return complete(w, err);
    }
    return 0;
}

/* --- Folders --- */

static int remember_folder(struct tree_writer *w, const struct agent_file *f, mvm_error **err)
{
    const char *name = f->name ? f->name : "";
    struct tree_folder *t;

    w->name_bytes += strlen(name);
    if (w->n_folders == TREE_FOLDERS_MAX || w->name_bytes > TREE_NAMES_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d folders in a tree", TREE_FOLDERS_MAX);
    if (mem_grow(&w->folders, &w->cap_folders, w->n_folders, sizeof(*w->folders)) < 0)
        return mvm_fail_nomem(err);
    t = &w->folders[w->n_folders];
    *t = (struct tree_folder){
        .name = strdup(name),
        .mode = f->mode,
        .uid = f->uid,
        .gid = f->gid,
        .mtime_ns = f->mtime_ns,
    };
    if (!t->name)
        return mvm_fail_nomem(err);
    w->n_folders++;
    return 0;
}

static int add_folder(struct tree_writer *w, const struct agent_file *f, mvm_error **err)
{
    const char *name = f->name ? f->name : "", *last;
    mvm_autoclose int dir_fd = -EBADF;
    mvm_autoclose int fd = -EBADF;
    bool made;
    int r;

    r = find_place(w, name, &dir_fd, &last, err);
    if (r < 0)
        return r;
    /* Ours alone until the end gives it its mode; but ours for sure. */
    made = last && mkdirat(dir_fd, last, (f->mode & 0777) | 0700) == 0;
    if (last && !made && errno != EEXIST)
        return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", name[0] ? name : w->path);
    if (name[0] == '\0')
        r = path_open_in_root(w->root_fd, w->path, O_PATH | O_DIRECTORY, &w->base_fd, err);
    else
        r = path_open_beneath(dir_fd, last, O_PATH | O_DIRECTORY, 0, &fd, err);
    return r < 0 || !made ? r : remember_folder(w, f, err);
}

/* From the innermost outwards: a folder that gets a mode without "x" is not entered again. */
static int finish_folders(struct tree_writer *w, mvm_error **err)
{
    for (size_t i = w->n_folders; i-- > 0;) {
        const struct tree_folder *t = &w->folders[i];
        const struct agent_file f = {
            .name = t->name, .mode = t->mode, .uid = t->uid, .gid = t->gid, .mtime_ns = t->mtime_ns
        };
        mvm_autoclose int fd = -EBADF;
        int r;

        r = path_open_beneath(w->base_fd, t->name[0] ? t->name : ".", O_RDONLY | O_DIRECTORY, 0,
                              &fd, err);
        if (r == 0)
            r = set_attributes(w, fd, &f, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- Items --- */

static int add_info(struct tree_writer *w, struct agent_item *m, mvm_error **err)
{
    bool is_target = !m->info.name || m->info.name[0] == '\0';

    if (w->left > 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%llu bytes of '%s' are missing",
                        (unsigned long long) w->left, w->file.name ? w->file.name : w->path);
    if (is_target == w->begun)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the item with the empty name is the first, once");
    w->begun = true;
    switch (m->info.mode & S_IFMT) {
    case S_IFDIR:
        return add_folder(w, &m->info, err);
    case S_IFREG:
    case S_IFLNK:
        return add_node(w, m, err);
    default:
        return mvm_fail(err, MVM_E_ARG, 0, "'%s': mode 0%o is of no type that can be made",
                        m->info.name ? m->info.name : "", m->info.mode);
    }
}

int tree_writer_add(struct tree_writer *w, struct agent_item *m, mvm_error **err)
{
    if (m->kind == AGENT_ITEM_TARGET)
        return set_target(w, m, err);
    if (!w->path)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the target has to come first");
    return m->kind == AGENT_ITEM_INFO ? add_info(w, m, err) : add_data(w, m->data, err);
}

int tree_writer_finish(struct tree_writer *w, mvm_error **err)
{
    if (!w->begun)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the stream ended without an item");
    if (w->left > 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the stream ended %llu bytes before its file",
                        (unsigned long long) w->left);
    return finish_folders(w, err);
}
