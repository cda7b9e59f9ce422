/* service/feed.h - the events of the bus for one reader that comes and goes: a connection that watches.
 *
 *   publisher --copy--> [ ring of one feed ] --wake--> its reader --krs_feed_next--> one JSON object
 *
 * A hook of the bus (telemetry/bus.h) is there for the whole life of the program and runs on the publishing
 * thread. A feed is opened and closed at any time and read on its owner's thread. What comes while its ring is
 * full is dropped and counted: a reader that sleeps costs memory once and the publishers nothing.
 *
 * Thread: watch from any; a feed has one owner, who reads and closes it.
 * Memory: one allocation a feed, some 64 KiB. */
#pragma once

#include "service/service.h"

#define KRS_FEED_LINE_BYTES                                                                        \
    1024                   /* one event; every field of ours fits, a longer event loses fields */
#define KRS_FEED_EVENTS 64 /* in the ring */
#define KRS_FEEDS_MAX   64 /* at once: connections that watch */

typedef struct krs_feed krs_feed;

typedef struct krs_feed_options {
    const char *topic; /* "model.loaded", "model.*" or "*"; copied */
    void *ctx;
    /* The empty ring got an event. On the publishing thread: must not block, nor call this feed or the service.
     * NULL: the reader polls. */
    void (*wake)(void *ctx);
} krs_feed_options;

/* Errors: KRS_EINVAL (a topic that no event has), KRS_EBUSY (KRS_FEEDS_MAX), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_watch(krs_service *service, const krs_feed_options *options,
                                          krs_feed **out, krs_error *err);

/* The oldest event as {"time":..,"level":..,"event":"area.action","id":..,fields..,"number":n}, without a
 * newline, NUL-terminated; its length, or 0 when there is none. Numbers are those of the bus: what
 * comes twice over two feeds can be told. */
size_t krs_feed_next(krs_feed *feed, char out[KRS_FEED_LINE_BYTES]);

/* Events that did not fit, so far. */
uint64_t krs_feed_dropped(krs_feed *feed);

/* Wakes no more once it returns. Not from within wake. NULL is a no-op. */
void krs_feed_close(krs_feed *feed);
