/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
/* Of "content". */
#define DATA_DIGEST "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar+gzip"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define DESCRIPTOR(type) "{\"mediaType\":\"" type "\",\"digest\":\"" DIGEST "\",\"size\":7}"
#define ENTRY(type, platform) \
    "{\"mediaType\":\"" type "\",\"digest\":\"" DIGEST "\",\"size\":7,\"platform\":" platform "}"
#define MANIFEST                                                                           \
    "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(CONFIG_TYPE) ",\"layers\":[" DESCRIPTOR( \
        LAYER_TYPE) "]}"

static int parse(const char *text, const char *expected, struct oci_document *doc, mvm_error **err)
{
    return oci_document_parse(text, strlen(text), expected, doc, err);
}

static void manifests_and_indexes_are_told_apart(void **state)
{
    static const struct {
        const char *text, *expected;
        bool is_index;
    } cases[] = {
        { MANIFEST, MANIFEST_TYPE, false },
        { MANIFEST, NULL, false },
        { MANIFEST, "application/vnd.oci.image.manifest.v1+json; charset=utf-8", false },
        { MANIFEST, "application/vnd.docker.distribution.manifest.v2+json", false },
        { MANIFEST, "text/plain", false },
        { "{\"schemaVersion\":2,\"mediaType\":null,\"manifests\":[]}", NULL, true },
        { "{\"schemaVersion\":2,\"manifests\":[]}", INDEX_TYPE, true },
        { "{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE
          "\",\"manifests\":[" DESCRIPTOR(MANIFEST_TYPE) "]}",
          "application/octet-stream", true },
        { "{\"schemaVersion\":2,\"manifests\":[]}",
          "application/vnd.docker.distribution.manifest.list.v2+json", true },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_document) doc = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        if (parse(cases[i].text, cases[i].expected, &doc, &e) != 0)
            fail_msg("case %zu: %s", i, mvm_error_message(e));
        assert_int_equal(doc.is_index, cases[i].is_index);
        if (!doc.is_index) {
            assert_int_equal(doc.manifest.n_layers, 1);
            assert_string_equal(doc.manifest.layers[0].media_type, LAYER_TYPE);
            assert_int_equal(doc.manifest.layers[0].size, 7);
            assert_string_equal(digest_format(&doc.manifest.config.digest).text, DIGEST);
            assert_int_equal(oci_manifest_check_image(&doc.manifest, NULL), 0);
        }
    }
}

static void malformed_documents_are_refused(void **state)
{
    static const struct {
        const char *text, *expected, *words;
    } cases[] = {
        { "", NULL, "not JSON" },
        { "<html>", NULL, "not JSON" },
        { "[]", NULL, "not a JSON object" },
        { "{}", NULL, "schemaVersion is 0" },
        { "{\"schemaVersion\":1}", NULL, "schema 1 images are not supported" },
        { MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws",
          "schema 1 images" },
        { "{\"schemaVersion\":3}", NULL, "schemaVersion is 3" },
        { "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", NULL,
          "both 'manifests' and 'layers'" },
        { "{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE "\",\"manifests\":[]}", MANIFEST_TYPE,
          "led to it" },
        { "{\"schemaVersion\":2,\"mediaType\":\"text/x\",\"manifests\":[]}", NULL,
          "'text/x' is neither" },
        { "{\"schemaVersion\":2,\"manifests\":[]}", MANIFEST_TYPE, "not those of its media type" },
        { MANIFEST, INDEX_TYPE, "not those of its media type" },
        { "{\"schemaVersion\":2,\"layers\":[]}", NULL, "'config' is missing" },
        { "{\"schemaVersion\":2,\"config\":{\"digest\":\"" DIGEST "\"}}", NULL, "'size'" },
        { "{\"schemaVersion\":2,\"config\":{\"size\":1}}", NULL, "'digest' is missing" },
        { "{\"schemaVersion\":2,\"config\":{\"size\":-1,\"digest\":\"" DIGEST "\"}}", NULL,
          "'size'" },
        { "{\"schemaVersion\":2,\"config\":{\"size\":1.5,\"digest\":\"" DIGEST "\"}}", NULL,
          "'size'" },
        { "{\"schemaVersion\":2,\"config\":{\"size\":9007199254740992,\"digest\":\"" DIGEST "\"}}",
          NULL, "'size'" },
        { "{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"md5:00\"}}", NULL, "md5" },
        { "{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:00\"}}", NULL,
          "sha256" },
        { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(CONFIG_TYPE) ",\"layers\":[7]}", NULL,
          "layers, entry 1" },
        { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(CONFIG_TYPE) ",\"layers\":{}}", NULL,
          "'layers'" },
        { "{\"schemaVersion\":2,\"schemaVersion\":2}", NULL, "duplicate" },
        { "{\"schemaVersion\":2,\"x\":\"\xff\"}", NULL, "not JSON" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_document) doc = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        if (parse(cases[i].text, cases[i].expected, &doc, &e) >= 0)
            fail_msg("case %zu is taken", i);
        if (!strstr(mvm_error_message(e), cases[i].words))
            fail_msg("case %zu: '%s' lacks '%s'", i, mvm_error_message(e), cases[i].words);
    }
}

