/* service/feed.c - see feed.h.
 *
 * The wake functions run outside the lock (they belong to others and may take locks of their own), so a
 * feed that is about to be woken is counted as such, and closing waits for that. */
#include "service/feed_priv.h"

#include "base/check.h"
#include "os/clock.h"
#include "service/service_priv.h"

#include <string.h>

#define TOPIC_BYTES 64

typedef struct feed_line {
    uint32_t n_bytes;
    char text[KRS_FEED_LINE_BYTES];
} feed_line;

struct krs_feed {
    krs_service *service;
    krs_feed_options options;
    char topic[TOPIC_BYTES];
    uint32_t n_waking; /* threads in wake; under the mutex, as the ring */
    uint32_t first;
    uint32_t n_lines;
    uint64_t n_dropped;
    feed_line lines[KRS_FEED_EVENTS];
};

krs_status krs_feeds_init(krs_feeds *feeds, krs_error *err)
{
    if (krs_os_mutex_new(&feeds->mutex) != KRS_OK || krs_os_cond_new(&feeds->cond) != KRS_OK) {
        return krs_fail(err, KRS_ENOMEM, "service: no memory for a lock");
    }
    return KRS_OK;
}

void krs_feeds_deinit(krs_feeds *feeds)
{
    KRS_CHECK(feeds->n == 0); /* their owners close them first */
    krs_os_cond_free(feeds->cond);
    krs_os_mutex_free(feeds->mutex);
}

/* The event as one line of JSON; a line that is too long loses its fields. */
static size_t format_line(const krs_event *event, char out[KRS_LOG_LINE_BYTES])
{
    krs_log_field fields[KRS_FEED_MAX_FIELDS + 1];
    size_t n = event->n_fields < KRS_FEED_MAX_FIELDS ? event->n_fields : KRS_FEED_MAX_FIELDS;
    if (n > 0) {
        memcpy(fields, event->fields, n * sizeof(*fields));
    }
    fields[n] = krs_log_int("number", (int64_t)event->number);
    krs_log_record record = {.wall_ns = krs_os_wall_ns(),
                             .level = krs_event_level(event->kind),
                             .event = event->name,
                             .correlation_id = event->correlation_id,
                             .fields = fields,
                             .n_fields = n + 1};
    size_t n_bytes = krs_log_format_record(&record, KRS_LOG_NDJSON, out);
    if (n_bytes > KRS_FEED_LINE_BYTES) {
        record.fields = &fields[n];
        record.n_fields = 1;
        n_bytes = krs_log_format_record(&record, KRS_LOG_NDJSON, out);
    }
    return n_bytes > 0 ? n_bytes - 1 : 0; /* without its newline */
}

/* Under the mutex. True: the ring was empty and somebody wants to know. */
static bool push_line(krs_feed *feed, const char *line, size_t n_bytes)
{
    if (feed->n_lines == KRS_FEED_EVENTS) {
        feed->n_dropped++;
        return false;
    }
    feed_line *place = &feed->lines[(feed->first + feed->n_lines) % KRS_FEED_EVENTS];
    place->n_bytes = (uint32_t)n_bytes;
    memcpy(place->text, line, n_bytes);
    feed->n_lines++;
    return feed->n_lines == 1 && feed->options.wake;
}

static void wake_all(krs_feeds *feeds, krs_feed *const *woken, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        woken[i]->options.wake(woken[i]->options.ctx);
    }
    krs_os_mutex_lock(feeds->mutex);
    for (uint32_t i = 0; i < n; i++) {
        woken[i]->n_waking--;
    }
    krs_os_cond_broadcast(feeds->cond);
    krs_os_mutex_unlock(feeds->mutex);
}

