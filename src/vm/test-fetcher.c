/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/test-sandbox.h"
#include "oci/platform.h"

#include <microvm/fetcher.h>
#include <microvm/vm.h>

#define REFERENCE "example.com/app:1"
/* A tar without an entry. */
#define LAYER_LEN 1024

/* An image in memory, and what its fetcher does wrong. */
struct memory {
    char layer[LAYER_LEN];
    char *config, *manifest, *index; /* owned */
    struct digest_text layer_digest, config_digest, manifest_digest;
    bool through_index;
    char references[512]; /* that were asked for, each with its platform */
    int fail_manifest;    /* code that @manifest gives */
    int fail_blob;
    int64_t read_result;       /* in place of a read; INT64_MAX: reads */
    bool silent;               /* without a reason */
    const char *manifest_text; /* in place of the right one */
    size_t flip;               /* a byte of the layer that is another one; 0: none */
    int open_blobs;
};

struct blob {
    const char *data;
    size_t len, at;
};

static struct digest_text digest_text_of(const char *data, size_t len)
{
    struct digest d;

    assert_int_equal(digest_of(DIGEST_SHA256, data, len, &d, NULL), 0);
    return digest_format(&d);
}

static void memory_init(struct memory *m, struct oci_platform *host)
{
    *m = (struct memory){ .read_result = INT64_MAX };
    assert_int_equal(oci_platform_host(host, NULL), 0);
    m->layer_digest = digest_text_of(m->layer, LAYER_LEN);
    assert_true(
        asprintf(&m->config,
                 "{\"os\":\"linux\",\"architecture\":\"%s\",\"rootfs\":{\"type\":\"layers\","
                 "\"diff_ids\":[\"%s\"]}}",
                 host->architecture, m->layer_digest.text) > 0);
    m->config_digest = digest_text_of(m->config, strlen(m->config));
    assert_true(
        asprintf(&m->manifest,
                 "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
                 "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{"
                 "\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\","
                 "\"size\":%zu}]}",
                 m->config_digest.text, strlen(m->config), m->layer_digest.text,
                 (size_t) LAYER_LEN) > 0);
    m->manifest_digest = digest_text_of(m->manifest, strlen(m->manifest));
    assert_true(asprintf(&m->index,
                         "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
                         "vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,"
                         "\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}]}",
                         m->manifest_digest.text, strlen(m->manifest), host->architecture) > 0);
}

static void memory_deinit(struct memory *m)
{
    free(m->config);
    free(m->manifest);
    free(m->index);
}

static int memory_manifest(void *user, mvm_fetch *call, const char *reference, const char *platform)
{
    struct memory *m = user;
    const char *text = m->through_index && !strchr(reference, '@') ? m->index : m->manifest;
    size_t at = strlen(m->references);

    (void) snprintf(m->references + at, sizeof(m->references) - at, "%s %s;", reference, platform);
    if (m->fail_manifest)
        return m->silent ? m->fail_manifest
                         : mvm_fetch_fail(call, m->fail_manifest, "no such image in memory");
    if (m->manifest_text)
        text = m->manifest_text;
    return *text ? mvm_fetch_set_manifest(call, text, strlen(text), NULL) : 0;
}

static int memory_open(void *user, mvm_fetch *call, const char *reference, const char *digest,
                       uint64_t size, void **ret_blob)
{
    struct memory *m = user;
    struct blob *b;
    const bool config = strcmp(digest, m->config_digest.text) == 0;

    assert_string_equal(reference, REFERENCE);
    assert_true(config || strcmp(digest, m->layer_digest.text) == 0);
    assert_int_equal(size, config ? strlen(m->config) : (size_t) LAYER_LEN);
    if (m->fail_blob)
        return mvm_fetch_fail(call, m->fail_blob, "the blob is lost");
    b = calloc(1, sizeof(*b));
    assert_non_null(b);
    *b = (struct blob){ .data = config ? m->config : m->layer, .len = size };
    m->open_blobs++;
    *ret_blob = b;
    return 0;
}

