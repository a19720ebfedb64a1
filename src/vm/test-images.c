/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"
#include "base/test-sandbox.h"

#include <microvm/image.h>
#include <stddef.h>

/* What a later release's caller may hand over. */
struct longer {
    mvm_image_gc_options known;
    uint64_t unknown;
};

static void gc_refuses_a_wish_that_it_does_not_know(void **state)
{
    const struct sandbox *sb = *state;
    struct longer wish = { .known = { .struct_size = sizeof(wish) } };
    mvm_options *o = mvm_options_new();
    mvm_autofree char *path = NULL;

    assert_non_null(o);
    assert_int_equal(path_of_fd(sb->root_fd, &path, NULL), 0);
    assert_int_equal(mvm_options_set_data_dir(o, path), 0);
    assert_int_equal(mvm_image_gc(o, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(mvm_image_gc(o, &wish.known, NULL, NULL, NULL), 0);
    wish.unknown = 1;
    assert_int_equal(mvm_image_gc(o, &wish.known, NULL, NULL, NULL), MVM_E_UNSUPPORTED);
    wish.known = MVM_IMAGE_GC_OPTIONS(.flags = MVM_IMAGE_GC_VERIFY, .keep_bytes = 1);
    assert_int_equal(mvm_image_gc(o, &wish.known, NULL, NULL, NULL), 0);
    wish.known.flags = MVM_IMAGE_GC_VERIFY << 1;
    assert_int_equal(mvm_image_gc(o, &wish.known, NULL, NULL, NULL), MVM_E_UNSUPPORTED);
    wish.known.flags = MVM_IMAGE_GC_ALL;
    wish.known.struct_size = offsetof(mvm_image_gc_options, keep_bytes);
    assert_int_equal(mvm_image_gc(o, &wish.known, NULL, NULL, NULL), 0);
    wish.known.struct_size--;
    assert_int_equal(mvm_image_gc(o, &wish.known, NULL, NULL, NULL), MVM_E_ARG);
    mvm_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gc_refuses_a_wish_that_it_does_not_know, sandbox_setup,
                                        sandbox_teardown),
    };

    return cmocka_run_group_tests_name("vm-images", tests, NULL, NULL);
}
