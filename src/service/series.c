/* service/series.c - see series.h. */
#include "service/series.h"

#include "service/service_priv.h"

#include <inttypes.h>

/* One series: its name and how a row's value is read. */
typedef struct series {
    const char *name;
    const char *kind;
    const char *help;
    uint64_t (*value_of)(void *row);
} series;

static uint64_t read_count(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t model_requests(void *row)
{
    return read_count(&((krs_model *)row)->n_answers);
}

static uint64_t model_tokens(void *row)
{
    return read_count(&((krs_model *)row)->n_tokens);
}

static uint64_t tenant_in_flight(void *row)
{
    return atomic_load_explicit(&((krs_tenant *)row)->n_in_flight, memory_order_relaxed);
}

static uint64_t tenant_requests(void *row)
{
    return read_count(&((krs_tenant *)row)->n_requests);
}

static uint64_t tenant_refused(void *row)
{
    return read_count(&((krs_tenant *)row)->n_refused);
}

static uint64_t tenant_tokens(void *row)
{
    return read_count(&((krs_tenant *)row)->n_tokens);
}

static krs_status write_head(const series *s, krs_buf *out)
{
    return krs_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", s->name, s->help, s->name, s->kind);
}

/* Names of models and tenants hold no quote, backslash or line end: whoever took them made sure. */
static krs_status write_value(const series *s, const char *label, const char *name, uint64_t value,
                              krs_buf *out)
{
    return krs_buf_printf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", s->name, label, name, value);
}

/* The lease under which this reads is not an answer. */
static krs_status write_leases(krs_service *service, krs_model *const *models, uint32_t n,
                               krs_buf *out)
{
    const series s = {"krs_model_requests_in_flight", "gauge", "Answers that hold the model.",
                      NULL};
    krs_status status = write_head(&s, out);
    for (uint32_t i = 0; i < n && status == KRS_OK; i++) {
        krs_os_mutex_lock(service->models.mutex);
        const uint32_t n_leases = models[i]->n_leases;
        krs_os_mutex_unlock(service->models.mutex);
        status = write_value(&s, "model", models[i]->id, n_leases - 1, out);
    }
    return status;
}

static krs_status write_models(krs_service *service, krs_buf *out)
{
    static const series all[] = {
        {"krs_model_requests_total", "counter", "Answers it began, since it was loaded.",
         model_requests},
        {"krs_model_answer_tokens_total", "counter", "Tokens it generated, since it was loaded.",
         model_tokens},
    };
    krs_model *models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_models_lease_all(service, models);
    krs_status status = write_leases(service, models, n, out);
    for (size_t s = 0; s < sizeof(all) / sizeof(all[0]) && status == KRS_OK; s++) {
        status = write_head(&all[s], out);
        for (uint32_t i = 0; i < n && status == KRS_OK; i++) {
            status = write_value(&all[s], "model", models[i]->id, all[s].value_of(models[i]), out);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        krs_models_release(service, models[i]);
    }
    return status;
}

static krs_status write_tenants(krs_service *service, krs_buf *out)
{
    static const series all[] = {
        {"krs_tenant_requests_in_flight", "gauge", "Answers of the tenant.", tenant_in_flight},
        {"krs_tenant_requests_total", "counter", "Its requests that were let in.", tenant_requests},
        {"krs_tenant_requests_refused_total", "counter", "Its calls refused by its own limits.",
         tenant_refused},
        {"krs_tenant_tokens_total", "counter", "Its tokens, of prompts and answers.",
         tenant_tokens},
    };
    krs_status status = KRS_OK;
    for (size_t s = 0; s < sizeof(all) / sizeof(all[0]) && status == KRS_OK; s++) {
        status = write_head(&all[s], out);
        /* 0 is nobody in particular, and has the empty name; a number nobody has reads as 0. */
        for (uint32_t i = 0; i < KRS_SERIES_MAX_TENANTS && status == KRS_OK; i++) {
            krs_tenant *tenant = krs_keys_tenant(service, i);
            if (i == 0 || tenant->name[0] != '\0') {
                status = write_value(&all[s], "tenant", tenant->name, all[s].value_of(tenant), out);
            }
        }
    }
    return status;
}

krs_status krs_series_write(krs_service *service, krs_buf *out)
{
    const krs_status status = write_models(service, out);
    return status == KRS_OK ? write_tenants(service, out) : status;
}
