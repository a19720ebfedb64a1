/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's own SHA-2 of before 3.0: the same code and instructions as behind EVP, without the
 * providers and the configuration file that EVP reads first, which costs every start of the program
 * more than hashing all that it has to hash.
 */
#define OPENSSL_API_COMPAT 10101
#include "base/digest.h"

#include <openssl/sha.h>

static const struct {
    const char *name;
    size_t bytes;
} algorithms[] = { [DIGEST_SHA256] = { "sha256", 32 }, [DIGEST_SHA512] = { "sha512", 64 } };

/* Lower case only, as the specification has it; -1 for anything else. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool hex_parse(const char *hex, size_t bytes, uint8_t *out)
{
    if (strlen(hex) != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t) (high << 4 | low);
    }
    return true;
}

#define DIGEST_LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define DIGEST_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* algorithm ":" encoded, where algorithm ::= component (separator component)*; OCI image-spec,
 * descriptor.md, Digests. */
static bool digest_grammar(const char *text)
{
    size_t encoded;

    for (;; text++) {
        size_t component = strspn(text, DIGEST_LOWER);

        if (component == 0)
            return false;
        text += component;
        if (*text == ':')
            break;
        if (*text == '\0' || !strchr("+._-", *text))
            return false;
    }
    text++;
    encoded = strspn(text, DIGEST_LOWER DIGEST_UPPER "=_-");
    return encoded > 0 && text[encoded] == '\0';
}

int digest_parse(const char *text, struct digest *ret, mvm_error **err)
{
    struct digest d = { .algorithm = DIGEST_SHA256 };
    size_t n = strcspn(text, ":");

    if (!digest_grammar(text))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.200s' is not a digest", text);
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        if (strlen(algorithms[i].name) != n || memcmp(algorithms[i].name, text, n) != 0)
            continue;
        if (!hex_parse(text + n + 1, algorithms[i].bytes, d.bytes))
            return mvm_fail(err, MVM_E_FORMAT, 0,
                            "'%.200s' is not a digest: %zu lower-case hex digits are wanted", text,
                            2 * algorithms[i].bytes);
        d.algorithm = (enum digest_algorithm) i;
        *ret = d;
        return 0;
    }
    return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "digest algorithm '%.*s' is not supported",
                    n > 64 ? 64 : (int) n, text);
}

struct digest_text digest_format(const struct digest *d)
{
    static const char hex[] = "0123456789abcdef";
    struct digest_text t = { .text = "" };
    size_t at = strlen(algorithms[d->algorithm].name);

    memcpy(t.text, algorithms[d->algorithm].name, at);
    t.text[at++] = ':';
    for (size_t i = 0; i < algorithms[d->algorithm].bytes; i++) {
        t.text[at++] = hex[d->bytes[i] >> 4];
        t.text[at++] = hex[d->bytes[i] & 15];
    }
    return t;
}

const char *digest_hex(const struct digest_text *t)
{
    return t->text + strcspn(t->text, ":") + 1;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->algorithm == b->algorithm &&
           memcmp(a->bytes, b->bytes, algorithms[a->algorithm].bytes) == 0;
}

struct digest_stream {
    union {
        SHA256_CTX sha256;
        SHA512_CTX sha512;
    } state;
    enum digest_algorithm algorithm;
    bool failed;
};

int digest_stream_new(enum digest_algorithm algorithm, struct digest_stream **ret, mvm_error **err)
{
    struct digest_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return mvm_fail_nomem(err);
    s->algorithm = algorithm;
    s->failed = (algorithm == DIGEST_SHA512 ? SHA512_Init(&s->state.sha512)
                                            : SHA256_Init(&s->state.sha256)) != 1;
    *ret = s;
    return 0;
}

void digest_stream_update(struct digest_stream *s, const void *data, size_t len)
{
    if (!s->failed)
        s->failed = (s->algorithm == DIGEST_SHA512
                         ? SHA512_Update(&s->state.sha512, data, len)
                         : SHA256_Update(&s->state.sha256, data, len)) != 1;
}

int digest_stream_finish(struct digest_stream *s, struct digest *ret, mvm_error **err)
{
    struct digest d = { .algorithm = s->algorithm };

    if (s->failed || (s->algorithm == DIGEST_SHA512 ? SHA512_Final(d.bytes, &s->state.sha512)
                                                    : SHA256_Final(d.bytes, &s->state.sha256)) != 1)
        return mvm_fail(err, MVM_E_SYS, 0, "%s failed", algorithms[s->algorithm].name);
    s->failed = true; /* what comes after the end would change nothing */
    *ret = d;
    return 0;
}

void digest_stream_free(struct digest_stream *s)
{
    free(s);
}

int digest_of(enum digest_algorithm algorithm, const void *data, size_t len, struct digest *ret,
              mvm_error **err)
{
    mvm_auto(digest_stream) s = NULL;
    int r = digest_stream_new(algorithm, &s, err);

    if (r < 0)
        return r;
    digest_stream_update(s, data, len);
    return digest_stream_finish(s, ret, err);
}
