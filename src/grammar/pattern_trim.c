/* grammar/pattern_trim.c - what a search need not look at: at an end of a match that any text may go on from, the fewest
 * repeats do, since the rest of them is text as any other. `[a-z]{1,255}` anywhere in a text is `[a-z]` anywhere in it.
 *
 * It matters because a count that may begin at every character is as many states as it counts, each with all of the
 * counts before it: a set of 64 characters, 255 times, took millions of steps for what one character says.
 *
 * Where an anchor or a lookahead stands, nothing behind it is touched. */
#include "grammar/pattern_priv.h"

/* Nothing is left of it: whatever it may match is any text's. */
static void leave_out(krs_pattern_node *node)
{
    *node = (krs_pattern_node){
        .kind = KRS_PATTERN_EMPTY, .is_pure = true, .at = node->at, .next = node->next};
}

static void trim_repeat(krs_pattern_node *node, krs_pattern_end end)
{
    if (!node->child->is_pure) {
        return;
    }
    if (node->min == 0) {
        leave_out(node);
        return;
    }
    node->max = node->min;
    if (node->min == 1) {
        krs_pattern_trim(node->child, end);
        krs_pattern_node *const next = node->next;
        *node = *node->child;
        node->next = next;
    }
}

static krs_pattern_node *reversed(krs_pattern_node *list)
{
    krs_pattern_node *done = NULL;
    while (list) {
        krs_pattern_node *const next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static void trim_cat(krs_pattern_node *node, krs_pattern_end end)
{
    krs_pattern_node *list = end == KRS_PATTERN_TAIL ? reversed(node->child) : node->child;
    while (list) {
        krs_pattern_trim(list, end);
        if (list->kind != KRS_PATTERN_EMPTY) {
            break;
        }
        list = list->next;
    }
    node->child = end == KRS_PATTERN_TAIL ? reversed(list) : list;
    if (!node->child) {
        leave_out(node);
    }
}

static void trim_alt(krs_pattern_node *node, krs_pattern_end end)
{
    bool is_any = false;
    for (krs_pattern_node *child = node->child; child; child = child->next) {
        krs_pattern_trim(child, end);
        is_any = is_any || child->kind == KRS_PATTERN_EMPTY;
    }
    if (is_any) {
        leave_out(node);
    }
}

void krs_pattern_trim(krs_pattern_node *node, krs_pattern_end end)
{
    switch (node->kind) {
    case KRS_PATTERN_REPEAT:
        trim_repeat(node, end);
        break;
    case KRS_PATTERN_CAT:
        trim_cat(node, end);
        break;
    case KRS_PATTERN_ALT:
        trim_alt(node, end);
        break;
    default:
        break;
    }
}
