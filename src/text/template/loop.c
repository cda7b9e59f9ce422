/* text/template/loop.c - for loops and the variable `loop`.
 *
 * One scope object serves all iterations and is emptied between them: each iteration starts afresh,
 * and a macro defined in the body sees the loop's present variables, as a Python closure would.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 runtime, LoopContext. */
#include "text/template/run.h"

static krs_status run_loop(krs_tloop *loop);

/* Does item pass the loop's filter? Its names live in a scope of their own. */
static krs_status passes(krs_tloop *loop, const krs_tval *item, bool *out)
{
    krs_trun *run = loop->run;
    krs_tscope *outer = run->scope;
    krs_tscope *scope = krs_arena_bytes(&run->values, sizeof(*scope));
    if (!scope) {
        return krs_trun_no_memory(run);
    }
    scope->parent = loop->scope;
    run->scope = scope;
    krs_tval verdict = krs_tval_none();
    krs_status status = krs_tassign(run, loop->node->a, item);
    if (status == KRS_OK) {
        status = krs_teval(run, loop->node->c, &verdict);
    }
    run->scope = outer;
    *out = krs_top_is_true(&verdict);
    return status;
}

krs_status krs_tloop_fill(krs_tloop *loop, size_t upto)
{
    while (loop->n_passed < upto && loop->n_seen < loop->n_items) {
        const krs_tval *item = &loop->items[loop->n_seen++];
        bool is_in = false;
        krs_status status = passes(loop, item, &is_in);
        if (status != KRS_OK) {
            return status;
        }
        if (is_in) {
            loop->room[loop->n_passed++] = *item;
        }
    }
    return KRS_OK;
}

static krs_status start_loop(krs_trun *run, const krs_tnode *node, const krs_tval *over,
                             krs_tloop *loop)
{
    *loop = (krs_tloop){.run = run, .node = node, .at = SIZE_MAX, .changed = krs_tval_none()};
    krs_status status = krs_top_items(run, over, &loop->items, &loop->n_items);
    if (status != KRS_OK) {
        return status;
    }
    loop->passed = loop->items;
    loop->n_passed = loop->n_seen = loop->n_items;
    if (node->c) {
        status = krs_trun_array(run, loop->n_items, &loop->room);
        loop->passed = loop->room;
        loop->n_passed = loop->n_seen = 0;
    }
    return status;
}

/* One iteration in run->scope, which is empty. */
static krs_status iterate(krs_tloop *loop)
{
    krs_trun *run = loop->run;
    const krs_tval self = {.kind = KRS_T_LOOP, .u.loop = loop};
    krs_status status = krs_tscope_set(run, run->t->name_loop, &self);
    if (status == KRS_OK) {
        status = krs_tassign(run, loop->node->a, &loop->passed[loop->at]);
    }
    return status == KRS_OK ? krs_texec(run, loop->node->child[0]) : status;
}

static krs_status run_items(krs_tloop *loop)
{
    krs_trun *run = loop->run;
    for (loop->at = 0;; loop->at++) {
        krs_status status = krs_tloop_fill(loop, loop->at + 1);
        if (status != KRS_OK || loop->at >= loop->n_passed) {
            return status;
        }
        run->scope->n = 0;
        status = iterate(loop);
        if (status != KRS_OK) {
            return status;
        }
        const krs_tflow flow = run->flow;
        run->flow = KRS_FLOW_ON;
        if (flow == KRS_FLOW_BREAK) {
            return KRS_OK;
        }
    }
}

static krs_status run_loop(krs_tloop *loop)
{
    krs_trun *run = loop->run;
    krs_tscope *scope = krs_arena_bytes(&run->values, sizeof(*scope));
    if (!scope) {
        return krs_trun_no_memory(run);
    }
    scope->parent = loop->scope;
    krs_tscope *outer = run->scope;
    run->scope = scope;
    krs_status status = run_items(loop);
    const bool is_empty = loop->n_passed == 0;
    if (status == KRS_OK && is_empty && loop->node->n > 1) {
        scope->n = 0;
        status = krs_texec(run, loop->node->child[1]);
    }
    run->scope = outer;
    return status;
}

static krs_tloop *new_loop(krs_trun *run)
{
    return krs_arena_bytes(&run->values, sizeof(krs_tloop));
}

