/* SPDX-License-Identifier: Apache-2.0 */
/* The names that the store knows: refs/. */
#include "image/store-internal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

/* A record is a name of a few hundred bytes, a platform, a digest and a time. */
#define REF_FILE_MAX 16384
/* "<64 hex>.json" */
#define REF_NAME_MAX (2 * DIGEST_BYTES_MAX + 8)

static int ref_file_name(const char *name, const char *platform, char out[REF_NAME_MAX],
                         mvm_error **err)
{
    mvm_autofree char *key = NULL;
    struct digest_text text;
    struct digest d;
    int n = asprintf(&key, "%s\n%s", name, platform), r;

    if (n < 0) {
        key = NULL;
        return mvm_fail_nomem(err);
    }
    r = digest_of(DIGEST_SHA256, key, (size_t) n, &d, err);
    if (r < 0)
        return r;
    text = digest_format(&d);
    (void) snprintf(out, REF_NAME_MAX, "%s.json", digest_hex(&text)); /* fits: see REF_NAME_MAX */
    return 0;
}

void image_record_deinit(struct image_record *record)
{
    free(record->name);
    free(record->platform);
    *record = (struct image_record){ 0 };
}

static int ref_parse(const json_t *j, struct image_record *record, mvm_error **err)
{
    const char *name = NULL, *platform = NULL, *digest = NULL;
    uint64_t created = 0;
    int r = json_need_str(j, "name", &name, err);

    if (r == 0)
        r = json_need_str(j, "platform", &platform, err);
    if (r == 0)
        r = json_need_str(j, "digest", &digest, err);
    if (r == 0)
        r = json_get_u64(j, "created", INT64_MAX, &created, err);
    if (r == 0)
        r = digest_parse(digest, &record->manifest, err);
    if (r < 0)
        return r;
    record->created_s = (int64_t) created;
    record->name = strdup(name);
    record->platform = strdup(platform);
    return record->name && record->platform ? 0 : mvm_fail_nomem(err);
}

int store_ref_read(struct image_store *s, const char *file, struct image_record *ret,
                   mvm_error **err)
{
    mvm_autovalue(image_record) record = { 0 };
    mvm_autojson json_t *j = NULL;
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = file_read(s->refs_fd, file, REF_FILE_MAX, &text, &len, err);

    if (r == 0)
        r = json_parse(text, len, file, &j, err);
    if (r == 0)
        r = ref_parse(j, &record, err);
    if (r < 0)
        return r;
    *ret = record;
    record = (struct image_record){ 0 };
    return 0;
}

int store_ref_get(struct image_store *s, const char *name, const char *platform, struct digest *ret,
                  mvm_error **err)
{
    mvm_autovalue(image_record) record = { 0 };
    char file[REF_NAME_MAX];
    int r = ref_file_name(name, platform, file, err);

    if (r == 0)
        r = store_ref_read(s, file, &record, err);
    if (r < 0)
        return r;
    *ret = record.manifest;
    return 0;
}

int store_ref_set(struct image_store *s, const char *name, const char *platform,
                  const struct digest *manifest, mvm_error **err)
{
    mvm_autojson json_t *j = json_pack("{s:s, s:s, s:s, s:I}", "name", name, "platform", platform,
                                       "digest", digest_format(manifest).text, "created",
                                       (json_int_t) time(NULL));
    mvm_autofree char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    char file[REF_NAME_MAX];
    int r;

    if (!text)
        return mvm_fail_nomem(err);
    r = ref_file_name(name, platform, file, err);
    return r < 0 ? r : file_write(s->refs_fd, file, text, strlen(text), 0600, err);
}

void image_list_free(struct image_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        image_record_deinit(&records[i]);
    free(records);
}

struct record_list {
    struct image_record *items; /* owned */
    size_t n, cap;
};
static void record_list_deinit(struct record_list *l)
{
    image_list_free(l->items, l->n);
}
MVM_DEFINE_AUTOVALUE(record_list, record_list_deinit)

/* A name whose image is gone, or a file that is no record, is not listed: the store mends it at the
 * next pull. */
static int list_add(struct image_store *s, const char *file, struct record_list *list,
                    mvm_error **err)
{
    mvm_autovalue(image_record) record = { 0 };
    mvm_auto(image) image = NULL;
    int r = store_ref_read(s, file, &record, NULL);

    if (r == 0 && scan_has_prefix(record.name, STORE_IDENTITY))
        return 0;
    if (r == 0)
        r = store_load_image(s, &record.manifest, &image, NULL);
    if (r < 0)
        return 0;
    record.size = image->root_size;
    if (mem_grow(&list->items, &list->cap, list->n, sizeof(*list->items)) < 0)
        return mvm_fail_nomem(err);
    list->items[list->n++] = record;
    record = (struct image_record){ 0 };
    return 0;
}

static int record_order(const void *a, const void *b)
{
    const struct image_record *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->platform, y->platform);
}

int image_list(struct image_store *store, struct image_record **ret, size_t *ret_n, mvm_error **err)
{
    mvm_autovalue(record_list) list = { 0 };
    int fd = openat(store->refs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int r = 0;

    if (!dir) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list the image store");
        if (fd >= 0)
            (void) close(fd);
        return r;
    }
    while (r == 0 && (e = readdir(dir)) != NULL) {
        size_t n = strlen(e->d_name);

        if (n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".json") == 0)
            r = list_add(store, e->d_name, &list, err);
    }
    (void) closedir(dir);
    if (r < 0)
        return r;
    if (list.n > 0)
        qsort(list.items, list.n, sizeof(*list.items), record_order);
    *ret = steal_ptr(&list.items);
    *ret_n = list.n;
    list.n = 0;
    return 0;
}
