/* SPDX-License-Identifier: Apache-2.0 */
/* All VMs of a user: the folders that have a state. */
#include "base/path.h"
#include "vm/dirs.h"
#include "vm/options-internal.h"
#include "vm/vmdir.h"

#include <dirent.h>
#include <microvm/vm.h>

struct entry {
    struct vm_state state;
    mvm_vm_info info; /* borrows from the state */
};

struct mvm_vm_list {
    struct entry *entries; /* owned */
    size_t n;
    size_t cap;
};

void mvm_vm_list_free(mvm_vm_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->n; i++)
        vm_state_deinit(&list->entries[i].state);
    free(list->entries);
    free(list);
}

size_t mvm_vm_list_count(const mvm_vm_list *list)
{
    return list ? list->n : 0;
}

const mvm_vm_info *mvm_vm_list_get(const mvm_vm_list *list, size_t index)
{
    return list && index < list->n ? &list->entries[index].info : NULL;
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static mvm_vm_info info_of(const struct vm_state *s, bool running)
{
    return (mvm_vm_info){ .struct_size = sizeof(mvm_vm_info),
                          .running = running,
                          .started_s = s->started_s,
                          .ended_s = s->ended_s,
                          .name = text_of(s->name),
                          .image = text_of(s->image),
                          .digest = text_of(s->digest),
                          .message = text_of(s->message),
                          .status = running ? -1 : s->status };
}

/* A folder that goes away meanwhile, or has no state yet, is passed over. */
static int add_vm(mvm_vm_list *list, const char *vms_path, const char *name, mvm_error **err)
{
    mvm_autovalue(vmdir) dir = VMDIR_NONE;
    mvm_autovalue(vm_state) state = VM_STATE_NONE;
    bool running;

    if (!vm_name_is_valid(name) || vmdir_open(vms_path, name, &dir, NULL) < 0)
        return 0;
    running = vmdir_is_running(&dir);
    if (vm_state_read(dir.fd, &state, NULL) < 0)
        return 0;
    if (mem_grow(&list->entries, &list->cap, list->n, sizeof(*list->entries)) < 0)
        return mvm_fail_nomem(err);
    list->entries[list->n].state = state;
    list->entries[list->n].info = info_of(&state, running);
    list->n++;
    state = (struct vm_state) VM_STATE_NONE;
    return 0;
}

static int list_folder(mvm_vm_list *list, const char *vms_path, mvm_error **err)
{
    DIR *dir = opendir(vms_path);
    const struct dirent *e;
    int r = 0;

    if (!dir)
        return errno == ENOENT ? 0 : mvm_fail(err, MVM_E_SYS, errno, "list '%s'", vms_path);
    while (r == 0 && (e = readdir(dir)))
        r = add_vm(list, vms_path, e->d_name, err);
    (void) closedir(dir);
    return r;
}

static int by_start(const void *a, const void *b)
{
    const mvm_vm_info *x = &((const struct entry *) a)->info,
                      *y = &((const struct entry *) b)->info;

    if (x->started_s != y->started_s)
        return x->started_s < y->started_s ? 1 : -1;
    return strcmp(x->name, y->name);
}

int mvm_vm_list_new(const mvm_options *options, mvm_vm_list **ret, mvm_error **err)
{
    mvm_autovalue(dirs) dirs = { .cache = NULL };
    mvm_vm_list *list;
    int r;

    if (!ret)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_list_new: NULL");
    r = dirs_init(&dirs, options ? options->data_dir : NULL, err);
    if (r < 0)
        return r;
    list = calloc(1, sizeof(*list));
    if (!list)
        return mvm_fail_nomem(err);
    r = list_folder(list, dirs.vms, err);
    if (r < 0) {
        mvm_vm_list_free(list);
        return r;
    }
    if (list->n > 1)
        qsort(list->entries, list->n, sizeof(*list->entries), by_start);
    *ret = list;
    return 0;
}
