/* os/queue.c - see queue.h. A ring of pointers under one lock. */
#include "os/queue.h"

#include "os/thread.h"

#include <stddef.h>

#define QUEUE_MAX_ITEMS (1u << 24) /* guards against a wrong count, not a use we know */

struct krs_os_queue {
    krs_os_mutex *lock;
    krs_os_cond *not_empty;
    const krs_alloc *alloc;
    uint32_t max_items;
    uint32_t first;
    uint32_t count;
    bool is_closed;
    void *items[]; /* [max_items], ring from first */
};

krs_status krs_os_queue_new(uint32_t max_items, const krs_alloc *alloc, krs_os_queue **out)
{
    *out = NULL;
    if (max_items == 0 || max_items > QUEUE_MAX_ITEMS) {
        return KRS_EINVAL;
    }
    krs_os_queue *queue = krs_alloc_zero(alloc, sizeof(*queue) + max_items * sizeof(void *));
    if (!queue) {
        return KRS_ENOMEM;
    }
    queue->alloc = alloc;
    queue->max_items = max_items;
    if (krs_os_mutex_new(&queue->lock) != KRS_OK || krs_os_cond_new(&queue->not_empty) != KRS_OK) {
        krs_os_queue_free(queue);
        return KRS_ENOMEM;
    }
    *out = queue;
    return KRS_OK;
}

void krs_os_queue_free(krs_os_queue *queue)
{
    if (queue) {
        krs_os_cond_free(queue->not_empty);
        krs_os_mutex_free(queue->lock);
        krs_alloc_free(queue->alloc, queue);
    }
}

krs_status krs_os_queue_push(krs_os_queue *queue, void *item)
{
    krs_status status = KRS_OK;
    krs_os_mutex_lock(queue->lock);
    if (queue->is_closed) {
        status = KRS_EUNAVAILABLE;
    } else if (queue->count == queue->max_items) {
        status = KRS_EBUSY;
    } else {
        queue->items[(queue->first + queue->count) % queue->max_items] = item;
        queue->count++;
        krs_os_cond_signal(queue->not_empty);
    }
    krs_os_mutex_unlock(queue->lock);
    return status;
}

/* Lock held. */
static krs_status pop_locked(krs_os_queue *queue, void **out)
{
    if (queue->count == 0) {
        return queue->is_closed ? KRS_EEOF : KRS_EAGAIN;
    }
    *out = queue->items[queue->first];
    queue->first = (queue->first + 1) % queue->max_items;
    queue->count--;
    return KRS_OK;
}

krs_status krs_os_queue_try_pop(krs_os_queue *queue, void **out)
{
    krs_os_mutex_lock(queue->lock);
    const krs_status status = pop_locked(queue, out);
    krs_os_mutex_unlock(queue->lock);
    return status;
}

krs_status krs_os_queue_pop(krs_os_queue *queue, uint64_t deadline_ns, void **out)
{
    krs_os_mutex_lock(queue->lock);
    krs_status status = pop_locked(queue, out);
    bool in_time = true;
    while (status == KRS_EAGAIN && in_time) {
        if (deadline_ns == UINT64_MAX) {
            krs_os_cond_wait(queue->not_empty, queue->lock);
        } else {
            in_time = krs_os_cond_wait_until(queue->not_empty, queue->lock, deadline_ns);
        }
        status = pop_locked(queue, out);
    }
    krs_os_mutex_unlock(queue->lock);
    return status;
}

void krs_os_queue_close(krs_os_queue *queue)
{
    krs_os_mutex_lock(queue->lock);
    queue->is_closed = true;
    krs_os_cond_broadcast(queue->not_empty);
    krs_os_mutex_unlock(queue->lock);
}

uint32_t krs_os_queue_count(krs_os_queue *queue)
{
    krs_os_mutex_lock(queue->lock);
    const uint32_t count = queue->count;
    krs_os_mutex_unlock(queue->lock);
    return count;
}
