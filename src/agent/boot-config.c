/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/boot-config.h"

#include "base/scan.h"

void boot_config_deinit(struct boot_config *c)
{
    free(c->hostname);
    free(c->user);
    free(c->root_device);
    free(c->root_fstype);
    free(c->upper_device);
    *c = (struct boot_config){ .hostname = NULL };
}

static void encode_record(struct strbuf *out, const char *key, const char *value)
{
    if (!value)
        return;
    strbuf_addf(out, "%s=%s", key, value);
    strbuf_addc(out, '\0');
}

int boot_config_encode(const struct boot_config *c, struct strbuf *out, mvm_error **err)
{
    encode_record(out, "hostname", c->hostname);
    encode_record(out, "user", c->user);
    encode_record(out, "root_device", c->root_device);
    encode_record(out, "root_fstype", c->root_fstype);
    encode_record(out, "upper_device", c->upper_device);
    encode_record(out, "read_only", c->read_only ? "1" : NULL);
    encode_record(out, "tty", c->tty ? "1" : "0");
    encode_record(out, "stdin_open", c->stdin_open ? "1" : "0");
    strbuf_addf(out, "rows=%u%ccols=%u%c", c->rows, 0, c->cols, 0);
    if (out->len > BOOT_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "boot config: more than %d bytes", BOOT_CONFIG_MAX);
    return strbuf_check(out, "boot config", err);
}

static int decode_text(const char *value, char **ret, mvm_error **err)
{
    char *copy;

    if (*ret)
        return mvm_fail(err, MVM_E_FORMAT, 0, "given twice");
    copy = strdup(value);
    if (!copy)
        return mvm_fail_nomem(err);
    *ret = copy;
    return 0;
}

static int decode_number(const char *value, uint64_t max, uint64_t *ret, mvm_error **err)
{
    if (!scan_u64(value, strlen(value), max, ret))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is no number up to %llu", value,
                        (unsigned long long) max);
    return 0;
}

static int decode_bool(const char *value, bool *ret, mvm_error **err)
{
    uint64_t number;
    int r = decode_number(value, 1, &number, err);

    if (r == 0)
        *ret = number == 1;
    return r;
}

static int decode_size(const char *value, uint16_t *ret, mvm_error **err)
{
    uint64_t number;
    int r = decode_number(value, UINT16_MAX, &number, err);

    if (r == 0)
        *ret = (uint16_t) number;
    return r;
}

static int decode_value(struct boot_config *c, const char *key, const char *value, mvm_error **err)
{
    if (strcmp(key, "hostname") == 0)
        return decode_text(value, &c->hostname, err);
    if (strcmp(key, "user") == 0)
        return decode_text(value, &c->user, err);
    if (strcmp(key, "root_device") == 0)
        return decode_text(value, &c->root_device, err);
    if (strcmp(key, "root_fstype") == 0)
        return decode_text(value, &c->root_fstype, err);
    if (strcmp(key, "upper_device") == 0)
        return decode_text(value, &c->upper_device, err);
    if (strcmp(key, "read_only") == 0)
        return decode_bool(value, &c->read_only, err);
    if (strcmp(key, "tty") == 0)
        return decode_bool(value, &c->tty, err);
    if (strcmp(key, "stdin_open") == 0)
        return decode_bool(value, &c->stdin_open, err);
    if (strcmp(key, "rows") == 0)
        return decode_size(value, &c->rows, err);
    if (strcmp(key, "cols") == 0)
        return decode_size(value, &c->cols, err);
    return 0; /* of a newer host */
}

int boot_config_decode(const char *data, size_t len, struct boot_config *ret, mvm_error **err)
{
    mvm_autovalue(boot_config) c = { .hostname = NULL };
    const char *end = data + len;

    if (len > BOOT_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d bytes", BOOT_CONFIG_MAX);
    for (const char *at = data; at < end;) {
        const char *stop = memchr(at, '\0', (size_t) (end - at));
        const char *equals = stop ? memchr(at, '=', (size_t) (stop - at)) : NULL;
        mvm_autofree char *key = NULL;
        int r;

        if (!stop)
            return mvm_fail(err, MVM_E_FORMAT, 0, "the last record has no end");
        if (!equals)
            return mvm_fail(err, MVM_E_FORMAT, 0, "record '%s' has no '='", at);
        key = strndup(at, (size_t) (equals - at));
        if (!key)
            return mvm_fail_nomem(err);
        r = decode_value(&c, key, equals + 1, err);
        if (r < 0)
            return mvm_context(err, r, "'%s'", key);
        at = stop + 1;
    }
    *ret = c;
    c = (struct boot_config){ .hostname = NULL };
    return 0;
}
