/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/mem.h"

int cli_set_source(mvm_options *options, const char *text)
{
    static const char *const words[] = { "registry-only", "local-first", "registry-first",
                                         "local-only" };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(text, words[i]) == 0)
            return mvm_options_set_image_source_order(options, (int) i);
    return MVM_E_ARG;
}
