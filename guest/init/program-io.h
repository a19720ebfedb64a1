/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a program's streams: three pipes, or one terminal. */
#ifndef INIT_PROGRAM_IO_H
#define INIT_PROGRAM_IO_H

#include "program.h"

struct program_io {
    int child[3]; /* owned: what becomes 0, 1 and 2; under a terminal [1] and [2] are -EBADF, and
                     [0] serves for all */
    struct program ours;
};
#define PROGRAM_IO_INIT                                           \
    {                                                             \
        .child = { -EBADF, -EBADF, -EBADF }, .ours = PROGRAM_NONE \
    }
void program_io_deinit(struct program_io *io);
MVM_DEFINE_AUTOVALUE(program_io, program_io_deinit)

int program_io_open(struct program_io *io, const struct program_spec *spec, mvm_error **err);

#endif