static int64_t memory_read_blob(void *user, mvm_fetch *call, void *blob, void *data, size_t len)
{
    struct memory *m = user;
    struct blob *b = blob;
    size_t n = b->len - b->at < len ? b->len - b->at : len;

    if (m->read_result != INT64_MAX)
        return m->read_result < 0 ? mvm_fetch_fail(call, (int) m->read_result, "bad memory")
                                  : m->read_result;
    n = n > 100 ? 100 : n; /* any piece will do */
    memcpy(data, b->data + b->at, n);
    if (m->flip > 0 && b->data == m->layer && m->flip >= b->at && m->flip - b->at < n)
        ((char *) data)[m->flip - b->at] ^= 1;
    b->at += n;
    return (int64_t) n;
}

static void memory_close(void *user, void *blob)
{
    struct memory *m = user;

    m->open_blobs--;
    free(blob);
}

static mvm_fetcher fetcher_of(struct memory *m)
{
    return MVM_FETCHER(.user = m, .manifest = memory_manifest, .open_blob = memory_open,
                       .read_blob = memory_read_blob, .close_blob = memory_close);
}

/* Pulls into a fresh store; *ret_message is for free(). */
static int pull(struct memory *m, char **ret_digest, char **ret_message)
{
    void *state = NULL;
    mvm_options *options = mvm_options_new();
    const mvm_fetcher fetcher = fetcher_of(m);
    mvm_autoerror mvm_error *err = NULL;
    int r;

    assert_non_null(options);
    assert_int_equal(sandbox_setup(&state), 0);
    assert_int_equal(mvm_options_set_data_dir(options, ((struct sandbox *) state)->path), 0);
    assert_int_equal(mvm_options_set_fetcher(options, &fetcher), 0);
    r = mvm_pull(REFERENCE, options, ret_digest, &err);
    if (r < 0) {
        print_message("# %s\n", mvm_error_message(err));
        *ret_message = strdup(mvm_error_message(err));
    }
    mvm_options_free(options);
    assert_int_equal(sandbox_teardown(&state), 0);
    assert_int_equal(m->open_blobs, 0);
    return r;
}

static void pull_takes_an_image_from_the_fetcher(void **state)
{
    (void) state;
    for (int through_index = 0; through_index < 2; through_index++) {
        struct oci_platform host;
        struct memory m;
        mvm_autofree char *digest = NULL, *message = NULL, *asked = NULL;

        memory_init(&m, &host);
        m.through_index = through_index;
        const struct oci_platform_text platform = oci_platform_format(&host);

        assert_int_equal(pull(&m, &digest, &message), 0);
        assert_string_equal(digest, m.manifest_digest.text);
        assert_true(
            asprintf(&asked, through_index ? "%s %s;example.com/app@%s linux/%s;" : "%s %s;",
                     REFERENCE, platform.text, m.manifest_digest.text, host.architecture) > 0);
        assert_string_equal(m.references, asked);
        memory_deinit(&m);
    }
}

static void fails(struct memory *m, int code, const char *words)
{
    mvm_autofree char *digest = NULL, *message = NULL;

    assert_int_equal(pull(m, &digest, &message), code);
    assert_non_null(strstr(message, "pull " REFERENCE ": "));
    if (!strstr(message, words))
        fail_msg("'%s' is not in '%s'", words, message);
}

