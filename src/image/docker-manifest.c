/* SPDX-License-Identifier: Apache-2.0 */
#include "image/docker-manifest.h"

#include "base/json.h"
#include "base/strbuf.h"

/* Enough of a list of names for a message. */
#define TAGS_TEXT_MAX 1024

void docker_image_deinit(struct docker_image *image)
{
    free(image->config);
    strv_deinit(&image->tags);
    strv_deinit(&image->layers);
    for (size_t i = 0; i < image->n_sources; i++)
        free(image->sources[i].media_type);
    free(image->sources);
    *image = (struct docker_image){ 0 };
}

static int parse_source(const char *key, const json_t *value, struct docker_layer_source *ret,
                        mvm_error **err)
{
    const char *type = NULL;
    int r = digest_parse(key, &ret->diff_id, err);

    if (r == 0 && !json_is_object(value))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "not an object");
    if (r == 0)
        r = json_get_str(value, "mediaType", &type, err);
    if (r < 0)
        return mvm_context(err, r, "'LayerSources': '%.100s'", key);
    ret->media_type = strdup(type ? type : "");
    return ret->media_type ? 0 : mvm_fail_nomem(err);
}

static int parse_sources(const json_t *j, struct docker_image *image, mvm_error **err)
{
    json_t *all = NULL, *value;
    const char *key;
    int r = json_get_object(j, "LayerSources", &all, err);

    if (r < 0 || !all)
        return r;
    image->sources = mem_array(json_object_size(all), sizeof(*image->sources));
    if (!image->sources)
        return mvm_fail_nomem(err);
    json_object_foreach(all, key, value)
    {
        r = parse_source(key, value, &image->sources[image->n_sources], err);
        if (r < 0)
            return r;
        image->n_sources++;
    }
    return 0;
}

static int parse_image(const json_t *j, struct docker_image *image, mvm_error **err)
{
    const char *config = NULL;
    int r;

    if (!json_is_object(j))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not an object");
    r = json_need_str(j, "Config", &config, err);
    if (r == 0)
        r = json_get_strv(j, "RepoTags", &image->tags, err);
    if (r == 0)
        r = json_get_strv(j, "Layers", &image->layers, err);
    if (r == 0)
        r = parse_sources(j, image, err);
    if (r < 0)
        return r;
    image->config = strdup(config);
    return image->config ? 0 : mvm_fail_nomem(err);
}

/* Names are compared as the fully qualified ones that they stand for. */
static bool has_tag(const struct docker_image *image, const struct oci_reference *ref)
{
    for (size_t i = 0; i < image->tags.n; i++) {
        mvm_autovalue(oci_reference) tag = { 0 };

        if (oci_reference_parse(image->tags.items[i], &tag, NULL) == 0 &&
            strcmp(tag.name, ref->name) == 0)
            return true;
    }
    return false;
}

static void list_tags(struct strbuf *text, const struct docker_image *image)
{
    for (size_t i = 0; i < image->tags.n; i++)
        strbuf_addf(text, "%s%s", text->len > 0 ? ", " : "", image->tags.items[i]);
}

static int fail_choice(const struct strbuf *tags, size_t n, const struct oci_reference *ref,
                       mvm_error **err)
{
    const char *text = tags->len > 0 ? strbuf_str(tags) : "none";

    if (!ref)
        return mvm_fail(err, MVM_E_ARG, 0,
                        "which of the %zu images is meant? The archive's names are %s", n, text);
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no image '%.300s' in the archive; there is %s",
                    ref->name, text);
}

static int choose(const json_t *list, const struct oci_reference *ref, struct docker_image *ret,
                  mvm_error **err)
{
    mvm_autovalue(strbuf) tags = STRBUF_INIT(TAGS_TEXT_MAX);
    size_t n = json_array_size(list);

    for (size_t i = 0; i < n; i++) {
        mvm_autovalue(docker_image) image = { 0 };
        int r = parse_image(json_array_get(list, i), &image, err);

        if (r < 0)
            return mvm_context(err, r, "image %zu of %zu", i + 1, n);
        if (ref ? has_tag(&image, ref) : n == 1) {
            *ret = image;
            image = (struct docker_image){ 0 };
            return 0;
        }
        list_tags(&tags, &image);
    }
    return fail_choice(&tags, n, ref, err);
}

int docker_manifest_choose(const char *text, size_t len, const struct oci_reference *ref,
                           struct docker_image *ret, mvm_error **err)
{
    mvm_autojson json_t *list = NULL;
    int r = json_parse(text, len, "manifest.json", &list, err);

    if (r < 0)
        return r;
    if (!json_is_array(list))
        return mvm_fail(err, MVM_E_FORMAT, 0, "manifest.json: not a list");
    if (json_array_size(list) == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "manifest.json: the archive holds no image");
    if (json_array_size(list) > DOCKER_IMAGES_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "manifest.json: %zu images, the limit is %d",
                        json_array_size(list), DOCKER_IMAGES_MAX);
    r = choose(list, ref, ret, err);
    return r < 0 ? mvm_context(err, r, "manifest.json") : 0;
}
