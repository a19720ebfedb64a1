/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of the service, one table each (call.h). */
#ifndef GUEST_AGENT_METHODS_H
#define GUEST_AGENT_METHODS_H

#include "guest/agent/call.h"

extern const struct call_type call_exec;     /* exec.c */
extern const struct call_type call_run;      /* run.c */
extern const struct call_type call_stat;     /* file-read.c */
extern const struct call_type call_list;     /* file-read.c */
extern const struct call_type call_read;     /* file-read.c */
extern const struct call_type call_write;    /* file-write.c */
extern const struct call_type call_health;   /* status.c */
extern const struct call_type call_stats;    /* status.c */
extern const struct call_type call_clock;    /* status.c */
extern const struct call_type call_shutdown; /* status.c */

#endif
