/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/config.h"

#include "base/json.h"
#include "base/scan.h"

static const char *const accel_names[] = {
    [MACHINE_ACCEL_AUTO] = "auto", [MACHINE_ACCEL_KVM] = "kvm", [MACHINE_ACCEL_TCG] = "tcg"
};

void runner_config_deinit(struct runner_config *c)
{
    free(c->root_path);
    root_extents_deinit(&c->root_extents);
    free(c->upper_path);
    free(c->console_log_path);
    free(c->name);
    free(c->vm_dir);
    vsock_map_deinit(&c->vsock_ports);
    free(c->vsock_uds);
    free(c->cache_dir);
    free(c->kernel_path);
    free(c->modules_path);
    free(c->init_path);
    free(c->user);
    krun_config_deinit(&c->program);
    *c = (struct runner_config){ .root_path = NULL };
}

/* JSON holds UTF-8 alone. Linux does not ask that of arguments, variables and paths: what cannot be
 * carried is named. */
static int check_utf8(const char *what, const char *text, mvm_error **err)
{
    if (!text || scan_is_utf8(text, strlen(text)))
        return 0;
    return mvm_fail(err, MVM_E_ARG, 0, "%s '%s' is not valid UTF-8", what, text);
}

static int check_paths(const struct runner_config *c, mvm_error **err)
{
    const char *const paths[] = { c->root_path, c->console_log_path, c->vm_dir,
                                  c->cache_dir, c->kernel_path,      c->modules_path,
                                  c->init_path, c->vsock_uds,        c->upper_path };
    int r = 0;

    for (size_t i = 0; i < c->vsock_ports.n && r == 0; i++)
        r = check_utf8("the socket's path", c->vsock_ports.items[i].socket_path, err);
    for (size_t i = 0; i < c->root_extents.n && r == 0; i++)
        r = check_utf8("the path", c->root_extents.items[i].path, err);
    for (size_t i = 0; i < ARRAY_SIZE(paths) && r == 0; i++)
        r = check_utf8("the path", paths[i], err);
    return r;
}

static int check_program(const struct krun_config *program, mvm_error **err)
{
    for (size_t i = 0; i < program->cmd.n; i++) {
        const char *word = program->cmd.items[i];

        if (i == 0 && check_utf8("the command", word, err) < 0)
            return MVM_E_ARG;
        if (!scan_is_utf8(word, strlen(word)))
            return mvm_fail(err, MVM_E_ARG, 0,
                            "argument %zu of the command is not valid UTF-8: '%s'", i, word);
    }
    /* Its name and not its value, which may be a secret. */
    for (size_t i = 0; i < program->env.n; i++) {
        const char *entry = program->env.items[i];

        if (!scan_is_utf8(entry, strlen(entry)))
            return mvm_fail(err, MVM_E_ARG, 0, "variable '%.*s' is not valid UTF-8",
                            (int) strcspn(entry, "="), entry);
    }
    return check_utf8("the working folder", program->workdir, err);
}

static int check_texts(const struct runner_config *c, mvm_error **err)
{
    int r = check_paths(c, err);

    if (r == 0)
        r = check_utf8("the name", c->name, err);
    if (r == 0)
        r = check_utf8("the user", c->user, err);
    return r < 0 ? r : check_program(&c->program, err);
}

/* Setters that leave a default out and remember that one of them ran out of memory. */
static void put_str(json_t *j, const char *key, const char *value, bool *failed)
{
    if (value && *value && json_object_set_new(j, key, json_string(value)) < 0)
        *failed = true;
}

static void put_u64(json_t *j, const char *key, uint64_t value, bool *failed)
{
    if (value && json_object_set_new(j, key, json_integer((json_int_t) value)) < 0)
        *failed = true;
}

static void put_bool(json_t *j, const char *key, bool value, bool *failed)
{
    if (value && json_object_set_new(j, key, json_true()) < 0)
        *failed = true;
}

static void put_strv(json_t *j, const char *key, const struct strv *v, bool *failed)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->n; i++)
        if (json_array_append_new(array, json_string(v->items[i])) < 0)
            *failed = true;
    if (json_object_set_new(j, key, array) < 0)
        *failed = true;
}

static void put_program(json_t *j, const struct krun_config *program, bool *failed)
{
    json_t *p = json_object();

    put_strv(p, "Cmd", &program->cmd, failed);
    put_strv(p, "Env", &program->env, failed);
    put_str(p, "WorkingDir", program->workdir, failed);
    if (json_object_set_new(j, "program", p) < 0)
        *failed = true;
}

