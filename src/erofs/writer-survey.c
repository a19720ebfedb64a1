/* SPDX-License-Identifier: Apache-2.0 */
#include "erofs/writer-internal.h"

/* A compact inode has no time of its own but shows the super block's: the commonest one of the tree
 * saves most. It is found in memory of fixed size by counting in buckets, where a time that finds
 * its bucket full takes one off each count there (Misra and Gries, 1982). A guess that is wrong
 * costs space and nothing else. */
#define TIME_BUCKETS 512u
#define TIME_WAYS 4u

struct time_count {
    int64_t s;
    uint32_t ns;
    uint32_t count; /* 0: free */
};
struct time_bucket {
    struct time_count ways[TIME_WAYS];
};

static void bucket_count(struct time_bucket *b, int64_t s, uint32_t ns)
{
    struct time_count *free_way = NULL;

    for (size_t i = 0; i < TIME_WAYS; i++) {
        struct time_count *way = &b->ways[i];

        if (way->count == 0) {
            free_way = way;
        } else if (way->s == s && way->ns == ns) {
            way->count++;
            return;
        }
    }
    if (free_way) {
        *free_way = (struct time_count){ s, ns, 1 };
        return;
    }
    for (size_t i = 0; i < TIME_WAYS; i++)
        b->ways[i].count--;
}

static void times_count(struct time_bucket *buckets, const struct layer_record *record)
{
    uint64_t hash = ((uint64_t) record->mtime_s << 30) + record->mtime_ns;

    hash *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio: spreads what is near */
    bucket_count(&buckets[(hash >> 32) % TIME_BUCKETS], record->mtime_s, record->mtime_ns);
}

static void times_choose(const struct time_bucket *buckets, struct plan *p)
{
    uint32_t best = 0;

    for (size_t i = 0; i < (size_t) TIME_BUCKETS * TIME_WAYS; i++) {
        const struct time_count *way = &buckets[i / TIME_WAYS].ways[i % TIME_WAYS];

        if (way->count <= best)
            continue;
        best = way->count;
        p->time_s = way->s;
        p->time_ns = way->ns;
    }
}

int plan_survey(struct plan *p, mvm_error **err)
{
    mvm_autofree struct time_bucket *buckets = mem_array(TIME_BUCKETS, sizeof(*buckets));
    const uint32_t n = tree_n_inodes(p->tree);

    if (!buckets)
        return mvm_fail_nomem(err);
    for (tree_inode i = 0; i < n; i++) {
        const struct layer_record *record = &p->cursor.record;
        uint32_t layer;
        int r = plan_get(p, i, &layer, err);

        if (r < 0)
            return r;
        times_count(buckets, record);
        for (uint16_t k = 0; k < record->n_xattrs; k++)
            xattr_pool_count(&p->pool, &record->xattrs[k]);
    }
    times_choose(buckets, p);
    xattr_pool_number(&p->pool);
    return 0;
}
