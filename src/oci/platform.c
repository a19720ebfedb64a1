/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/platform.h"

#include "base/scan.h"

#include <stdbool.h>
#include <sys/utsname.h>

static const struct {
    const char *machine, *architecture, *variant;
} machines[] = {
    { "x86_64", "amd64", "" },    { "aarch64", "arm64", "v8" }, { "armv8l", "arm", "v8" },
    { "armv7l", "arm", "v7" },    { "armv6l", "arm", "v6" },    { "i686", "386", "" },
    { "i586", "386", "" },        { "i386", "386", "" },        { "riscv64", "riscv64", "" },
    { "ppc64le", "ppc64le", "" }, { "s390x", "s390x", "" },     { "loongarch64", "loong64", "" },
};

/* Base level of the architectures that have variants. */
static const struct {
    const char *architecture;
    int level;
} base_levels[] = { { "amd64", 1 }, { "arm64", 8 }, { "arm", 6 } };

static bool part_set(char *out, const char *text, size_t n)
{
    if (n == 0 || n > OCI_PLATFORM_PART_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("_.-", c)))
            return false;
        out[i] = c;
    }
    out[n] = '\0';
    return true;
}

int oci_platform_parse(const char *text, struct oci_platform *ret, mvm_error **err)
{
    struct oci_platform p = { 0 };
    char *const parts[] = { p.os, p.architecture, p.variant };
    const char *at = text;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        size_t n = strcspn(at, "/");

        if (!part_set(parts[i], at, n))
            break;
        at += n;
        if (*at == '\0' && i > 0) {
            *ret = p;
            return 0;
        }
        if (*at == '\0')
            break;
        at++;
    }
    return mvm_fail(err, MVM_E_ARG, 0,
                    "'%.*s' is not a platform such as linux/amd64 or linux/arm/v7",
                    OCI_PLATFORM_TEXT_MAX, text);
}

int oci_platform_from_machine(const char *machine, struct oci_platform *ret, mvm_error **err)
{
    struct oci_platform p = { .os = "linux" };

    for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
        if (strcmp(machine, machines[i].machine) != 0)
            continue;
        (void) part_set(p.architecture, machines[i].architecture, strlen(machines[i].architecture));
        (void) part_set(p.variant, machines[i].variant, strlen(machines[i].variant));
        *ret = p;
        return 0;
    }
    return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "no image platform is known for the machine '%s'",
                    machine);
}

#if defined(__x86_64__)
/* The micro-architecture level by its telling features (x86-64 psABI, 3.1.1). Level 4 is never
 * claimed: the guest may run in software, which has no AVX-512. */
static const char *host_level(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.2") ||
        !__builtin_cpu_supports("popcnt"))
        return "v1";
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("fma"))
        return "v2";
    return "v3";
}
#else
static const char *host_level(void)
{
    return "v1";
}
#endif

int oci_platform_host(struct oci_platform *ret, mvm_error **err)
{
    struct utsname name;
    int r;

    if (uname(&name) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the machine's name");
    r = oci_platform_from_machine(name.machine, ret, err);
    if (r == 0 && strcmp(ret->architecture, "amd64") == 0)
        (void) part_set(ret->variant, host_level(), 2);
    return r;
}

int oci_platform_want(const char *text, struct oci_platform *ret, mvm_error **err)
{
    struct oci_platform want, host = { 0 };
    int r;

    if (!text)
        return oci_platform_host(ret, err);
    r = oci_platform_parse(text, &want, err);
    if (r < 0)
        return r;
    /* A machine without a name of its own can still ask for a platform by name. */
    (void) oci_platform_host(&host, NULL);
    if (!want.variant[0] && strcmp(want.architecture, host.architecture) == 0)
        (void) part_set(want.variant, host.variant, strlen(host.variant));
    else if (!want.variant[0] && strcmp(want.architecture, "arm") == 0)
        (void) part_set(want.variant, "v7", 2);
    *ret = want;
    return 0;
}

struct oci_platform_text oci_platform_format(const struct oci_platform *p)
{
    struct oci_platform_text t;

    /* Fits: each part has its maximum. */
    (void) snprintf(t.text, sizeof(t.text), "%s/%s%s%s", p->os, p->architecture,
                    p->variant[0] ? "/" : "", p->variant);
    return t;
}

/* The level of a variant: the number after "v" ("v8.2" counts as 8); -1 for what is no level. */
static int variant_level(const char *architecture, const char *variant)
{
    uint64_t n;

    for (size_t i = 0; i < ARRAY_SIZE(base_levels); i++) {
        if (strcmp(architecture, base_levels[i].architecture) != 0)
            continue;
        if (!variant[0])
            return base_levels[i].level;
        if (variant[0] != 'v' || !scan_u64(variant + 1, strcspn(variant + 1, "."), 99, &n))
            return -1;
        return (int) n;
    }
    return -1;
}

int oci_platform_rank(const struct oci_platform *want, const struct oci_platform *offer)
{
    int limit, level;

    if (strcmp(want->os, offer->os) != 0 || strcmp(want->architecture, offer->architecture) != 0)
        return -1;
    if (strcmp(want->variant, offer->variant) == 0)
        level = variant_level(offer->architecture, offer->variant);
    else {
        limit = variant_level(want->architecture, want->variant);
        level = variant_level(offer->architecture, offer->variant);
        if (level < 0 || level > limit)
            return -1;
    }
    return level < 0 ? 0 : level;
}