/* H-308 to H-310: both keys always there, in the order of the caller's calls; "listen" is ours. */
static void put_vsock_ports(json_t *j, const struct vsock_map *v, bool *failed)
{
    json_t *array;

    if (v->n == 0)
        return;
    array = json_array();
    for (size_t i = 0; i < v->n; i++) {
        json_t *p = json_object();

        if (json_object_set_new(p, "port", json_integer(v->items[i].port)) < 0)
            *failed = true;
        put_str(p, "socket_path", v->items[i].socket_path, failed);
        put_bool(p, "listen", v->items[i].listen, failed);
        if (json_array_append_new(array, p) < 0)
            *failed = true;
    }
    if (json_object_set_new(j, "vsock_ports", array) < 0)
        *failed = true;
}

int runner_config_encode(const struct runner_config *c, char **ret_text, mvm_error **err)
{
    mvm_autojson json_t *j = json_object();
    bool failed = false;
    int r = check_texts(c, err);
    char *text;

    if (r < 0)
        return r;
    /* H-122: root_path, num_vcpus and ram_mib are never left out. */
    if (json_object_set_new(j, "root_path", json_string(c->root_path)) < 0 ||
        json_object_set_new(j, "num_vcpus", json_integer(c->num_vcpus)) < 0 ||
        json_object_set_new(j, "ram_mib", json_integer(c->ram_mib)) < 0)
        failed = true;
    put_str(j, "console_log_path", c->console_log_path, &failed);
    put_u64(j, "log_level", c->log_level, &failed);
    put_vsock_ports(j, &c->vsock_ports, &failed);
    failed = failed || !root_extents_encode(&c->root_extents, j);
    put_str(j, "upper_path", c->upper_path, &failed);
    put_bool(j, "read_only", c->read_only, &failed);
    put_str(j, "name", c->name, &failed);
    put_str(j, "vm_dir", c->vm_dir, &failed);
    put_bool(j, "remove_at_end", c->remove_at_end, &failed);
    put_str(j, "vsock_uds", c->vsock_uds, &failed);
    put_bool(j, "detached", c->detached, &failed);
    put_str(j, "accel", c->accel == MACHINE_ACCEL_AUTO ? NULL : accel_names[c->accel], &failed);
    put_str(j, "cache_dir", c->cache_dir, &failed);
    put_str(j, "kernel_path", c->kernel_path, &failed);
    put_str(j, "modules_path", c->modules_path, &failed);
    put_str(j, "init_path", c->init_path, &failed);
    put_u64(j, "timeout_ms", c->timeout_ms, &failed);
    put_str(j, "user", c->user, &failed);
    put_bool(j, "tty", c->tty, &failed);
    put_bool(j, "stdin_open", c->stdin_open, &failed);
    put_u64(j, "rows", c->rows, &failed);
    put_u64(j, "cols", c->cols, &failed);
    put_program(j, &c->program, &failed);
    text = failed ? NULL : json_dumps(j, JSON_COMPACT);
    if (!text)
        return mvm_fail_nomem(err);
    *ret_text = text;
    return 0;
}

struct text_key {
    const char *key;
    char **to;
    bool needed;
};

static int take_texts(const json_t *j, const struct text_key *keys, size_t n, mvm_error **err)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = NULL;
        int r = json_get_str(j, keys[i].key, &text, err);

        if (r < 0)
            return r;
        if (keys[i].needed && (!text || !*text))
            return mvm_fail(err, MVM_E_FORMAT, 0, "key '%s' is missing or empty", keys[i].key);
        if (!text)
            continue;
        *keys[i].to = strdup(text);
        if (!*keys[i].to)
            return mvm_fail_nomem(err);
    }
    return 0;
}

struct number_key {
    const char *key;
    uint64_t min, max;
    uint64_t value;
};

static int take_numbers(const json_t *j, struct runner_config *c, mvm_error **err)
{
    struct number_key keys[] = { { "num_vcpus", 1, MACHINE_CPUS_MAX, 0 },
                                 { "ram_mib", 1, UINT32_MAX, 0 },
                                 { "log_level", 0, 5, 0 },
                                 { "timeout_ms", 0, INT64_MAX, 0 },
                                 { "rows", 0, UINT16_MAX, 0 },
                                 { "cols", 0, UINT16_MAX, 0 } };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        int r = json_get_u64(j, keys[i].key, keys[i].max, &keys[i].value, err);

        if (r < 0)
            return r;
        if (keys[i].value < keys[i].min)
            return mvm_fail(err, MVM_E_FORMAT, 0, "key '%s' is missing or 0", keys[i].key);
    }
    c->num_vcpus = (uint32_t) keys[0].value;
    c->ram_mib = (uint32_t) keys[1].value;
    c->log_level = (uint32_t) keys[2].value;
    c->timeout_ms = keys[3].value;
    c->rows = (uint32_t) keys[4].value;
    c->cols = (uint32_t) keys[5].value;
    return 0;
}