/* @text padded with blanks to @len bytes. */
static int parse_padded(const char *text, size_t len)
{
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_autofree char *padded = malloc(len);

    memset(padded, ' ', len);
    memcpy(padded, text, strlen(text));
    return oci_document_parse(padded, len, NULL, &doc, NULL);
}

static void sizes_hold_at_their_limit_and_not_above(void **state)
{
    static const char index[] = "{\"schemaVersion\":2,\"manifests\":[]}";

    (void) state;
    assert_int_equal(parse_padded(MANIFEST, OCI_MANIFEST_MAX), 0);
    assert_int_equal(parse_padded(MANIFEST, OCI_MANIFEST_MAX + 1), MVM_E_LIMIT);
    assert_int_equal(parse_padded(index, OCI_INDEX_MAX), 0);
    assert_int_equal(parse_padded(index, OCI_INDEX_MAX + 1), MVM_E_LIMIT);
}

static void artifacts_and_unknown_layers_are_no_images(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(
              "application/vnd.oci.empty.v1+json") ",\"layers\":[]}",
          "'application/vnd.oci.empty.v1+json'" },
        { "{\"schemaVersion\":2,\"artifactType\":\"application/x-sbom\",\"config\":" DESCRIPTOR(
              "application/vnd.oci.empty.v1+json") ",\"layers\":[]}",
          "artifact of type 'application/x-sbom'" },
        { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(CONFIG_TYPE) ",\"layers\":[" DESCRIPTOR(
              LAYER_TYPE) "," DESCRIPTOR("application/x-wasm") "]}",
          "layer 2 of 2: unknown media type 'application/x-wasm'" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_document) doc = { 0 };
        mvm_autoerror mvm_error *e = NULL;

        assert_int_equal(parse(cases[i].text, NULL, &doc, NULL), 0);
        assert_int_equal(oci_manifest_check_image(&doc.manifest, &e), MVM_E_UNSUPPORTED);
        if (!strstr(mvm_error_message(e), cases[i].words))
            fail_msg("'%s' lacks '%s'", mvm_error_message(e), cases[i].words);
    }
}

static void layer_types_are_known_whatever_the_suffix(void **state)
{
    static const char *const good[] = {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "Application/VND.oci.image.layer.v1.tar; x=y",
    };
    static const char *const bad[] = { "", "application/vnd.oci.image.layer.v1.tar+", "text/plain",
                                       "application/vnd.oci.image.layer.v1.tar+gzip+encrypted" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (oci_media_type_kind(good[i]) != OCI_MEDIA_LAYER)
            fail_msg("'%s' is unknown", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (oci_media_type_kind(bad[i]) != OCI_MEDIA_UNKNOWN)
            fail_msg("'%s' is known", bad[i]);
    assert_int_equal(oci_media_type_kind(NULL), OCI_MEDIA_UNKNOWN);
}

/* Index of the entry that is chosen, or -1. */
static int choose(const char *entries, const char *want_text, mvm_error **err)
{
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_autofree char *text = NULL;
    const struct oci_descriptor *d = NULL;
    struct oci_platform want;

    assert_true(asprintf(&text, "{\"schemaVersion\":2,\"manifests\":[%s]}", entries) > 0);
    assert_int_equal(parse(text, INDEX_TYPE, &doc, NULL), 0);
    assert_int_equal(oci_platform_parse(want_text, &want, NULL), 0);
    if (oci_index_choose(&doc.index, NULL, &want, &d, err) < 0)
        return -1;
    return (int) (d - doc.index.entries);
}

#define P(os, arch) ENTRY(MANIFEST_TYPE, "{\"os\":\"" os "\",\"architecture\":\"" arch "\"}")
#define PV(arch, v) \
    ENTRY(MANIFEST_TYPE, "{\"os\":\"linux\",\"architecture\":\"" arch "\",\"variant\":\"" v "\"}")

/* A manifest whose layer has @more keys, and a size. */
static int parse_layer(const char *more, unsigned size, struct oci_document *doc, mvm_error **err)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(OCI_MANIFEST_MAX);

    strbuf_addf(&text,
                "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(
                    CONFIG_TYPE) ",\"layers\":[{\"mediaType\":\"" LAYER_TYPE
                                 "\",\"digest\":\"%s\",",
                DATA_DIGEST);
    strbuf_addf(&text, "\"size\":%u%s}]}", size, more);
    return oci_document_parse(strbuf_str(&text), text.len, NULL, doc, err);
}

