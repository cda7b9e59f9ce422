/* service/feed_priv.h - the list of feeds inside a service. For this folder only.
 *
 * Thread: any, internally locked (a leaf lock).  Memory: inside the service. */
#pragma once

#include "os/thread.h"
#include "service/feed.h"

#include <stdatomic.h>

#define KRS_FEED_MAX_FIELDS 15 /* of one event; ours have ten at most */

typedef struct krs_feeds {
    krs_os_mutex *mutex;
    krs_os_cond *cond;  /* a wake has returned */
    _Atomic uint32_t n; /* changed under the mutex, read without */
    krs_feed *list[KRS_FEEDS_MAX];
} krs_feeds;

KRS_MUST_USE krs_status krs_feeds_init(krs_feeds *feeds, krs_error *err);
void krs_feeds_deinit(krs_feeds *feeds);

/* The hook that fills them. */
krs_subscriber krs_feeds_subscriber(krs_service *service);
