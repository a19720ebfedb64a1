/* SPDX-License-Identifier: Apache-2.0 */
/* Names that users type: references, platforms and transports; and the challenges of registries. */
#include "image/name.h"
#include "image/registry-challenge.h"
#include "oci/platform.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The full name of a reference is a reference, and its own full name. */
static void check_reference(const char *text)
{
    mvm_autovalue(oci_reference) ref = { 0 }, again = { 0 };

    if (oci_reference_parse(text, &ref, NULL) < 0)
        return;
    assert(oci_reference_parse(ref.name, &again, NULL) == 0);
    assert(strcmp(ref.name, again.name) == 0);
    assert(!strstr(ref.repository, "..") && !strchr(ref.repository, '%'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *text = strndup((const char *) data, size);
    mvm_autovalue(image_name) name = { 0 };
    mvm_autovalue(challenge) challenge = { 0 };
    struct oci_platform platform;

    if (!text)
        return 0;
    check_reference(text);
    (void) image_name_parse(text, &name, NULL);
    (void) oci_platform_parse(text, &platform, NULL);
    (void) challenge_parse(text, &challenge, NULL);
    return 0;
}
