/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"

#include "base/json.h"

void oci_config_deinit(struct oci_config *config)
{
    free(config->os);
    free(config->architecture);
    free(config->variant);
    free(config->workdir);
    free(config->user);
    free(config->kernel);
    free(config->diff_ids);
    strv_deinit(&config->entrypoint);
    strv_deinit(&config->cmd);
    strv_deinit(&config->env);
    *config = (struct oci_config){ 0 };
}

static int get_text(const json_t *j, const char *key, char **ret, mvm_error **err)
{
    const char *text = NULL;
    int r = json_get_str(j, key, &text, err);

    if (r < 0)
        return r;
    *ret = strdup(text ? text : "");
    return *ret ? 0 : mvm_fail_nomem(err);
}

static int parse_labels(const json_t *process, struct oci_config *c, mvm_error **err)
{
    json_t *labels = NULL;
    int r = json_get_object(process, "Labels", &labels, err);

    return r < 0 ? r : get_text(labels, OCI_LABEL_KERNEL, &c->kernel, err);
}

static int parse_process(const json_t *root, struct oci_config *c, mvm_error **err)
{
    json_t *process = NULL;
    int r = json_get_object(root, "config", &process, err);

    if (r == 0)
        r = json_get_strv(process, "Entrypoint", &c->entrypoint, err);
    if (r == 0)
        r = json_get_strv(process, "Cmd", &c->cmd, err);
    if (r == 0)
        r = json_get_strv(process, "Env", &c->env, err);
    if (r == 0)
        r = get_text(process, "WorkingDir", &c->workdir, err);
    if (r == 0)
        r = get_text(process, "User", &c->user, err);
    return r < 0 ? r : parse_labels(process, c, err);
}

static int parse_diff_ids(const json_t *rootfs, struct oci_config *c, mvm_error **err)
{
    json_t *array = NULL;
    size_t n;
    int r = json_get_array(rootfs, "diff_ids", &array, err);

    if (r < 0)
        return r;
    n = json_array_size(array);
    c->diff_ids = mem_array(n, sizeof(*c->diff_ids));
    if (!c->diff_ids)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));

        if (!text)
            return mvm_fail(err, MVM_E_FORMAT, 0, "key 'diff_ids' is not an array of strings");
        r = digest_parse(text, &c->diff_ids[i], err);
        if (r < 0)
            return mvm_context(err, r, "diff_ids, entry %zu", i + 1);
    }
    c->n_diff_ids = n;
    return 0;
}

static int parse_rootfs(const json_t *root, struct oci_config *c, mvm_error **err)
{
    const char *type = NULL;
    json_t *rootfs = NULL;
    int r = json_get_object(root, "rootfs", &rootfs, err);

    if (r == 0 && !rootfs)
        return mvm_fail(err, MVM_E_FORMAT, 0, "key 'rootfs' is missing");
    if (r == 0)
        r = json_need_str(rootfs, "type", &type, err);
    if (r == 0 && strcmp(type, "layers") != 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "rootfs type '%s' is not 'layers'", type);
    return r < 0 ? r : parse_diff_ids(rootfs, c, err);
}

static int parse_root(const json_t *root, struct oci_config *c, mvm_error **err)
{
    int r;

    if (!json_is_object(root))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not a JSON object");
    r = get_text(root, "os", &c->os, err);
    if (r == 0)
        r = get_text(root, "architecture", &c->architecture, err);
    if (r == 0)
        r = get_text(root, "variant", &c->variant, err);
    if (r == 0)
        r = parse_process(root, c, err);
    return r < 0 ? r : parse_rootfs(root, c, err);
}

int oci_config_parse(const char *text, size_t len, struct oci_config *config, mvm_error **err)
{
    mvm_autovalue(oci_config) made = { 0 };
    mvm_autojson json_t *root = NULL;
    int r;

    if (len > OCI_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "image config: %zu bytes, the limit is %u", len,
                        OCI_CONFIG_MAX);
    r = json_parse(text, len, "image config", &root, err);
    if (r < 0)
        return r;
    r = parse_root(root, &made, err);
    if (r < 0)
        return mvm_context(err, r, "image config");
    *config = made;
    made = (struct oci_config){ 0 };
    return 0;
}
