/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reference is cut from its right end: "@digest", then the last ":" whose rest has no "/" (so
 * that a port is no tag), then the first component, which is a registry when it has a dot, a colon,
 * or is the word "localhost".
 */
#include "oci/reference.h"

#include "base/scan.h"

#define DOCKER_REGISTRY "docker.io"
#define DOCKER_HOST "index.docker.io"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool oci_tag_is_valid(const char *tag)
{
    size_t n = strlen(tag);

    if (n == 0 || n > OCI_TAG_MAX || tag[0] == '.' || tag[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(tag[i]) && !strchr("_.-", tag[i]))
            return false;
    return true;
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool component_is_valid(const char *c, size_t n)
{
    size_t i = 0;

    while (i < n) {
        size_t start = i;

        while (i < n && is_lower_alnum(c[i]))
            i++;
        if (i == start)
            return false;
        if (i == n)
            return true;
        start = i;
        while (i < n && !is_lower_alnum(c[i]) && c[i] == c[start])
            i++;
        if (c[start] != '-' && !(c[start] == '_' && i - start <= 2) &&
            !(c[start] == '.' && i - start == 1))
            return false;
    }
    return false;
}

static bool repository_is_valid(const char *repository)
{
    for (const char *c = repository;; c++) {
        size_t n = strcspn(c, "/");

        if (!component_is_valid(c, n))
            return false;
        c += n;
        if (!*c)
            return true;
    }
}

static bool port_is_valid(const char *port)
{
    uint64_t n;

    return scan_u64(port, strlen(port), 65535, &n) && n > 0;
}

/* A bracketed IPv6 address: inet_pton() has the last word when it is used; here only what could
 * confuse a URL is kept out. */
static bool ipv6_is_valid(const char *host, size_t n)
{
    if (n < 4)
        return false;
    for (size_t i = 1; i < n - 1; i++)
        if (!strchr("0123456789abcdefABCDEF:.", host[i]))
            return false;
    return true;
}

/* Labels of letters, digits, "-" and "_", with a dot between two. */
static bool host_is_valid(const char *host, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool edge = i == 0 || i == n - 1 || host[i - 1] == '.' || host[i + 1] == '.';

        if (!is_alnum(host[i]) && (edge || !strchr(".-_", host[i])))
            return false;
    }
    return n > 0;
}

static bool registry_is_valid(const char *registry)
{
    bool ipv6 = registry[0] == '[';
    size_t n = ipv6 ? strcspn(registry, "]") + 1 : strcspn(registry, ":");

    if (n > strlen(registry) || !(ipv6 ? ipv6_is_valid(registry, n) : host_is_valid(registry, n)))
        return false;
    return registry[n] == '\0' || (registry[n] == ':' && port_is_valid(registry + n + 1));
}

static bool is_registry(const char *first, size_t n)
{
    return memchr(first, '.', n) || memchr(first, ':', n) ||
           (n == 9 && memcmp(first, "localhost", 9) == 0);
}

/* Splits "@digest" off @text, in place. */
static int take_digest(char *text, struct oci_reference *ref, mvm_error **err)
{
    char *at = strchr(text, '@');

    if (!at)
        return 0;
    *at = '\0';
    ref->has_digest = true;
    return digest_parse(at + 1, &ref->digest, err);
}

/* Splits ":tag" off @text, in place. With a digest the tag is checked and then ignored. */
static int take_tag(char *text, struct oci_reference *ref, mvm_error **err)
{
    char *colon = strrchr(text, ':');
    const char *tag = "latest";

    if (colon && !strchr(colon, '/')) {
        *colon = '\0';
        tag = colon + 1;
        if (!oci_tag_is_valid(tag))
            return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a tag", tag);
    }
    if (ref->has_digest)
        return 0;
    ref->tag = strdup(tag);
    return ref->tag ? 0 : mvm_fail_nomem(err);
}

/* The registry in lower case; Docker Hub under its one name. */
static int set_registry(const char *text, size_t n, struct oci_reference *ref, mvm_error **err)
{
    ref->registry = strndup(text, n);
    if (!ref->registry)
        return mvm_fail_nomem(err);
    for (char *c = ref->registry; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char) (*c - 'A' + 'a');
    if (!registry_is_valid(ref->registry))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a registry's host and port", ref->registry);
    if (strcmp(ref->registry, DOCKER_HOST) != 0)
        return 0;
    free(ref->registry);
    ref->registry = strdup(DOCKER_REGISTRY);
    return ref->registry ? 0 : mvm_fail_nomem(err);
}

/* Splits what is left into registry and repository. */
static int take_name(const char *text, struct oci_reference *ref, mvm_error **err)
{
    size_t n = strcspn(text, "/");
    bool named = text[n] == '/' && is_registry(text, n);
    const char *repository = named ? text + n + 1 : text;
    bool official;
    int r = named ? set_registry(text, n, ref, err)
                  : set_registry(DOCKER_REGISTRY, strlen(DOCKER_REGISTRY), ref, err);

    if (r < 0)
        return r;
    if (!repository_is_valid(repository))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a repository name", repository);
    official = strcmp(ref->registry, DOCKER_REGISTRY) == 0 && !strchr(repository, '/');
    if (asprintf(&ref->repository, "%s%s", official ? "library/" : "", repository) < 0) {
        ref->repository = NULL; /* asprintf(3) leaves it undefined */
        return mvm_fail_nomem(err);
    }
    if (strlen(ref->registry) + 1 + strlen(ref->repository) > OCI_NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "registry and repository are longer than %d characters", OCI_NAME_MAX);
    return 0;
}

static int make_name(struct oci_reference *ref, mvm_error **err)
{
    const struct digest_text text = ref->has_digest ? digest_format(&ref->digest)
                                                    : (struct digest_text){ "" };

    if (asprintf(&ref->name, "%s/%s%c%s", ref->registry, ref->repository,
                 ref->has_digest ? '@' : ':', ref->has_digest ? text.text : ref->tag) < 0) {
        ref->name = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int parse_parts(struct oci_reference *ref, mvm_error **err)
{
    mvm_autofree char *copy = strdup(ref->typed);
    int r;

    if (!copy)
        return mvm_fail_nomem(err);
    r = take_digest(copy, ref, err);
    if (r == 0)
        r = take_tag(copy, ref, err);
    if (r == 0)
        r = take_name(copy, ref, err);
    return r < 0 ? r : make_name(ref, err);
}

int oci_reference_parse(const char *text, struct oci_reference *ref, mvm_error **err)
{
    mvm_autovalue(oci_reference) made = { .typed = strdup(text) };
    int r;

    if (!made.typed)
        return mvm_fail_nomem(err);
    r = parse_parts(&made, err);
    if (r < 0)
        return mvm_context(err, r, "image reference '%.*s'", 2 * OCI_NAME_MAX, text);
    *ref = made;
    made = (struct oci_reference){ 0 };
    return 0;
}

void oci_reference_deinit(struct oci_reference *ref)
{
    free(ref->typed);
    free(ref->registry);
    free(ref->repository);
    free(ref->tag);
    free(ref->name);
    *ref = (struct oci_reference){ 0 };
}

const char *oci_registry_host(const char *registry)
{
    return strcmp(registry, DOCKER_REGISTRY) == 0 ? DOCKER_HOST : registry;
}
