/* text/tokenizer_read_post.c - "post_processor" of a tokenizer.json.
 *
 * A template of one text comes down to ids before and after it, one of two texts to ids before, between
 * and after them. ByteLevel as a post-processor only moves offsets, which we do not keep. */
#include "text/tokenizer_priv.h"

/* Append the ids of special_tokens[name]. */
static krs_status append_special(const json_t *spec, krs_str name, krs_idlist *out, krs_error *err)
{
    const json_t *special = json_object_getn(json_object_get(spec, "special_tokens"),
                                             name.ptr ? name.ptr : "", name.len);
    const json_t *ids = json_object_get(special, "ids");
    if (!json_is_array(ids)) {
        return krs_fail(err, KRS_EFORMAT, "special_tokens[\"%.*s\"].ids: want an array",
                        KRS_STR_ARGS(name));
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= KRS_VOCAB_MAX_IDS) {
            return krs_fail(err, KRS_EFORMAT, "special_tokens[\"%.*s\"].ids[%zu]: want an id",
                            KRS_STR_ARGS(name), i);
        }
        const krs_status status = krs_idlist_push(out, (uint32_t)json_integer_value(id));
        if (status != KRS_OK) {
            return krs_fail(err, status, "more than %d ids", KRS_TOKENIZER_MAX_AFFIX);
        }
    }
    return KRS_OK;
}

/* Read the ids left and right of $A. */
static krs_status read_single(const json_t *spec, krs_idlist *before, krs_idlist *after,
                              krs_error *err)
{
    const json_t *single = json_object_get(spec, "single");
    if (!json_is_array(single)) {
        return krs_fail(err, KRS_EFORMAT, "single: want an array");
    }
    size_t n_texts = 0;
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *token = json_object_get(item, "SpecialToken");
        if (token) {
            krs_str name;
            status = krs_component_text(token, "id", &name, err);
            if (status == KRS_OK) {
                status = append_special(spec, name, n_texts > 0 ? after : before, err);
            }
        } else if (json_object_get(item, "Sequence")) {
            n_texts++;
        } else {
            return krs_fail(err, KRS_EFORMAT, "single[%zu]: want SpecialToken or Sequence", i);
        }
    }
    if (status == KRS_OK && n_texts != 1) {
        return krs_fail(err, KRS_EUNSUPPORTED, "single with the text %zu times", n_texts);
    }
    return status;
}

/* One item of "pair"; *n_texts: how many texts came before. What we cannot follow leaves pairs unknown. */
static krs_status read_pair_item(krs_tokenizer *t, const json_t *spec, const json_t *item,
                                 size_t *n_texts, krs_error *err)
{
    static const char *const order[] = {"A", "B"};
    const json_t *token = json_object_get(item, "SpecialToken");
    if (token) {
        krs_str name;
        const krs_status status = krs_component_text(token, "id", &name, err);
        return status == KRS_OK ? append_special(spec, name, &t->pair[*n_texts], err) : status;
    }
    const char *text = json_string_value(json_object_get(json_object_get(item, "Sequence"), "id"));
    if (text && *n_texts < 2 && strcmp(text, order[*n_texts]) == 0) {
        ++*n_texts;
    } else {
        t->is_pair_known = false;
    }
    return KRS_OK;
}

/* "pair": $A and then $B, with ids around them. Anything else, or a second template with a pair of its own,
 * leaves pairs unknown: few tokenizers mean them, and one text still works. */
static krs_status read_pair(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    const json_t *pair = json_object_get(spec, "pair");
    const bool has_ids = t->pair[0].n + t->pair[1].n + t->pair[2].n > 0;
    size_t n_texts = 0;
    krs_status status = KRS_OK;
    t->is_pair_known = t->is_pair_known && !has_ids;
    for (size_t i = 0; status == KRS_OK && t->is_pair_known && i < json_array_size(pair); i++) {
        status = read_pair_item(t, spec, json_array_get(pair, i), &n_texts, err);
    }
    t->is_pair_known = t->is_pair_known && (n_texts == 2 || !pair);
    return status;
}

/* A later processor of a sequence goes around the earlier ones: new prefix first, new suffix last.
 * before and after are used up. */