static int take_flags(const json_t *j, struct runner_config *c, mvm_error **err)
{
    const struct {
        const char *key;
        bool *to;
    } keys[] = { { "read_only", &c->read_only },
                 { "remove_at_end", &c->remove_at_end },
                 { "detached", &c->detached },
                 { "tty", &c->tty },
                 { "stdin_open", &c->stdin_open } };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        int r = json_get_bool(j, keys[i].key, keys[i].to, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int take_accel(const json_t *j, enum machine_accel *ret, mvm_error **err)
{
    const char *text = NULL;
    int r = json_get_str(j, "accel", &text, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(accel_names); i++)
        if (!text || strcmp(text, accel_names[i]) == 0) {
            *ret = (enum machine_accel) i;
            return 0;
        }
    return mvm_fail(err, MVM_E_FORMAT, 0, "key 'accel': '%s' is none of auto, kvm, tcg", text);
}

static int take_program(const json_t *j, struct krun_config *ret, mvm_error **err)
{
    json_t *p = NULL;
    const struct text_key workdir[] = { { "WorkingDir", &ret->workdir, false } };
    int r = json_get_object(j, "program", &p, err);

    if (r < 0)
        return r;
    r = json_get_strv(p, "Cmd", &ret->cmd, err);
    if (r == 0)
        r = json_get_strv(p, "Env", &ret->env, err);
    if (r == 0)
        r = take_texts(p, workdir, 1, err);
    if (r == 0 && ret->cmd.n == 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "key 'program' has no command");
    return r;
}

static int take_vsock_port(const json_t *p, struct vsock_map *v, mvm_error **err)
{
    const char *path = NULL;
    uint64_t port = 0;
    bool listen = false;
    int r;

    if (!json_is_object(p))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not an object");
    r = json_get_u64(p, "port", UINT32_MAX, &port, err);
    if (r == 0)
        r = json_need_str(p, "socket_path", &path, err);
    if (r == 0)
        r = json_get_bool(p, "listen", &listen, err);
    return r < 0 ? r : vsock_map_add(v, (uint32_t) port, path, listen, err);
}

static int take_vsock(const json_t *j, struct runner_config *c, mvm_error **err)
{
    json_t *array = NULL;
    int r = json_get_array(j, "vsock_ports", &array, err);

    for (size_t i = 0; i < json_array_size(array) && r == 0; i++) {
        r = take_vsock_port(json_array_get(array, i), &c->vsock_ports, err);
        if (r < 0)
            return mvm_context(err, r, "key 'vsock_ports', entry %zu", i + 1);
    }
    if (r == 0 && c->vsock_uds)
        r = vsock_uds_check(c->vsock_uds, err);
    return r;
}

static int take_all(const json_t *j, struct runner_config *c, mvm_error **err)
{
    const struct text_key texts[] = {
        { "root_path", &c->root_path, true },
        { "console_log_path", &c->console_log_path, true },
        { "name", &c->name, true },
        { "vm_dir", &c->vm_dir, true },
        { "cache_dir", &c->cache_dir, true },
        { "kernel_path", &c->kernel_path, true },
        { "modules_path", &c->modules_path, false },
        { "init_path", &c->init_path, true },
        { "user", &c->user, false },
        { "vsock_uds", &c->vsock_uds, false },
        { "upper_path", &c->upper_path, false },
    };
    int r;

    r = take_texts(j, texts, ARRAY_SIZE(texts), err);
    if (r == 0)
        r = take_numbers(j, c, err);
    if (r == 0)
        r = take_flags(j, c, err);
    if (r == 0)
        r = root_extents_decode(j, c->root_path, &c->root_extents, err);
    if (r == 0)
        r = take_vsock(j, c, err);
    if (r == 0)
        r = take_accel(j, &c->accel, err);
    if (r == 0)
        r = take_program(j, &c->program, err);
    return r;
}

int runner_config_decode(const char *text, size_t len, struct runner_config *ret, mvm_error **err)
{
    mvm_autovalue(runner_config) c = { .root_path = NULL };
    mvm_autojson json_t *j = NULL;
    int r;

    if (len > RUNNER_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "runner config: more than %u bytes",
                        RUNNER_CONFIG_MAX);
    r = json_parse(text, len, "runner config", &j, err);
    if (r < 0)
        return r;
    if (!json_is_object(j))
        return mvm_fail(err, MVM_E_FORMAT, 0, "runner config: not an object");
    r = take_all(j, &c, err);
    if (r < 0)
        return mvm_context(err, r, "runner config");
    *ret = c;
    c = (struct runner_config){ .root_path = NULL };
    return 0;
}
