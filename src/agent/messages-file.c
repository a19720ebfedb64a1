/* SPDX-License-Identifier: Apache-2.0 */
/* Files: Stat, List, Read and Write. */
#include "agent/messages.h"
#include "agent/proto/agent.pb.h"
#include "agent/wire.h"

#include <sys/stat.h>

void agent_file_deinit(struct agent_file *f)
{
    free(f->name);
    free(f->link);
    *f = (struct agent_file){ .mode = 0 };
}

struct file_views {
    struct bytes_view name, link;
};

static wire_FileInfo file_getter(struct file_views *v)
{
    return (wire_FileInfo){ .name = wire_get_bytes(&v->name), .link = wire_get_bytes(&v->link) };
}

static wire_FileInfo file_putter(const struct agent_file *f, struct file_views *v)
{
    v->name = bytes_view_of_text(f->name);
    v->link = bytes_view_of_text(f->link);
    return (wire_FileInfo){ .name = wire_put_bytes(&v->name),
                            .mode = f->mode,
                            .uid = f->uid,
                            .gid = f->gid,
                            .size = f->size,
                            .mtime_ns = f->mtime_ns,
                            .link = wire_put_bytes(&v->link),
                            .device = (uint64_t) f->device_major << 32 | f->device_minor };
}

static bool mode_is_valid(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        return mode <= (S_IFMT | 07777);
    default:
        return false;
    }
}