static krs_status wrap(krs_tokenizer *t, krs_idlist *before, const krs_idlist *after,
                       krs_error *err)
{
    krs_status status = krs_idlist_append(before, t->prefix.ids, t->prefix.n);
    if (status == KRS_OK) {
        status = krs_idlist_append(&t->suffix, after->ids, after->n);
    }
    if (status != KRS_OK) {
        return krs_fail(err, status, "more than %d ids", KRS_TOKENIZER_MAX_AFFIX);
    }
    const krs_idlist was = t->prefix;
    t->prefix = *before;
    *before = was;
    return KRS_OK;
}

static krs_status read_template(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_idlist before;
    krs_idlist after;
    krs_idlist_init(&before, t->alloc, KRS_TOKENIZER_MAX_AFFIX);
    krs_idlist_init(&after, t->alloc, KRS_TOKENIZER_MAX_AFFIX);
    krs_status status = read_single(spec, &before, &after, err);
    if (status == KRS_OK) {
        status = read_pair(t, spec, err);
    }
    if (status == KRS_OK) {
        status = wrap(t, &before, &after, err);
    }
    krs_idlist_deinit(&before);
    krs_idlist_deinit(&after);
    return status;
}

/* "cls" or "sep": [text, id]. */
static krs_status read_token_pair(const json_t *spec, const char *field, uint32_t *out,
                                  krs_error *err)
{
    const json_t *pair = json_object_get(spec, field);
    const json_t *id = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= KRS_VOCAB_MAX_IDS) {
        return krs_fail(err, KRS_EFORMAT, "%s: want [text, id]", field);
    }
    *out = (uint32_t)json_integer_value(id);
    return KRS_OK;
}

/* Ids around two texts; a second processor that says something of pairs leaves them unknown. */
static krs_status set_pair(krs_tokenizer *t, uint32_t cls, uint32_t sep, size_t n_between)
{
    t->is_pair_known = t->is_pair_known && t->pair[0].n + t->pair[1].n + t->pair[2].n == 0;
    krs_status status = t->is_pair_known ? krs_idlist_push(&t->pair[0], cls) : KRS_OK;
    for (size_t i = 0; status == KRS_OK && t->is_pair_known && i < n_between; i++) {
        status = krs_idlist_push(&t->pair[1], sep);
    }
    return status == KRS_OK && t->is_pair_known ? krs_idlist_push(&t->pair[2], sep) : status;
}

/* CLS $A SEP, and for two texts CLS $A SEP (n_between of them) $B SEP. */
static krs_status read_cls_sep(krs_tokenizer *t, const json_t *spec, size_t n_between,
                               krs_error *err)
{
    uint32_t cls = 0;
    uint32_t sep = 0;
    krs_status status = read_token_pair(spec, "cls", &cls, err);
    if (status == KRS_OK) {
        status = read_token_pair(spec, "sep", &sep, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_idlist before;
    krs_idlist after;
    krs_idlist_init(&before, t->alloc, KRS_TOKENIZER_MAX_AFFIX);
    krs_idlist_init(&after, t->alloc, KRS_TOKENIZER_MAX_AFFIX);
    status = krs_idlist_push(&before, cls);
    if (status == KRS_OK) {
        status = krs_idlist_push(&after, sep);
    }
    if (status == KRS_OK) {
        status = set_pair(t, cls, sep, n_between);
    }
    status =
        status == KRS_OK ? wrap(t, &before, &after, err) : krs_fail(err, status, "out of memory");
    krs_idlist_deinit(&before);
    krs_idlist_deinit(&after);
    return status;
}

static krs_status read_bert(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return read_cls_sep(t, spec, 1, err);
}

/* trim_offsets and add_prefix_space only move offsets, which we do not keep. */
static krs_status read_roberta(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return read_cls_sep(t, spec, 2, err);
}

static krs_status read_nothing(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)t;
    (void)spec;
    (void)err;
    return KRS_OK;
}

static krs_status read_processors(krs_tokenizer *t, const json_t *spec, krs_error *err);

static const krs_component processors[] = {
    {"Sequence", read_processors}, {"TemplateProcessing", read_template},
    {"BertProcessing", read_bert}, {"RobertaProcessing", read_roberta},
    {"ByteLevel", read_nothing},   {NULL, NULL},
};

static krs_status read_processors(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return krs_component_sequence(t, "post_processor", "processors", processors, spec, err);
}

krs_status krs_read_postprocessor(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return !spec || json_is_null(spec)
               ? KRS_OK
               : krs_component_dispatch(t, "post_processor", processors, spec, err);
}
