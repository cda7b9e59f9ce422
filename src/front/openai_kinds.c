/* front/openai_kinds.c - chat completions and completions as rows of the table of calls: which fields
 * they know. A field we refuse is known, too: it is answered by name, not listed as ignored. */
#include "front/openai_priv.h"

static const char *const shared_fields[] = {"n",
                                            "max_tokens",
                                            "stop",
                                            "logprobs",
                                            "stream",
                                            "stream_options",
                                            "stream_options.include_usage",
                                            "stream_options.include_obfuscation",
                                            "metadata",
                                            "store",
                                            "service_tier",
                                            "safety_identifier",
                                            "prompt_cache_key",
                                            "prompt_cache_retention",
                                            "response_format",
                                            "echo",
                                            "prompt_logprobs",
                                            "use_beam_search",
                                            "bad_words",
                                            "guided_json",
                                            "guided_regex",
                                            "guided_choice",
                                            "guided_grammar",
                                            "structured_outputs",
                                            NULL};

static const char *const chat_fields[] = {"messages",
                                          "tools",
                                          "tool_choice",
                                          "parallel_tool_calls",
                                          "max_completion_tokens",
                                          "top_logprobs",
                                          "modalities",
                                          "prediction",
                                          "reasoning_effort",
                                          "chat_template_kwargs",
                                          "add_generation_prompt",
                                          "continue_final_message",
                                          "functions",
                                          "function_call",
                                          "audio",
                                          "web_search_options",
                                          "verbosity",
                                          NULL};

static const char *const completion_fields[] = {"prompt", "suffix", "best_of", NULL};

const krs_call_row krs_call_row_chat = {
    .fields = {krs_call_owner_fields, krs_call_sampling_fields, shared_fields, chat_fields},
    .max_values = KRS_CALL_MAX_CHAT_VALUES,
    .call_bytes = sizeof(krs_openai_call),
    .answer_bytes = sizeof(krs_openai_answer),
    .read = krs_openai_read_chat,
    .answer_init = krs_openai_answer_init,
    .answer_deinit = krs_openai_answer_deinit,
    .add = krs_openai_answer_add,
    .fail = krs_openai_answer_fail,
    .heartbeat = krs_call_put_comment,
    .error_write = krs_openai_error_write,
};

const krs_call_row krs_call_row_completion = {
    .fields = {krs_call_owner_fields, krs_call_sampling_fields, shared_fields, completion_fields},
    .max_values = KRS_CALL_MAX_ID_VALUES,
    .call_bytes = sizeof(krs_openai_call),
    .answer_bytes = sizeof(krs_openai_answer),
    .read = krs_openai_read_completion,
    .answer_init = krs_openai_answer_init,
    .answer_deinit = krs_openai_answer_deinit,
    .add = krs_openai_answer_add,
    .fail = krs_openai_answer_fail,
    .heartbeat = krs_call_put_comment,
    .error_write = krs_openai_error_write,
};