static void urls_of_a_descriptor_are_kept_in_order(void **state)
{
    mvm_autovalue(oci_document) doc = { 0 };

    (void) state;
    assert_int_equal(parse_layer(",\"urls\":[\"https://a/x\",\"b\"]", 7, &doc, NULL), 0);
    assert_int_equal(doc.manifest.layers[0].urls.n, 2);
    assert_string_equal(doc.manifest.layers[0].urls.items[0], "https://a/x");
    assert_string_equal(doc.manifest.layers[0].urls.items[1], "b");
    assert_int_equal(doc.manifest.config.urls.n, 0);
}

static int parse_urls(size_t n, size_t len)
{
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_autovalue(strbuf) more = STRBUF_INIT(1u << 20);

    strbuf_addf(&more, ",\"urls\":[");
    for (size_t i = 0; i < n; i++)
        strbuf_addf(&more, "%s\"%0*d\"", i > 0 ? "," : "", (int) len, 0);
    strbuf_addf(&more, "]");
    return parse_layer(strbuf_str(&more), 7, &doc, NULL);
}

static void urls_have_a_number_and_a_length(void **state)
{
    mvm_autovalue(oci_document) doc = { 0 };

    (void) state;
    assert_int_equal(parse_urls(OCI_URLS_MAX, OCI_URL_MAX), 0);
    assert_int_equal(parse_urls(OCI_URLS_MAX + 1, 1), MVM_E_LIMIT);
    assert_int_equal(parse_urls(1, OCI_URL_MAX + 1), MVM_E_LIMIT);
    assert_int_equal(parse_layer(",\"urls\":[7]", 7, &doc, NULL), MVM_E_FORMAT);
    assert_int_equal(parse_layer(",\"urls\":\"https://a\"", 7, &doc, NULL), MVM_E_FORMAT);
}

static void data_of_a_descriptor_is_verified(void **state)
{
    static const struct {
        const char *more, *words;
        unsigned size;
        int code;
    } cases[] = {
        { ",\"data\":\"Y29udGVudA==\"", NULL, 7, 0 },
        { ",\"data\":\"Y29udGVudA==\"", "7 bytes, the descriptor says 8", 8, MVM_E_DIGEST },
        { ",\"data\":\"Y29udGVudB==\"", NULL, 7, 0 }, /* bits that are no content */
        { ",\"data\":\"Y29udGVuRA==\"", "it has the digest sha256:", 7, MVM_E_DIGEST },
        { ",\"data\":\"\"", "0 bytes, the descriptor says 7", 7, MVM_E_DIGEST },
        { ",\"data\":\"Y29*\"", "not base64", 7, MVM_E_FORMAT },
        { ",\"data\":[]", "key 'data'", 7, MVM_E_FORMAT },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(oci_document) doc = { 0 };
        mvm_autoerror mvm_error *e = NULL;
        int r = parse_layer(cases[i].more, cases[i].size, &doc, &e);

        if (r != cases[i].code || (r < 0 && !strstr(mvm_error_message(e), cases[i].words)))
            fail_msg("case %zu: %d '%s'", i, r, mvm_error_message(e));
        if (r == 0)
            assert_memory_equal(doc.manifest.layers[0].data, "content", 7);
        assert_null(doc.manifest.config.data);
    }
}