static void take_event(void *ctx, const krs_event *event)
{
    krs_service *service = ctx;
    krs_feeds *feeds = &service->feeds;
    /* Relaxed: a feed opened this moment may miss this event. */
    if (atomic_load_explicit(&feeds->n, memory_order_relaxed) == 0) {
        return;
    }
    char line[KRS_LOG_LINE_BYTES];
    const size_t n_bytes = format_line(event, line);
    krs_feed *woken[KRS_FEEDS_MAX];
    uint32_t n_woken = 0;
    uint64_t n_dropped = 0;
    krs_os_mutex_lock(feeds->mutex);
    for (uint32_t i = 0; i < KRS_FEEDS_MAX; i++) {
        krs_feed *feed = feeds->list[i];
        if (!feed || !krs_event_matches(event->kind, feed->topic)) {
            continue;
        }
        const uint64_t before = feed->n_dropped;
        if (push_line(feed, line, n_bytes)) {
            feed->n_waking++;
            woken[n_woken++] = feed;
        }
        n_dropped += feed->n_dropped - before;
    }
    krs_os_mutex_unlock(feeds->mutex);
    krs_metrics_add(service->options.metrics, KRS_METRIC_EVENTS_DROPPED, n_dropped);
    if (n_woken > 0) {
        wake_all(feeds, woken, n_woken);
    }
}

krs_subscriber krs_feeds_subscriber(krs_service *service)
{
    return (krs_subscriber){"feeds", "*", service, take_event};
}

static krs_status check_topic(const char *topic, krs_error *err)
{
    if (topic && strlen(topic) < TOPIC_BYTES && krs_event_is_topic(topic)) {
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EINVAL, "topics", "topics: no event is called \"%.*s\"",
                          TOPIC_BYTES, topic ? topic : "");
}

/* Put it into the list; false when that is full. */
static bool list_feed(krs_feeds *feeds, krs_feed *feed)
{
    bool is_listed = false;
    krs_os_mutex_lock(feeds->mutex);
    for (uint32_t i = 0; i < KRS_FEEDS_MAX && !is_listed; i++) {
        if (!feeds->list[i]) {
            feeds->list[i] = feed;
            atomic_fetch_add_explicit(&feeds->n, 1, memory_order_relaxed);
            is_listed = true;
        }
    }
    krs_os_mutex_unlock(feeds->mutex);
    return is_listed;
}

krs_status krs_service_watch(krs_service *service, const krs_feed_options *options, krs_feed **out,
                             krs_error *err)
{
    *out = NULL;
    const krs_status status = check_topic(options->topic, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_feed *feed = krs_alloc_zero(service->alloc, sizeof(*feed));
    if (!feed) {
        return krs_fail(err, KRS_ENOMEM, "no memory to watch events");
    }
    feed->service = service;
    feed->options = *options;
    memcpy(feed->topic, options->topic, strlen(options->topic) + 1);
    if (!list_feed(&service->feeds, feed)) {
        krs_alloc_free(service->alloc, feed);
        return krs_fail(err, KRS_EBUSY, "%d connections watch events, which is the limit",
                        KRS_FEEDS_MAX);
    }
    *out = feed;
    return KRS_OK;
}

size_t krs_feed_next(krs_feed *feed, char out[KRS_FEED_LINE_BYTES])
{
    krs_feeds *feeds = &feed->service->feeds;
    size_t n_bytes = 0;
    krs_os_mutex_lock(feeds->mutex);
    if (feed->n_lines > 0) {
        const feed_line *line = &feed->lines[feed->first];
        n_bytes = line->n_bytes;
        memcpy(out, line->text, n_bytes);
        feed->first = (feed->first + 1) % KRS_FEED_EVENTS;
        feed->n_lines--;
    }
    krs_os_mutex_unlock(feeds->mutex);
    out[n_bytes] = '\0';
    return n_bytes;
}

uint64_t krs_feed_dropped(krs_feed *feed)
{
    krs_feeds *feeds = &feed->service->feeds;
    krs_os_mutex_lock(feeds->mutex);
    const uint64_t n = feed->n_dropped;
    krs_os_mutex_unlock(feeds->mutex);
    return n;
}

void krs_feed_close(krs_feed *feed)
{
    if (!feed) {
        return;
    }
    krs_feeds *feeds = &feed->service->feeds;
    krs_os_mutex_lock(feeds->mutex);
    for (uint32_t i = 0; i < KRS_FEEDS_MAX; i++) {
        if (feeds->list[i] == feed) {
            feeds->list[i] = NULL;
            atomic_fetch_sub_explicit(&feeds->n, 1, memory_order_relaxed);
        }
    }
    while (feed->n_waking > 0) {
        krs_os_cond_wait(feeds->cond, feeds->mutex);
    }
    krs_os_mutex_unlock(feeds->mutex);
    krs_alloc_free(feed->service->alloc, feed);
}
