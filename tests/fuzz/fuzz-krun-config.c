/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder accepts, the encoder writes so that the decoder reads the same. */
#include "agent/krun-config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct strv *a, const struct strv *b)
{
    if (a->n != b->n)
        abort();
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(krun_config) config = { .workdir = NULL };
    mvm_autovalue(krun_config) back = { .workdir = NULL };
    mvm_autovalue(strbuf) out = STRBUF_INIT(2 * KRUN_CONFIG_MAX);
    mvm_autoerror mvm_error *err = NULL;

    if (krun_config_decode((const char *) data, size, &config, &err) < 0)
        return 0;
    if (krun_config_encode(&config, &out, NULL) < 0)
        return 0; /* escapes made it larger than its maximum */
    if (krun_config_decode(out.data, out.len, &back, NULL) < 0)
        abort();
    check_same(&config.cmd, &back.cmd);
    check_same(&config.env, &back.env);
    if (strcmp(config.workdir ? config.workdir : "/", back.workdir) != 0)
        abort();
    return 0;
}