/* Zeros, of which the digest is wrong: the size is looked at before. */
static int parse_zeros(size_t len)
{
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_autovalue(strbuf) more = STRBUF_INIT(OCI_MANIFEST_MAX);

    strbuf_addf(&more, ",\"data\":\"");
    for (size_t i = 0; i < (len + 2) / 3; i++)
        strbuf_add(&more, len - i * 3 == 1 ? "AA==" : len - i * 3 == 2 ? "AAA=" : "AAAA", 4);
    strbuf_addf(&more, "\"");
    return parse_layer(strbuf_str(&more), (unsigned) len, &doc, NULL);
}

static void data_has_a_limit(void **state)
{
    (void) state;
    assert_int_equal(parse_zeros(OCI_DATA_MAX), MVM_E_DIGEST);
    assert_int_equal(parse_zeros(OCI_DATA_MAX + 1), MVM_E_LIMIT);
}

static void best_entry_is_chosen(void **state)
{
    static const struct {
        const char *entries, *want;
        int chosen;
    } cases[] = {
        { P("linux", "arm64") "," P("linux", "amd64"), "linux/amd64", 1 },
        { P("linux", "amd64") "," P("linux", "amd64"), "linux/amd64", 0 },
        { PV("amd64", "v1") "," PV("amd64", "v3") "," PV("amd64", "v2"), "linux/amd64/v2", 2 },
        { PV("amd64", "v4") "," P("linux", "amd64"), "linux/amd64/v3", 1 },
        { PV("arm", "v6") "," PV("arm", "v7") "," PV("arm", "v8"), "linux/arm/v7", 1 },
        { P("unknown", "unknown") "," P("linux", "amd64"), "linux/amd64", 1 },
        { P("unknown", "unknown"), "unknown/unknown", -1 },
        { ENTRY("application/x-attestation",
                "{\"os\":\"linux\",\"architecture\":\"amd64\"}") "," P("linux", "amd64"),
          "linux/amd64", 1 },
        { ENTRY(INDEX_TYPE, "{\"os\":\"linux\",\"architecture\":\"amd64\"}"), "linux/amd64", 0 },
        { DESCRIPTOR(MANIFEST_TYPE) "," P("linux", "amd64"), "linux/amd64", 1 },
        { P("linux", "arm64") "," DESCRIPTOR(MANIFEST_TYPE), "linux/amd64", 1 },
        { P("windows", "amd64"), "linux/amd64", -1 },
        { "", "linux/amd64", -1 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int chosen = choose(cases[i].entries, cases[i].want, NULL);

        if (chosen != cases[i].chosen)
            fail_msg("case %zu: entry %d, not %d", i, chosen, cases[i].chosen);
    }
}

static void missing_platform_lists_what_is_there(void **state)
{
    mvm_autoerror mvm_error *e = NULL;

    (void) state;
    assert_int_equal(choose(P("linux", "arm64") "," PV("arm", "v7") "," P("unknown", "unknown"),
                            "linux/amd64", &e),
                     -1);
    assert_int_equal(mvm_error_code(e), MVM_E_NOT_FOUND);
    assert_string_equal(mvm_error_message(e),
                        "no image for linux/amd64; there is linux/arm64, linux/arm/v7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_and_indexes_are_told_apart),
        cmocka_unit_test(malformed_documents_are_refused),
        cmocka_unit_test(sizes_hold_at_their_limit_and_not_above),
        cmocka_unit_test(artifacts_and_unknown_layers_are_no_images),
        cmocka_unit_test(layer_types_are_known_whatever_the_suffix),
        cmocka_unit_test(urls_of_a_descriptor_are_kept_in_order),
        cmocka_unit_test(urls_have_a_number_and_a_length),
        cmocka_unit_test(data_of_a_descriptor_is_verified),
        cmocka_unit_test(data_has_a_limit),
        cmocka_unit_test(best_entry_is_chosen),
        cmocka_unit_test(missing_platform_lists_what_is_there),
    };

    return cmocka_run_group_tests_name("oci-manifest", tests, NULL, NULL);
}