static void failures_of_the_fetcher_are_told(void **state)
{
    static const struct {
        int manifest, blob;
        int64_t read;
        bool silent;
        int code;
        const char *words;
    } cases[] = {
        { MVM_E_NOT_FOUND, 0, INT64_MAX, false, MVM_E_NOT_FOUND,
          "fetcher: no such image in memory" },
        { MVM_E_AUTH, 0, INT64_MAX, true, MVM_E_AUTH, "the fetcher gives no reason" },
        { 7, 0, INT64_MAX, true, MVM_E_ARG, "the fetcher gave back 7" },
        { 0, MVM_E_NET, INT64_MAX, false, MVM_E_NET, "fetcher: the blob is lost" },
        { 0, 0, MVM_E_SYS, false, MVM_E_SYS, "fetcher: bad memory" },
        { 0, 0, 0, false, MVM_E_DIGEST, "0 bytes, manifest says" },
        { 0, 0, INT64_MAX - 1, false, MVM_E_ARG, "have room" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct oci_platform host;
        struct memory m;

        memory_init(&m, &host);
        m.fail_manifest = cases[i].manifest;
        m.fail_blob = cases[i].blob;
        m.read_result = cases[i].read;
        m.silent = cases[i].silent;
        fails(&m, cases[i].code, cases[i].words);
        memory_deinit(&m);
    }
}

static void what_the_fetcher_gives_is_verified(void **state)
{
    struct oci_platform host;
    struct memory m;

    (void) state;
    memory_init(&m, &host);
    m.flip = 600;
    fails(&m, MVM_E_DIGEST, "content has the digest");
    m.flip = 0;
    m.manifest_text = "";
    fails(&m, MVM_E_ARG, "the fetcher gave no manifest");
    m.manifest_text = "{";
    fails(&m, MVM_E_FORMAT, "not JSON");
    /* A whole image, but not the one that the index names. */
    m.manifest_text = NULL;
    m.through_index = true;
    char *end = strrchr(m.manifest, '}');

    *end = ' ';
    fails(&m, MVM_E_DIGEST, "content has the digest");
    memory_deinit(&m);
}

static void manifest_is_limited(void **state)
{
    struct oci_platform host;
    struct memory m;
    mvm_autofree char *text = malloc((8u << 20) + 2);

    (void) state;
    assert_non_null(text);
    memory_init(&m, &host);
    memset(text, ' ', (8u << 20) + 1);
    text[(8u << 20) + 1] = '\0';
    m.manifest_text = text;
    fails(&m, MVM_E_LIMIT, "8388609 bytes, the limit is 8388608");
    text[8u << 20] = '\0';
    fails(&m, MVM_E_FORMAT, "not JSON");
    memory_deinit(&m);
}

static void tables_of_other_releases(void **state)
{
    struct {
        mvm_fetcher fetcher;
        uint64_t more;
    } longer = { .more = 0 };
    mvm_options *options = mvm_options_new();
    struct memory m;

    (void) state;
    assert_non_null(options);
    longer.fetcher = fetcher_of(&m);
    longer.fetcher.struct_size = sizeof(longer);
    assert_int_equal(mvm_options_set_fetcher(options, &longer.fetcher), 0);
    longer.more = 1;
    assert_int_equal(mvm_options_set_fetcher(options, &longer.fetcher), MVM_E_UNSUPPORTED);
    longer.fetcher.struct_size = offsetof(mvm_fetcher, close_blob);
    assert_int_equal(mvm_options_set_fetcher(options, &longer.fetcher), MVM_E_ARG);
    longer.fetcher.struct_size = 0;
    assert_int_equal(mvm_options_set_fetcher(options, &longer.fetcher), MVM_E_ARG);
    longer.fetcher = fetcher_of(&m);
    longer.fetcher.reserved = 1;
    assert_int_equal(mvm_options_set_fetcher(options, &longer.fetcher), MVM_E_UNSUPPORTED);
    assert_int_equal(mvm_options_set_fetcher(options, NULL), 0);
    assert_int_equal(mvm_options_set_fetcher(NULL, NULL), MVM_E_ARG);
    mvm_options_free(options);
}

static void calls_check_their_arguments(void **state)
{
    (void) state;
    assert_int_equal(mvm_fetch_set_manifest(NULL, "x", 1, NULL), MVM_E_ARG);
    assert_int_equal(mvm_fetch_fail(NULL, MVM_E_NET, "x"), MVM_E_ARG);
}

static void orders_of_sources(void **state)
{
    mvm_options *options = mvm_options_new();

    (void) state;
    assert_non_null(options);
    for (int i = MVM_IMAGE_SOURCE_REGISTRY_ONLY; i <= MVM_IMAGE_SOURCE_LOCAL_ONLY; i++)
        assert_int_equal(mvm_options_set_image_source_order(options, i), 0);
    assert_int_equal(mvm_options_set_image_source_order(options, -1), MVM_E_ARG);
    assert_int_equal(mvm_options_set_image_source_order(options, MVM_IMAGE_SOURCE_LOCAL_ONLY + 1),
                     MVM_E_ARG);
    assert_int_equal(mvm_options_set_image_source_order(NULL, 0), MVM_E_ARG);
    mvm_options_free(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_takes_an_image_from_the_fetcher),
        cmocka_unit_test(failures_of_the_fetcher_are_told),
        cmocka_unit_test(what_the_fetcher_gives_is_verified),
        cmocka_unit_test(manifest_is_limited),
        cmocka_unit_test(tables_of_other_releases),
        cmocka_unit_test(calls_check_their_arguments),
        cmocka_unit_test(orders_of_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
