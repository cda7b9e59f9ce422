/* front/openai_models.c - the list of models, in OpenAI's words. */
#include "front/openai.h"

#include "front/writer.h"

static void put_model(krs_writer *w, const krs_model_info *model)
{
    krs_put(w, KRS_STR("{\"id\":"));
    krs_put_string(w, krs_str_of(model->id));
    krs_put(w, KRS_STR(",\"object\":\"model\",\"created\":"));
    krs_put_number(w, model->created_unix_s);
    krs_put(w, KRS_STR(",\"owned_by\":\"kr-serve\",\"max_model_len\":"));
    krs_put_number(w, model->context_tokens);
    krs_put(w, KRS_STR("}"));
}

krs_status krs_openai_model_write(const krs_model_info *model, krs_buf *out)
{
    krs_writer w = {out, KRS_OK};
    put_model(&w, model);
    return w.status;
}

krs_status krs_openai_models_write(const krs_model_info *models, uint32_t n_models, krs_buf *out)
{
    krs_writer w = {out, KRS_OK};
    krs_put(&w, KRS_STR("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; i < n_models; i++) {
        krs_put(&w, i ? KRS_STR(",") : KRS_STR(""));
        put_model(&w, &models[i]);
    }
    krs_put(&w, KRS_STR("]}"));
    return w.status;
}