krs_status krs_tfor(krs_trun *run, const krs_tnode *node)
{
    krs_tval over;
    krs_status status = krs_teval(run, node->b, &over);
    if (status != KRS_OK) {
        return status;
    }
    krs_tloop *loop = new_loop(run);
    if (!loop) {
        return krs_trun_no_memory(run);
    }
    status = start_loop(run, node, &over, loop);
    loop->scope = run->scope;
    return status == KRS_OK ? run_loop(loop) : status;
}

krs_status krs_tloop_recurse(krs_tloop *loop, const krs_tval *items, krs_tval *out)
{
    krs_trun *run = loop->run;
    if (!loop->node->is_recursive) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "The loop must have the 'recursive' marker to be called recursively.");
    }
    if (run->n_macro >= KRS_TEMPLATE_MAX_DEPTH) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "loops recurse deeper than %d",
                             KRS_TEMPLATE_MAX_DEPTH);
    }
    krs_tloop *inner = new_loop(run);
    if (!inner) {
        return krs_trun_no_memory(run);
    }
    const size_t mark = krs_trun_mark(run);
    krs_status status = start_loop(run, loop->node, items, inner);
    inner->scope = loop->scope;
    inner->depth = loop->depth + 1;
    run->n_macro++;
    if (status == KRS_OK) {
        status = run_loop(inner);
    }
    run->n_macro--;
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

/* ---- loop.x ---- */

typedef enum loop_field {
    LOOP_INDEX,
    LOOP_INDEX0,
    LOOP_FIRST,
    LOOP_DEPTH,
    LOOP_DEPTH0,
    LOOP_PREVITEM,
    LOOP_LAST, /* from here on one more item must be known */
    LOOP_NEXTITEM,
    LOOP_LENGTH, /* from here on all of them */
    LOOP_REVINDEX,
    LOOP_REVINDEX0,
} loop_field;

static krs_status neighbour(krs_tloop *loop, size_t at, const char *hint, krs_tval *out)
{
    if (at < loop->n_passed) {
        *out = loop->passed[at];
        return KRS_OK;
    }
    return krs_trun_undefined(loop->run, KRS_TUNDEF_HINT, 0, krs_str_of(hint), out);
}

static krs_status read_field(krs_tloop *loop, loop_field field, krs_tval *out)
{
    const int64_t at = (int64_t)loop->at;
    const int64_t n = (int64_t)loop->n_passed;
    switch (field) {
    case LOOP_FIRST:
        *out = krs_tval_bool(at == 0);
        return KRS_OK;
    case LOOP_LAST:
        *out = krs_tval_bool(at + 1 >= n);
        return KRS_OK;
    case LOOP_PREVITEM:
        return neighbour(loop, loop->at - 1, "there is no previous item", out);
    case LOOP_NEXTITEM:
        return neighbour(loop, loop->at + 1, "there is no next item", out);
    default:
        break;
    }
    const int64_t depth = (int64_t)loop->depth;
    const int64_t numbers[] = {
        [LOOP_INDEX] = at + 1,         [LOOP_INDEX0] = at,       [LOOP_DEPTH] = depth + 1,
        [LOOP_DEPTH0] = depth,         [LOOP_REVINDEX] = n - at, [LOOP_LENGTH] = n,
        [LOOP_REVINDEX0] = n - at - 1,
    };
    *out = krs_tval_int(numbers[field]);
    return KRS_OK;
}

krs_status krs_tloop_attribute(krs_tloop *loop, krs_str name, krs_tval *out, bool *is_known)
{
    static const char *const names[] = {
        [LOOP_INDEX] = "index",       [LOOP_INDEX0] = "index0",       [LOOP_FIRST] = "first",
        [LOOP_DEPTH] = "depth",       [LOOP_DEPTH0] = "depth0",       [LOOP_PREVITEM] = "previtem",
        [LOOP_LAST] = "last",         [LOOP_NEXTITEM] = "nextitem",   [LOOP_LENGTH] = "length",
        [LOOP_REVINDEX] = "revindex", [LOOP_REVINDEX0] = "revindex0",
    };
    *is_known = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!krs_str_equal(name, krs_str_of(names[i]))) {
            continue;
        }
        *is_known = true;
        krs_status status = KRS_OK;
        if (i >= LOOP_LAST) {
            status = krs_tloop_fill(loop, i >= LOOP_LENGTH ? SIZE_MAX : loop->at + 2);
        }
        return status == KRS_OK ? read_field(loop, (loop_field)i, out) : status;
    }
    return KRS_OK;
}
