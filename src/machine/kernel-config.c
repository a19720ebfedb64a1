/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-config.h"

#include "base/strbuf.h"

#include <stdbool.h>

#define PREFIX "CONFIG_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define NOT_SET " is not set"
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
/* Of a line in a message. */
#define SHOWN_MAX 80
#define MESSAGE_MAX 2048

void kconfig_deinit(struct kconfig *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->items[i].name);
        free(c->items[i].value);
    }
    free(c->items);
    *c = (struct kconfig){ .items = NULL };
}

/* One line, its end not included. */
struct line {
    const char *text;
    size_t len;
    size_t number;
};

static int bad_line(const struct line *l, const char *why, mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "line %zu: '%.*s' %s", l->number,
                    (int) (l->len < SHOWN_MAX ? l->len : SHOWN_MAX), l->text, why);
}

/* Bytes of the name at @text: CONFIG_ and at least one more; 0 for none. */
static size_t name_len(const char *text, size_t len)
{
    size_t n = PREFIX_LEN;

    if (len <= PREFIX_LEN || memcmp(text, PREFIX, PREFIX_LEN) != 0)
        return 0;
    while (n < len && strchr(NAME_CHARS, text[n]) && text[n])
        n++;
    return n > PREFIX_LEN ? n : 0;
}

static int add(struct kconfig *c, const struct line *l, size_t name, const char *value, size_t len,
               mvm_error **err)
{
    struct kconfig_option o = { .line = l->number };
    const char *at = l->text + (l->text[0] == '#' ? 2 : 0);

    if (name > KCONFIG_NAME_MAX)
        return bad_line(l, "has too long a name", err);
    if (c->n == KCONFIG_OPTIONS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "line %zu: more than %d options", l->number,
                        KCONFIG_OPTIONS_MAX);
    o.name = strndup(at, name);
    o.value = strndup(value, len);
    if (!o.name || !o.value ||
        mem_grow(&c->items, &c->cap, c->n + 1, sizeof(struct kconfig_option)) < 0) {
        free(o.name);
        free(o.value);
        return mvm_fail_nomem(err);
    }
    c->items[c->n++] = o;
    return 0;
}

/* y, m, n, a number, or a string in quotes, as kconfig reads them. */
static bool value_is_plain(const char *value, size_t len)
{
    if (len == 0)
        return false;
    if (value[0] != '"')
        return !memchr(value, ' ', len) && !memchr(value, '"', len) && !memchr(value, '\0', len);
    return len >= 2 && value[len - 1] == '"' && !memchr(value + 1, '"', len - 2) &&
           !memchr(value, '\0', len);
}

static int parse_line(struct kconfig *c, const struct line *l, mvm_error **err)
{
    const size_t not_set = sizeof(NOT_SET) - 1;
    size_t name;

    if (l->len == 0)
        return 0;
    if (l->text[0] == '#') {
        name = l->len > 2 && l->text[1] == ' ' ? name_len(l->text + 2, l->len - 2) : 0;
        if (name && l->len == 2 + name + not_set &&
            memcmp(l->text + 2 + name, NOT_SET, not_set) == 0)
            return add(c, l, name, "n", 1, err);
        return 0;
    }
    name = name_len(l->text, l->len);
    if (!name || name == l->len || l->text[name] != '=')
        return bad_line(l, "is not CONFIG_NAME=value", err);
    if (!value_is_plain(l->text + name + 1, l->len - name - 1))
        return bad_line(l, "has no value that kconfig knows", err);
    return add(c, l, name, l->text + name + 1, l->len - name - 1, err);
}

static int by_name_then_line(const void *a, const void *b)
{
    const struct kconfig_option *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Of several of one name the last stays. */
static void sort(struct kconfig *c)
{
    size_t kept = 0;

    if (c->n == 0)
        return;
    qsort(c->items, c->n, sizeof(c->items[0]), by_name_then_line);
    for (size_t i = 1; i < c->n; i++) {
        if (strcmp(c->items[kept].name, c->items[i].name) == 0) {
            free(c->items[kept].name);
            free(c->items[kept].value);
        } else {
            kept++;
        }
        c->items[kept] = c->items[i];
    }
    c->n = kept + 1;
}

int kconfig_parse(const char *text, size_t len, struct kconfig *ret, mvm_error **err)
{
    mvm_autovalue(kconfig) c = { .items = NULL };
    size_t number = 0;
    int r = 0;

    if (len > KCONFIG_TEXT_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%zu bytes of options: %u are the most", len,
                        KCONFIG_TEXT_MAX);
    for (size_t at = 0; r == 0 && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        struct line l = { .text = text + at, .number = ++number };

        l.len = end ? (size_t) (end - l.text) : len - at;
        r = parse_line(&c, &l, err);
        at += l.len + 1;
    }
    if (r < 0)
        return r;
    sort(&c);
    *ret = c;
    c = (struct kconfig){ .items = NULL };
    return 0;
}

static int by_name(const void *name, const void *option)
{
    return strcmp(name, ((const struct kconfig_option *) option)->name);
}

const char *kconfig_get(const struct kconfig *c, const char *name)
{
    const struct kconfig_option *o = NULL;

    if (c->n > 0)
        o = bsearch(name, c->items, c->n, sizeof(c->items[0]), by_name);
    return o ? o->value : "n";
}

/* A list of options for a message: the first few, and how many more. */
struct naming {
    struct strbuf text;
    size_t n;
};

static bool name_another(struct naming *m)
{
    if (m->n++ >= KCONFIG_NAMED_MAX)
        return false;
    strbuf_adds(&m->text, m->n > 1 ? ", " : "");
    return true;
}

static void name_rest(struct naming *m)
{
    if (m->n > KCONFIG_NAMED_MAX)
        strbuf_addf(&m->text, " and %zu more", m->n - KCONFIG_NAMED_MAX);
}

static int strv_compare(const void *name, const void *item)
{
    return strcmp(name, *(char *const *) item);
}

int kconfig_check_known(const struct kconfig *wanted, const struct strv *known, mvm_error **err)
{
    struct naming unknown = { .text = STRBUF_INIT(MESSAGE_MAX) };
    int r = 0;

    for (size_t i = 0; i < wanted->n; i++) {
        const char *name = wanted->items[i].name;

        if (known->n > 0 &&
            bsearch(name + PREFIX_LEN, known->items, known->n, sizeof(char *), strv_compare))
            continue;
        if (name_another(&unknown))
            strbuf_adds(&unknown.text, name);
    }
    name_rest(&unknown);
    if (unknown.n > 0)
        r = mvm_fail(err, MVM_E_NOT_FOUND, 0, "this kernel's source has no option %s",
                     strbuf_str(&unknown.text));
    strbuf_deinit(&unknown.text);
    return r;
}

int kconfig_check_values(const struct kconfig *wanted, const struct kconfig *got, mvm_error **err)
{
    struct naming unmet = { .text = STRBUF_INIT(MESSAGE_MAX) };
    int r = 0;

    for (size_t i = 0; i < wanted->n; i++) {
        const struct kconfig_option *o = &wanted->items[i];
        const char *value = kconfig_get(got, o->name);

        if (strcmp(value, o->value) != 0 && name_another(&unmet))
            strbuf_addf(&unmet.text, "%s=%.80s (is %.80s)", o->name, o->value, value);
    }
    name_rest(&unmet);
    if (unmet.n > 0)
        r = mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                     "options that cannot be had, since what they depend on is set otherwise: %s",
                     strbuf_str(&unmet.text));
    strbuf_deinit(&unmet.text);
    return r;
}
