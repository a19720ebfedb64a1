/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/log.h"
#include "base/mem.h"

#include <signal.h>

#define BAR_WIDTH 24
#define NAME_WIDTH 19 /* "sha256:" and twelve digits */

void cli_progress_init(struct cli_progress *p)
{
    *p = (struct cli_progress){ .terminal = isatty(STDERR_FILENO) };
}

void cli_progress_clear(struct cli_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}

static void draw_layer(const mvm_progress *p)
{
    char done[16], total[16], bar[BAR_WIDTH + 1], name[NAME_WIDTH + 1];
    uint64_t part = p->total ? (p->done < p->total ? p->done : p->total) * BAR_WIDTH / p->total : 0;

    for (uint64_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < part ? '=' : ' ';
    bar[BAR_WIDTH] = '\0';
    log_escape(p->name, name, sizeof(name));
    fprintf(stderr, "\r\033[Klayer %u of %u %s [%s] %s of %s", p->layer, p->layers, name, bar,
            cli_format_size(p->done, done), cli_format_size(p->total, total));
}

int cli_progress_update(void *user, const mvm_progress *progress)
{
    struct cli_progress *p = user;
    char name[256];
    int number;

    while ((number = cli_next_signal()))
        if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
            p->stopped_by = number;
    if (!p->terminal)
        return p->stopped_by;
    log_escape(progress->name, name, sizeof(name));
    if (progress->phase == 1)
        draw_layer(progress);
    else
        fprintf(stderr, "\r\033[K%s %s",
                progress->phase == 0 ? "resolving" : "building the root filesystem of", name);
    p->shown = true;
    return p->stopped_by;
}
