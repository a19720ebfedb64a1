/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder accepts, the encoder writes so that the decoder reads the same. */
#include "agent/boot-config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const char *a, const char *b)
{
    if (!a != !b || (a && strcmp(a, b) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(boot_config) config = { .hostname = NULL };
    mvm_autovalue(boot_config) back = { .hostname = NULL };
    mvm_autovalue(strbuf) out = STRBUF_INIT(2 * BOOT_CONFIG_MAX);
    mvm_autoerror mvm_error *err = NULL;

    if (boot_config_decode((const char *) data, size, &config, &err) < 0)
        return 0;
    if (boot_config_encode(&config, &out, NULL) < 0)
        return 0; /* the keys that were not there made it larger than its maximum */
    if (boot_config_decode(out.data, out.len, &back, NULL) < 0)
        abort();
    check_same(config.hostname, back.hostname);
    check_same(config.user, back.user);
    check_same(config.root_device, back.root_device);
    check_same(config.root_fstype, back.root_fstype);
    check_same(config.upper_device, back.upper_device);
    if (config.read_only != back.read_only || config.tty != back.tty ||
        config.stdin_open != back.stdin_open || config.rows != back.rows ||
        config.cols != back.cols)
        abort();
    return 0;
}
