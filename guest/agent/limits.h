/* SPDX-License-Identifier: Apache-2.0 */
/* What one client, and all of them together, may hold of the guest's memory and descriptors. */
#ifndef GUEST_AGENT_LIMITS_H
#define GUEST_AGENT_LIMITS_H

#include "agent/agent-limits.h"

/* Open connections: the runner's, and one for each command of the host that is in a call. */
#define SERVER_CONNS_MAX 128
/* Calls that one connection may have open. */
#define CONN_CALLS_MAX 64
/* Programs of Exec and Run that run at once: each holds up to five descriptors and AGENT_WINDOW
 * bytes of stdin. */
#define SERVER_SESSIONS_MAX 256
/* Calls of Run at once: each holds up to 2 * AGENT_RUN_OUTPUT_MAX and a request of 1 MiB. */
#define SERVER_RUNS_MAX 16
/* Calls of Write, Read and List at once: each holds a descriptor for each folder on the way to
 * where it is (FILE_DEPTH_MAX), or up to TREE_NAMES_MAX and TREE_FOLDERS_MAX. */
#define SERVER_TREES_MAX 32

/* Bytes on their way to a client. Outputs and files are read while fewer wait than the first; the
 * client's frames, of which each has one answer at most, while fewer wait than the second. */
#define CONN_QUEUE_ROOM (2u * AGENT_DATA_MAX)
#define CONN_QUEUE_STOP (4u * AGENT_DATA_MAX)
/* Never reached: below CONN_QUEUE_STOP one answer, of Run the longest, is added. */
#define CONN_QUEUE_MAX (CONN_QUEUE_STOP + 2u * AGENT_FRAME_MAX)

/* How long the machine waits for its client's farewell once it has nothing more to say. */
#define SERVER_FAREWELL_MS 5000
/* How long killed processes may take to go. One that hangs in the kernel must not keep the machine.
 */
#define SERVER_REAP_MS 5000
/* Longest time that Shutdown leaves to the main program: an hour. More is taken as that. */
#define SERVER_GRACE_MAX_MS 3600000

#endif
