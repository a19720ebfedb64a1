/* SPDX-License-Identifier: Apache-2.0 */
/* Layers that are not in their registry (OCI image-spec, layer.md, Non-Distributable Layers;
 * image.md I-145, I-146). The manifest chooses where we go, hence only where the registry itself
 * might be. */
#include "image/registry-internal.h"

int registry_check_foreign(const struct endpoint *e, const char *to, mvm_error **err)
{
    mvm_autovalue(url) url = { 0 };
    int r = url_parse(to, &url, err);

    if (r < 0)
        return r;
    if (!url.https && !e->may[REGISTRY_HTTP])
        return mvm_fail(err, MVM_E_NET, 0, "http on '%s', only https will do", url.host);
    if (!url_may_lead(&e->urls[url.https ? REGISTRY_HTTPS : REGISTRY_HTTP], &url))
        return mvm_fail(err, MVM_E_NET, 0,
                        "the manifest has no business to send us to the internal address '%s'",
                        url.host);
    return 0;
}

int registry_foreign_get(struct endpoint *e, struct http_client *c, const char *url,
                         const struct registry_request *rq, struct http_response **ret,
                         mvm_error **err)
{
    mvm_auto(http_response) response = NULL;
    struct registry_request with = *rq;
    long status;
    int r = registry_check_foreign(e, url, err);

    with.foreign = true;
    if (r == 0)
        r = registry_send(e, c, url, &with, &response, err);
    if (r < 0)
        return r;
    status = http_status(response);
    if (status != 200 && !(status == 206 && rq->range_from > 0))
        return registry_fail(response, "GET", url, err);
    *ret = steal_ptr(&response);
    return 0;
}