static int file_take(const wire_FileInfo *w, const struct file_views *v, struct agent_file *ret,
                     mvm_error **err)
{
    mvm_autovalue(agent_file) f = { .mode = w->mode,
                                    .uid = w->uid,
                                    .gid = w->gid,
                                    .size = w->size,
                                    .mtime_ns = w->mtime_ns,
                                    .device_major = (uint32_t) (w->device >> 32),
                                    .device_minor = (uint32_t) w->device };
    int r;

    if (!mode_is_valid(f.mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "file of mode %o", f.mode);
    if (f.size > INT64_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "file of %llu bytes", (unsigned long long) f.size);
    r = wire_take_text(v->name, AGENT_PATH_MAX - 1, false, "name", &f.name, err);
    if (r == 0)
        r = wire_take_text(v->link, AGENT_PATH_MAX - 1, false, "target of a link", &f.link, err);
    if (r < 0)
        return r;
    *ret = f;
    f = (struct agent_file){ .mode = 0 };
    return 0;
}

void agent_file_encode(const struct agent_file *f, struct strbuf *out)
{
    struct file_views views;
    wire_FileInfo w = file_putter(f, &views);

    wire_encode(wire_FileInfo_fields, &w, out);
}

int agent_file_decode(const uint8_t *data, size_t len, struct agent_file *ret, mvm_error **err)
{
    struct file_views views = { .name = { .len = 0 } };
    wire_FileInfo w = file_getter(&views);
    int r = wire_decode((struct bytes_view){ data, len }, wire_FileInfo_fields, &w, "FileInfo",
                        err);

    if (r < 0)
        return r;
    r = file_take(&w, &views, ret, err);
    return r < 0 ? mvm_context(err, r, "FileInfo") : 0;
}

/* An absolute path. */
static int path_take(struct bytes_view view, char **ret, mvm_error **err)
{
    if (view.len == 0 || view.data[0] != '/')
        return mvm_fail(err, MVM_E_FORMAT, 0, "the path is not absolute");
    return wire_take_text(view, AGENT_PATH_MAX - 1, false, "path", ret, err);
}

void agent_path_request_deinit(struct agent_path_request *m)
{
    free(m->path);
    m->path = NULL;
}

void agent_path_request_encode(enum agent_path_call call, const struct agent_path_request *m,
                               struct strbuf *out)
{
    struct bytes_view path = bytes_view_of_text(m->path);
    wire_StatRequest stat_request = { .path = wire_put_bytes(&path), .follow = m->follow };
    wire_ListRequest list_request = { .path = wire_put_bytes(&path) };
    wire_ReadRequest read_request = { .path = wire_put_bytes(&path),
                                      .recursive = m->recursive,
                                      .follow = m->follow };

    if (call == AGENT_CALL_STAT)
        wire_encode(wire_StatRequest_fields, &stat_request, out);
    else if (call == AGENT_CALL_LIST)
        wire_encode(wire_ListRequest_fields, &list_request, out);
    else
        wire_encode(wire_ReadRequest_fields, &read_request, out);
}

int agent_path_request_decode(enum agent_path_call call, const uint8_t *data, size_t len,
                              struct agent_path_request *ret, mvm_error **err)
{
    struct agent_path_request m = { .path = NULL };
    struct bytes_view path = { .len = 0 }, from = { data, len };
    wire_StatRequest stat_request = { .path = wire_get_bytes(&path) };
    wire_ListRequest list_request = { .path = wire_get_bytes(&path) };
    wire_ReadRequest read_request = { .path = wire_get_bytes(&path) };
    int r;

    if (call == AGENT_CALL_STAT)
        r = wire_decode(from, wire_StatRequest_fields, &stat_request, "StatRequest", err);
    else if (call == AGENT_CALL_LIST)
        r = wire_decode(from, wire_ListRequest_fields, &list_request, "ListRequest", err);
    else
        r = wire_decode(from, wire_ReadRequest_fields, &read_request, "ReadRequest", err);
    if (r == 0)
        r = path_take(path, &m.path, err);
    if (r < 0)
        return r;
    m.follow = stat_request.follow || read_request.follow;
    m.recursive = read_request.recursive;
    *ret = m;
    return 0;
}

void agent_item_deinit(struct agent_item *m)
{
    free(m->path);
    m->path = NULL;
    agent_file_deinit(&m->info);
}

void agent_tree_item_encode(const struct agent_item *m, struct strbuf *out)
{
    struct bytes_view data = { .len = 0 };
    struct file_views views;
    wire_TreeItem w = { .data = wire_put_bytes(&data) };

    if (m->kind == AGENT_ITEM_INFO) {
        w.has_info = true;
        w.info = file_putter(&m->info, &views);
    } else {
        data = bytes_view_of(m->data.data, m->data.len);
    }
    wire_encode(wire_TreeItem_fields, &w, out);
}

/* What both kinds of item hold beside a target. */
static int item_take(struct agent_item *m, const wire_FileInfo *info,
                     const struct file_views *views, mvm_error **err)
{
    if (m->kind == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "not exactly one known member");
    if (m->data.len > AGENT_DATA_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%zu bytes of data in one message, at most %d",
                        m->data.len, AGENT_DATA_MAX);
    return m->kind == AGENT_ITEM_INFO ? file_take(info, views, &m->info, err) : 0;
}

int agent_tree_item_decode(const uint8_t *data, size_t len, struct agent_item *ret, mvm_error **err)
{
    struct file_views views = { .name = { .len = 0 } };
    struct agent_item m = { .path = NULL };
    wire_TreeItem w = { .info = file_getter(&views), .data = wire_get_bytes(&m.data) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_TreeItem_fields, &w, "TreeItem",
                        err);

    if (r < 0)
        return r;
    const bool there[] = {
        [AGENT_ITEM_INFO] = w.has_info, [AGENT_ITEM_DATA] = !bytes_view_is_absent(m.data)
    };
    m.kind = (enum agent_item_kind) wire_only_member(there, ARRAY_SIZE(there));
    r = item_take(&m, &w.info, &views, err);
    if (r < 0)
        return mvm_context(err, r, "TreeItem");
    *ret = m;
    return 0;
}

void agent_write_input_encode(const struct agent_item *m, struct strbuf *out)
{
    struct bytes_view data = { .len = 0 }, path = { .len = 0 };
    struct file_views views;
    wire_WriteInput w = { .data = wire_put_bytes(&data) };

    switch (m->kind) {
    case AGENT_ITEM_TARGET:
        path = bytes_view_of_text(m->path);
        w.has_target = true;
        w.target = (wire_WriteTarget){ .path = wire_put_bytes(&path),
                                       .own = m->own,
                                       .parents = m->parents };
        break;
    case AGENT_ITEM_INFO:
        w.has_info = true;
        w.info = file_putter(&m->info, &views);
        break;
    case AGENT_ITEM_DATA:
        data = bytes_view_of(m->data.data, m->data.len);
        break;
    }
    wire_encode(wire_WriteInput_fields, &w, out);
}

int agent_write_input_decode(const uint8_t *data, size_t len, struct agent_item *ret,
                             mvm_error **err)
{
    struct bytes_view path = { .len = 0 };
    struct file_views views = { .name = { .len = 0 } };
    struct agent_item m = { .path = NULL };
    wire_WriteInput w = { .target = { .path = wire_get_bytes(&path) },
                          .info = file_getter(&views),
                          .data = wire_get_bytes(&m.data) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_WriteInput_fields, &w, "WriteInput",
                        err);

    if (r < 0)
        return r;
    const bool there[] = { [AGENT_ITEM_TARGET] = w.has_target,
                           [AGENT_ITEM_INFO] = w.has_info,
                           [AGENT_ITEM_DATA] = !bytes_view_is_absent(m.data) };
    m.kind = (enum agent_item_kind) wire_only_member(there, ARRAY_SIZE(there));
    m.own = w.target.own;
    m.parents = w.target.parents;
    r = item_take(&m, &w.info, &views, err);
    if (r == 0 && m.kind == AGENT_ITEM_TARGET)
        r = path_take(path, &m.path, err);
    if (r < 0)
        return mvm_context(err, r, "WriteInput");
    *ret = m;
    return 0;
}

void agent_write_response_encode(const struct agent_write_response *m, struct strbuf *out)
{
    const wire_WriteResponse w = { .files = m->files, .bytes = m->bytes };

    wire_encode(wire_WriteResponse_fields, &w, out);
}

int agent_write_response_decode(const uint8_t *data, size_t len, struct agent_write_response *ret,
                                mvm_error **err)
{
    wire_WriteResponse w = { .files = 0 };
    int r = wire_decode((struct bytes_view){ data, len }, wire_WriteResponse_fields, &w,
                        "WriteResponse", err);

    if (r < 0)
        return r;
    *ret = (struct agent_write_response){ .files = w.files, .bytes = w.bytes };
    return 0;
}
