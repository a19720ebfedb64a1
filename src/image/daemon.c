/* SPDX-License-Identifier: Apache-2.0 */
#include "image/daemon.h"

#include "base/json.h"
#include "base/strbuf.h"
#include "image/docker-archive.h"
#include "image/engine.h"
#include "image/scratch.h"

#include <ctype.h>

/* An engine may pack all of a large image before it sends the first byte. */
#define EXPORT_STALL_MS 600000
/* Most bytes of an error's text. */
#define ERROR_TEXT_MAX (64u << 10)
/* Most bytes of a request's path: a name may be three times as long once it is encoded. */
#define REQUEST_MAX 4096
#define EXPORT_BLOCK (256u << 10)

struct daemon_source {
    struct image_source base;
    const struct image_name *name; /* borrowed */
    int dir_fd;                    /* borrowed */
    struct image_tick *tick;       /* borrowed */
    uint64_t stall_ms;             /* before the export; 0: HTTP_STALL_MS */
    struct engine_endpoint endpoint;
    struct http_client *http; /* owned; NULL until the engine is asked */
    bool inspected;
    struct engine_image image;
    struct image_source *export; /* owned; NULL until it was exported */
};

/* RFC 3986, 2.1; a slash and a colon may stay in a path. */
static void add_encoded(struct strbuf *sb, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char) *text) || strchr("-._~/:@", *text))
            strbuf_addc(sb, *text);
        else
            strbuf_addf(sb, "%%%02X", (unsigned char) *text);
    }
}

/* What the engine says about a failure: {"message": "..."}. */
static int answer_fail(struct http_response *response, const char *what, mvm_error **err)
{
    mvm_autojson json_t *j = NULL;
    mvm_autofree char *text = NULL;
    const char *message = NULL;
    size_t len = 0;
    long status = http_status(response);

    if (http_read_all(response, ERROR_TEXT_MAX, &text, &len, NULL) == 0 &&
        json_parse(text, len, "answer", &j, NULL) == 0 && json_is_object(j))
        (void) json_get_str(j, "message", &message, NULL);
    return mvm_fail(err, status == 404 ? MVM_E_NOT_FOUND : MVM_E_NET, 0, "%s: status %ld%s%.512s",
                    what, status, message ? ": " : "", message ? message : "");
}

/* @path is "/images/..." */
static int daemon_get(struct daemon_source *s, const char *path, struct http_response **ret,
                      mvm_error **err)
{
    const char *version = getenv("DOCKER_API_VERSION");
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *url = NULL;
    bool retryable;
    int r;

    if (asprintf(&url, "%s%s%s%s", s->endpoint.url, version && *version ? "/v" : "",
                 version ? version : "", path) < 0) {
        url = NULL;
        return mvm_fail_nomem(err);
    }
    const struct http_request request = { .url = url,
                                          .unix_socket = s->endpoint.socket,
                                          .tls = s->endpoint.has_tls ? &s->endpoint.tls : NULL };

    r = http_send(s->http, &request, &response, &retryable, err);
    if (r == 0 && http_status(response) != 200)
        r = answer_fail(response, path, err);
    if (r < 0)
        return mvm_context(err, r, "container engine at %.256s",
                           s->endpoint.socket ? s->endpoint.socket : s->endpoint.url);
    *ret = steal_ptr(&response);
    return 0;
}

static int daemon_connect(struct daemon_source *s, mvm_error **err)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    int r;

    if (s->stall_ms > 0)
        limits.stall_ms = s->stall_ms;
    if (s->http)
        return 0;
    r = engine_find(&s->endpoint, err);
    return r < 0 ? r : http_client_new(&limits, s->tick, &s->http, err);
}

/* By the name as it was typed: which of its images a short name means is the engine's choice. */
static int daemon_inspect(struct daemon_source *s, mvm_error **err)
{
    mvm_autovalue(strbuf) path = STRBUF_INIT(REQUEST_MAX);
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = daemon_connect(s, err);

    if (r < 0 || s->inspected)
        return r;
    strbuf_adds(&path, "/images/");
    add_encoded(&path, s->name->id ? s->name->id : s->name->ref.typed);
    strbuf_adds(&path, "/json");
    r = strbuf_check(&path, "request", err);
    if (r == 0)
        r = daemon_get(s, path.data, &response, err);
    if (r == 0)
        r = http_read_all(response, ENGINE_INSPECT_MAX, &text, &len, err);
    if (r == 0)
        r = engine_inspect_parse(text, len, &s->image, err);
    s->inspected = r == 0;
    return r < 0 ? mvm_context(err, r, "inspect the image") : 0;
}

/* An image of another platform is none for us. */
static int check_platform(const struct daemon_source *s, const struct oci_platform *want,
                          mvm_error **err)
{
    const struct oci_platform *got = &s->image.platform;

    if (strcmp(got->os, want->os) == 0 && strcmp(got->architecture, want->architecture) == 0)
        return 0;
    return mvm_fail(err, MVM_E_NOT_FOUND, 0,
                    "the container engine has it for %s/%s, wanted is %s/%s", got->os,
                    got->architecture, want->os, want->architecture);
}

