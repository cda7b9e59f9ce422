/* compute/ref/attend_rows.c - attention that looks both ways, over the rows of a text in this step: what
 * encoders do. The definition, with all scores of a head kept and sums in double; nothing is cached, so
 * nothing is rounded on the way.
 * Source: Devlin et al. 2019 (BERT); Song et al. 2020 (MPNet) for the bias; Warner et al. 2024
 * (ModernBERT) for the window. */
#include "compute/ref/ref.h"

#include "compute/relative.h"

#include <math.h>

/* One head of one row, and the rows it sees. */
typedef struct row_view {
    const krs_host_exec *host;
    const krs_op *op;
    int64_t row;
    int64_t head;
    int64_t begin; /* first row seen, in the step */
    int64_t end;   /* one past the last */
    float *bias;   /* room for a row of the table */
} row_view;

static const float *head_of(const row_view *view, krs_slot slot, int64_t row, int64_t head)
{
    return krs_host_row(view->host, slot, row) + head * view->op->attention.head_dim;
}

/* Element (bucket of row j as seen from the query, head) of the table; 0 without one. */
static double bias_of(const row_view *view, int64_t j)
{
    if (view->op->matrix == KRS_NO_MATRIX) {
        return 0;
    }
    const krs_matrix *table = &view->host->program->matrices[view->op->matrix];
    const int32_t bucket =
        krs_relative_bucket(j - view->row, (int32_t)table->n_out, view->op->attention.max_distance);
    krs_matrix_row(table, bucket, view->bias);
    return (double)view->bias[view->head];
}

static double score(const row_view *view, int64_t kv_head, int64_t j)
{
    const float *q = head_of(view, view->op->in, view->row, view->head);
    const float *k = head_of(view, view->op->in2, j, kv_head);
    double sum = 0;
    for (int64_t d = 0; d < view->op->attention.head_dim; d++) {
        sum += (double)q[d] * (double)k[d];
    }
    return sum * (double)view->op->attention.scale + bias_of(view, j);
}

/* scores[n] become weights, not yet divided by the sum that is returned. */
static double weigh(double *scores, int64_t n)
{
    double top = scores[0];
    for (int64_t i = 1; i < n; i++) {
        top = scores[i] > top ? scores[i] : top;
    }
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        scores[i] = exp(scores[i] - top);
        sum += scores[i];
    }
    return sum;
}

static void attend(const row_view *view, double *scores, float *out)
{
    const int64_t dim = view->op->attention.head_dim;
    const int64_t group = view->op->attention.n_heads / view->op->attention.n_kv_heads;
    for (int64_t j = view->begin; j < view->end; j++) {
        scores[j - view->begin] = score(view, view->head / group, j);
    }
    const double weight = weigh(scores, view->end - view->begin);
    double sums[KRS_PROGRAM_MAX_HEAD_DIM] = {0};
    for (int64_t j = view->begin; j < view->end; j++) {
        const float *v = head_of(view, view->op->in3, j, view->head / group);
        for (int64_t d = 0; d < dim; d++) {
            sums[d] += scores[j - view->begin] * (double)v[d];
        }
    }
    for (int64_t d = 0; d < dim; d++) {
        out[d] = (float)(sums[d] / weight);
    }
}

void krs_ref_attend_rows(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const int64_t window = op->attention.window;
    for (int64_t r = 0; r < host->step->n_rows; r++) {
        const krs_step_seq *seq = &host->step->seqs[host->row_seqs[r]];
        const int64_t first = seq->row_begin;
        const int64_t last = first + seq->n_rows;
        row_view view = {host, op, r, 0, first, last, exec->row};
        if (window > 0) {
            view.begin = r - window > first ? r - window : first;
            view.end = r + window + 1 < last ? r + window + 1 : last;
        }
        for (; view.head < op->attention.n_heads; view.head++) {
            float *out = krs_host_row(host, op->out, r) + view.head * op->attention.head_dim;
            attend(&view, exec->scores, out);
        }
    }
}
