/* SPDX-License-Identifier: Apache-2.0 */
/* The names that the store knows: refs/. */
#include "image/store-usage.h"

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"

#include <fcntl.h>
#include <sys/file.h>
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

/* Held while a file of refs/ is written or removed: who removes a name must see what it means by
 * then. */
static int lock_refs(struct image_store *s, struct image_tick *tick, int *ret_fd, mvm_error **err)
{
    mvm_autoclose int fd = openat(s->refs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the names of the image store");
    r = store_flock_wait(fd, LOCK_EX, tick, err);
    if (r < 0)
        return r;
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Flipped bits of the name itself show in the file's name. */
static bool is_whole_ref(struct image_store *s, const char *file, int *ret_r, mvm_error **err)
{
    mvm_autovalue(image_record) record = { 0 };
    char wanted[REF_NAME_MAX];

    *ret_r = store_ref_read(s, file, &record, err);
    if (*ret_r == 0)
        *ret_r = ref_file_name(record.name, record.platform, wanted, err);
    return *ret_r == 0 && strcmp(file, wanted) == 0;
}

int store_ref_verify(struct image_store *s, const char *file, struct image_tick *tick,
                     mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    mvm_autoclose int lock = -EBADF;
    int r = lock_refs(s, tick, &lock, err);

    if (r < 0)
        return r;
    if (is_whole_ref(s, file, &r, &why) || r == MVM_E_NOT_FOUND)
        return 0;
    if (r < 0 && !store_is_damage(r)) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    r = path_remove_tree(s->refs_fd, file, err);
    return r < 0 ? r : 1;
}

int store_ref_remove(struct image_store *s, const char *file, const struct digest *manifest,
                     struct image_tick *tick, mvm_error **err)
{
    mvm_autovalue(image_record) now = { 0 };
    mvm_autoclose int lock = -EBADF;
    int r = lock_refs(s, tick, &lock, err);

    if (r == 0)
        r = store_ref_read(s, file, &now, err);
    if (r == 0 && !digest_equal(&now.manifest, manifest))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "'%s' means another image now", now.name);
    if (r == 0 && unlinkat(s->refs_fd, file, 0) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "remove the name '%s'", now.name);
    return r;
}

int store_ref_set(struct image_store *s, const char *name, const char *platform,
                  const struct digest *manifest, struct image_tick *tick, mvm_error **err)
{
    mvm_autojson json_t *j = json_pack("{s:s, s:s, s:s, s:I}", "name", name, "platform", platform,
                                       "digest", digest_format(manifest).text, "created",
                                       (json_int_t) time(NULL));
    mvm_autofree char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    mvm_autoclose int lock = -EBADF;
    char file[REF_NAME_MAX];
    int r;

    if (!text)
        return mvm_fail_nomem(err);
    r = ref_file_name(name, platform, file, err);
    if (r == 0)
        r = lock_refs(s, tick, &lock, err);
    if (r == 0)
        r = store_clear_odd(s->refs_fd, file, err);
    return r < 0 ? r : file_write(s->refs_fd, file, text, strlen(text), 0600, err);
}

void image_list_free(struct image_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        image_record_deinit(&records[i]);
    free(records);
}

bool store_is_ref(const char *file)
{
    size_t n = strlen(file);

    return n > 5 && file[0] != '.' && strcmp(file + n - 5, ".json") == 0;
}

static int record_order(const void *a, const void *b)
{
    const struct image_record *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->platform, y->platform);
}

/* A name whose image is gone, or a file that is no record, is not listed: the store mends it at the
 * next pull. */
static size_t take_records(struct store_names *names, const struct store_usage *usage,
                           struct image_record *to)
{
    size_t n = 0;

    for (size_t i = 0; i < names->n; i++) {
        struct image_record *record = &names->items[i].record;
        const struct store_name name = store_image_name(&record->manifest);
        const struct usage_image *image = store_usage_image(usage, name.text);

        if (!image || names->items[i].identity)
            continue;
        record->size = image->size;
        record->unique = image->unique;
        to[n++] = *record;
        *record = (struct image_record){ 0 };
    }
    return n;
}

int image_list(struct image_store *store, struct image_record **ret, size_t *ret_n,
               uint64_t *ret_total, mvm_error **err)
{
    mvm_autovalue(store_usage) usage = { .n_images = 0 };
    mvm_autovalue(store_names) names = { .n = 0 };
    struct image_record *records;
    int r = store_names_read(store, &names, err);

    if (r == 0)
        r = store_usage_read(store, &usage, err);
    if (r < 0)
        return r;
    records = mem_array(names.n, sizeof(*records));
    if (!records)
        return mvm_fail_nomem(err);
    *ret_n = take_records(&names, &usage, records);
    if (*ret_n > 1)
        qsort(records, *ret_n, sizeof(*records), record_order);
    *ret = records;
    *ret_total = usage.total;
    return 0;
}
