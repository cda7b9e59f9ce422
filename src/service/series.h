/* service/series.h - the series of /metrics whose labels only a running program knows: models and tenants.
 *
 * The table of telemetry/ has no such labels, for what a client can name could grow without bound. These two
 * come from the operator: loaded models are few, and of tenants the first KRS_SERIES_MAX_TENANTS names have
 * series of their own, which is what a page of metrics can bear.
 *
 * Thread: any.  Memory: none. */
#pragma once

#include "service/service.h"

#define KRS_SERIES_MAX_TENANTS 256 /* four series each, some 60 KB */

/* Append them in Prometheus text format. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_series_write(krs_service *service, krs_buf *out);
