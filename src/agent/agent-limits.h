/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that host and guest agent agree on. */
#ifndef AGENT_AGENT_LIMITS_H
#define AGENT_AGENT_LIMITS_H

/* The vsock port on which the guest's agent listens, and to which init connects on the host (CID 2)
 * once it can serve: below 1024, where a guest program needs CAP_NET_BIND_SERVICE to listen. */
#define AGENT_VSOCK_PORT 1023
#define AGENT_SERVICE "microvm.agent.v1.Agent"
#define AGENT_PROTOCOL 1

/* Most payload bytes of a frame that the agent or our client accept; ttrpc itself allows 4 MiB. An
 * environment of 200 variables of 1 KiB fits many times. A longer frame is skipped and answered
 * with RESOURCE_EXHAUSTED. */
#define AGENT_FRAME_MAX (1u << 20)
/* Bytes of data in one message of stdin, stdout, stderr or a file. */
#define AGENT_DATA_MAX 65536
/* Bytes of stdin that the agent takes in advance, and what our client grants of each output. */
#define AGENT_WINDOW (4u * AGENT_DATA_MAX)
/* Bytes of each output that Run keeps. */
#define AGENT_RUN_OUTPUT_MAX (384u << 10)

#endif
