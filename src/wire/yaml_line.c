/* wire/yaml_line.c - where in a YAML text a key stands; see yaml.h.
 *
 * A tree knows no lines, and one that did would cost every reader for the sake of a message that is
 * rarely shown. So the text is scanned again, for one path. */
#include "wire/yaml.h"

#include <yaml.h>

typedef struct search {
    const char *const *path;
    size_t n_path;
    size_t n_found;                  /* keys of path that enclose the place, all of them maps */
    bool is_map[KRS_YAML_MAX_DEPTH]; /* of the open collections */
    bool wants_key;                  /* of the innermost one, when it is a map */
    bool is_entered;                 /* the last key was on the path: its value comes next */
    size_t depth;
    uint32_t line; /* of the key, once found */
    bool is_over;
} search;

/* A value is complete: in a map a key comes next. */
static void end_value(search *s)
{
    s->wants_key = s->depth > 0 && s->is_map[s->depth - 1];
    s->is_over = s->is_over || s->is_entered; /* the path goes on, but this is no map */
}

static void see_key(search *s, const yaml_event_t *event)
{
    const krs_str key = {(const char *)event->data.scalar.value, event->data.scalar.length};
    s->wants_key = false;
    if (s->depth != s->n_found + 1 || !krs_str_equal(key, krs_str_of(s->path[s->n_found]))) {
        return;
    }
    s->n_found++;
    s->is_entered = s->n_found < s->n_path;
    if (!s->is_entered) {
        s->line = (uint32_t)event->start_mark.line + 1;
        s->is_over = true;
    }
}

static void see_open(search *s, bool is_map)
{
    if (s->depth == KRS_YAML_MAX_DEPTH || (s->is_entered && !is_map)) {
        s->is_over = true;
        return;
    }
    s->is_map[s->depth++] = is_map;
    s->wants_key = is_map;
    s->is_entered = false;
}

static void see_close(search *s)
{
    if (s->depth == 0 || --s->depth <= s->n_found) {
        s->is_over = true; /* a map on the path ended without the next key */
        return;
    }
    end_value(s);
}

static void see(search *s, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (s->wants_key) {
            see_key(s, event);
        } else {
            end_value(s);
        }
        break;
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        see_open(s, event->type == YAML_MAPPING_START_EVENT);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        see_close(s);
        break;
    case YAML_STREAM_END_EVENT:
        s->is_over = true;
        break;
    default:
        break;
    }
}

uint32_t krs_yaml_line_of(krs_str text, const char *const *path, size_t n_path)
{
    yaml_parser_t parser;
    search s = {.path = path, .n_path = n_path, .is_over = n_path == 0};
    if (s.is_over || !yaml_parser_initialize(&parser)) {
        return 0;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    yaml_event_t event;
    while (!s.is_over && yaml_parser_parse(&parser, &event)) {
        see(&s, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return s.line;
}
