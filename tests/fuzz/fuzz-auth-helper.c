/* SPDX-License-Identifier: Apache-2.0 */
/* What a credential helper answers. */
#include "image/auth-config.h"
#include "image/auth-helper.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(credentials) c = { 0 };

    if (auth_helper_parse((const char *) data, size, &c, NULL) < 0) {
        assert(!credentials_are_set(&c));
        return 0;
    }
    assert(!c.username == !c.password && !c.registry_token);
    assert(!c.identity_token || !c.username);
    assert(credentials_check(&c, NULL) == 0);
    return 0;
}
