/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest tells of itself, and the calls that are one number. */
#include "agent/messages.h"
#include "agent/proto/agent.pb.h"
#include "agent/wire.h"

void agent_health_encode(const struct agent_health *m, struct strbuf *out)
{
    const struct bytes_view version = { (const uint8_t *) m->version,
                                        strnlen(m->version, AGENT_VERSION_MAX) };
    wire_HealthResponse w = { .protocol = m->protocol,
                              .version = wire_put_bytes(&version),
                              .ssh = m->ssh,
                              .main_running = m->main_running };

    wire_encode(wire_HealthResponse_fields, &w, out);
}

int agent_health_decode(const uint8_t *data, size_t len, struct agent_health *ret, mvm_error **err)
{
    mvm_autofree char *version = NULL;
    struct bytes_view view = { .len = 0 };
    wire_HealthResponse w = { .version = wire_get_bytes(&view) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_HealthResponse_fields, &w,
                        "HealthResponse", err);

    if (r == 0)
        r = wire_take_text(view, AGENT_VERSION_MAX, true, "version", &version, err);
    if (r < 0)
        return r;
    *ret = (struct agent_health){ .protocol = w.protocol,
                                  .ssh = w.ssh,
                                  .main_running = w.main_running };
    (void) snprintf(ret->version, sizeof(ret->version), "%s", version ? version : "");
    return 0;
}

void agent_stats_encode(const struct agent_stats *m, struct strbuf *out)
{
    const wire_StatsResponse w = { .memory_total = m->memory_total,
                                   .memory_available = m->memory_available,
                                   .cpu_user_ns = m->cpu_user_ns,
                                   .cpu_system_ns = m->cpu_system_ns,
                                   .cpu_idle_ns = m->cpu_idle_ns,
                                   .cpus = m->cpus,
                                   .processes = m->processes,
                                   .uptime_ns = m->uptime_ns,
                                   .root_total = m->root_total,
                                   .root_available = m->root_available,
                                   .execs = m->execs,
                                   .load_1m_milli = m->load_1m_milli };

    wire_encode(wire_StatsResponse_fields, &w, out);
}

int agent_stats_decode(const uint8_t *data, size_t len, struct agent_stats *ret, mvm_error **err)
{
    wire_StatsResponse w = { .cpus = 0 };
    int r = wire_decode((struct bytes_view){ data, len }, wire_StatsResponse_fields, &w,
                        "StatsResponse", err);

    if (r < 0)
        return r;
    *ret = (struct agent_stats){ .memory_total = w.memory_total,
                                 .memory_available = w.memory_available,
                                 .cpu_user_ns = w.cpu_user_ns,
                                 .cpu_system_ns = w.cpu_system_ns,
                                 .cpu_idle_ns = w.cpu_idle_ns,
                                 .cpus = w.cpus,
                                 .processes = w.processes,
                                 .uptime_ns = w.uptime_ns,
                                 .root_total = w.root_total,
                                 .root_available = w.root_available,
                                 .execs = w.execs,
                                 .load_1m_milli = w.load_1m_milli };
    return 0;
}

/* ClockResponse and ShutdownRequest have the same bytes: a varint of 64 bits is one of 32. */
void agent_number_encode(int64_t number, struct strbuf *out)
{
    const wire_ClockRequest w = { .set_unix_ns = number };

    wire_encode(wire_ClockRequest_fields, &w, out);
}

int agent_number_decode(const uint8_t *data, size_t len, int64_t *ret, mvm_error **err)
{
    wire_ClockRequest w = { .set_unix_ns = 0 };
    int r = wire_decode((struct bytes_view){ data, len }, wire_ClockRequest_fields, &w,
                        "message of one number", err);

    if (r < 0)
        return r;
    *ret = w.set_unix_ns;
    return 0;
}