static int daemon_identify(struct image_source *base, const struct oci_platform *want, char **ret,
                           mvm_error **err)
{
    struct daemon_source *s = (struct daemon_source *) base;
    int r = daemon_inspect(s, err);

    if (r == 0)
        r = check_platform(s, want, err);
    if (r < 0)
        return r;
    if (asprintf(ret, "docker-daemon:%s", digest_format(&s->image.id).text) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

/* By its id: the name may mean another image by now. */
static int download(struct daemon_source *s, int fd, mvm_error **err)
{
    mvm_autovalue(strbuf) path = STRBUF_INIT(REQUEST_MAX);
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *data = malloc(EXPORT_BLOCK);
    uint64_t size = 0;
    ssize_t n;
    int r;

    if (!data)
        return mvm_fail_nomem(err);
    strbuf_adds(&path, "/images/get?names=");
    add_encoded(&path, digest_format(&s->image.id).text);
    r = strbuf_check(&path, "request", err);
    http_client_set_stall(s->http, EXPORT_STALL_MS);
    if (r == 0)
        r = daemon_get(s, path.data, &response, err);
    while (r == 0 && (n = http_read(response, data, EXPORT_BLOCK, err)) != 0)
        r = n < 0 ? (int) n : scratch_file_add(fd, data, (size_t) n, &size, err);
    return r;
}

/* A store of the registries' form has the id as the digest of a manifest or an index, which the
 * export has as a blob; in the classic store it is the config's. */
static bool has_document(struct archive_file *a, const struct digest *id)
{
    const struct digest_text text = digest_format(id);
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_auto(blob_reader) reader = NULL;
    mvm_autofree char *path = NULL, *data = NULL;
    struct archive_extent extent;
    size_t len = 0;

    if (asprintf(&path, "blobs/%.*s/%s", (int) strcspn(text.text, ":"), text.text,
                 digest_hex(&text)) < 0) {
        path = NULL;
        return false;
    }
    return archive_file_find(a, path, &extent, NULL) == 0 &&
           archive_file_read(a, &extent, &reader, NULL) == 0 &&
           blob_read_text(reader, OCI_INDEX_MAX, &data, &len, NULL) == 0 &&
           oci_document_parse(data, len, NULL, &doc, NULL) == 0;
}

static int read_export(struct daemon_source *s, struct archive_file *a, mvm_error **err)
{
    struct layout_files *files = NULL;
    struct digest id;
    int r;

    if (has_document(a, &s->image.id)) {
        r = archive_layout_new(a, &files, err);
        return r < 0 ? r : layout_source_new_at(files, &s->image.id, &s->export, err);
    }
    r = docker_archive_source_new(a, NULL, s->tick, &s->export, err);
    if (r < 0)
        return r;
    id = docker_archive_id(s->export);
    if (!digest_equal(&id, &s->image.id))
        return mvm_fail(err, MVM_E_DIGEST, 0, "it has the image config %s, asked for was %s",
                        digest_format(&id).text, digest_format(&s->image.id).text);
    return 0;
}

static int daemon_export(struct daemon_source *s, mvm_error **err)
{
    struct archive_file *a = NULL;
    mvm_autoclose int fd = -EBADF;
    int r = scratch_file_new(s->dir_fd, &fd, err);

    if (r == 0)
        r = download(s, fd, err);
    if (r == 0)
        r = archive_file_new(steal_fd(&fd), s->dir_fd, s->tick, &a, err);
    if (r == 0)
        r = read_export(s, a, err);
    return r < 0 ? mvm_context(err, r, "export the image") : 0;
}

static int daemon_open_name(struct image_source *base, const struct oci_platform *want,
                            struct source_document *ret, mvm_error **err)
{
    struct daemon_source *s = (struct daemon_source *) base;
    int r = daemon_inspect(s, err);

    if (r == 0)
        r = check_platform(s, want, err);
    if (r == 0 && !s->export)
        r = daemon_export(s, err);
    return r < 0 ? r : s->export->open_name(s->export, want, ret, err);
}

static int daemon_open_manifest(struct image_source *base, const struct oci_descriptor *d,
                                struct source_document *ret, mvm_error **err)
{
    struct daemon_source *s = (struct daemon_source *) base;

    return s->export->open_manifest(s->export, d, ret, err);
}

static int daemon_open_blob(struct image_source *base, const struct oci_descriptor *d,
                            struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    struct daemon_source *s = (struct daemon_source *) base;

    return s->export->open_blob(s->export, d, tick, ret, err);
}

static void daemon_free(struct image_source *base)
{
    struct daemon_source *s = (struct daemon_source *) base;

    image_source_free(s->export);
    http_client_free(s->http);
    engine_endpoint_deinit(&s->endpoint);
    free(s);
}

int daemon_source_open(const struct image_name *name, int dir_fd, uint64_t stall_ms,
                       struct image_tick *tick, struct image_source **ret, mvm_error **err)
{
    struct daemon_source *s;

    /* What an engine exports has no registry's digest. */
    if (!name->id && name->ref.has_digest)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "a container engine cannot prove that an image has a registry's digest");
    s = calloc(1, sizeof(*s));
    if (!s)
        return mvm_fail_nomem(err);
    s->base = (struct image_source){ .identify = daemon_identify,
                                     .open_name = daemon_open_name,
                                     .open_manifest = daemon_open_manifest,
                                     .open_blob = daemon_open_blob,
                                     .free = daemon_free };
    s->name = name;
    s->dir_fd = dir_fd;
    s->tick = tick;
    s->stall_ms = stall_ms;
    *ret = &s->base;
    return 0;
}
