/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket between the library and microvm-runner: a SOCK_SEQPACKET pair, one JSON object
 * a packet. The runner's end of file on it means that the caller is gone, and ends a VM that runs
 * in its foreground.
 */
#ifndef RUNNER_CONTROL_H
#define RUNNER_CONTROL_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* In the VM's folder: where other processes attach (SOCK_SEQPACKET), and where they reach the
 * guest's agent (ttrpc over SOCK_STREAM). */
#define CONTROL_SOCKET "control.sock"
#define CONTROL_AGENT_SOCKET "agent.sock"

#define CONTROL_PACKET_MAX 16384
#define CONTROL_TEXT_MAX 2048

/* Descriptors that the runner is born with. */
enum runner_fd {
    RUNNER_FD_CONFIG = 3,  /* memfd with the config */
    RUNNER_FD_CONTROL = 4, /* its end of the control socket */
    RUNNER_FD_LOCK = 5,    /* holds the lock on the VM's folder */
    RUNNER_FD_STDIN = 6,   /* the program's streams: 6, 7, 8 */
    RUNNER_FD_STDOUT = 7,
    RUNNER_FD_STDERR = 8,
    RUNNER_FD_GUEST_FILES = 9, /* a cpio archive of files for the guest's root; may be empty */
    RUNNER_FD_IMAGE_LOCK = 10  /* keeps what the root disk is made of, or is /dev/null */
};

enum control_type {
    /* library to runner */
    CONTROL_SIGNAL = 0, /* number: for the program */
    CONTROL_RESIZE = 1, /* rows, cols */
    CONTROL_STOP =
        2, /* number: milliseconds that the program has after SIGTERM; 0 ends the VM at once */
    /* runner to library */
    CONTROL_NOTICE = 3,  /* text: one line for people */
    CONTROL_STARTED = 4, /* the program runs */
    CONTROL_ENDED =
        5, /* number: status 0 to 255; text: why, when it was not the program's own doing */
    CONTROL_FAILED = 6, /* number: negative mvm_error_code; text: the message */
    /* library to runner, from who started it alone: his end of the socket may go */
    CONTROL_DETACH = 7,
    CONTROL_TYPES /* how many there are */
};

struct control_message {
    enum control_type type;
    int32_t number;
    uint16_t rows, cols;
    char text[CONTROL_TEXT_MAX];
};

/* Sends one packet without blocking; a peer that is gone or does not read is MVM_E_NET. */
int control_send(int fd, const struct control_message *m, mvm_error **err);
/* Receives one without blocking. 1: got one; 0: nothing there; MVM_E_NET: the peer is gone;
 * MVM_E_FORMAT. */
int control_receive(int fd, struct control_message *ret, mvm_error **err);
int control_decode(const char *text, size_t len, struct control_message *ret, mvm_error **err);

#endif
