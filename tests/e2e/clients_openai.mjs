// tests/e2e/clients_openai.mjs - chat completions, completions and models with the openai client.
import OpenAI from "openai";
import { check, equal, metric, post, refusal, test, until } from "./harness.mjs";

const user = (content) => [{ role: "user", content }];
const SUM = user("What is 12 + 7?");
const SUM_ANSWER = "12 + 7 = 19.";
const STORY = user("Tell me a story about a fox.");

const textOf = (answer) => answer.choices[0].message.content;

/** Drain a chat stream: text, last finish_reason, usage chunk, number of chunks. */
async function drain(stream) {
  const seen = { text: "", finish: null, usage: null, n: 0 };
  for await (const chunk of stream) {
    seen.n++;
    seen.text += chunk.choices[0]?.delta?.content ?? "";
    seen.finish = chunk.choices[0]?.finish_reason ?? seen.finish;
    seen.usage = chunk.usage ?? seen.usage;
  }
  return seen;
}

async function chatCases(chat) {
  await test("openai: chat, whole", async () => {
    const answer = await chat({});
    equal(answer.object, "chat.completion", "object");
    equal(textOf(answer), SUM_ANSWER, "content");
    equal(answer.choices[0].message.role, "assistant", "role");
    equal(answer.choices[0].message.refusal, null, "refusal");
    equal(answer.choices[0].finish_reason, "stop", "finish_reason");
    equal(answer.choices[0].logprobs, null, "logprobs");
    check(/^chatcmpl-/.test(answer.id) && answer.created > 1.6e9 && answer.model === "demo", "head");
    equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens, "total_tokens");
    check(answer.usage.prompt_tokens_details.cached_tokens >= 0, "cached_tokens");
  });
  await test("openai: chat, streamed, with and without include_usage", async () => {
    const plain = await drain(await chat({ stream: true }));
    equal(plain.text, SUM_ANSWER, "text");
    equal(plain.finish, "stop", "finish_reason");
    equal(plain.usage, null, "usage");
    const counted = await drain(await chat({ stream: true, stream_options: { include_usage: true } }));
    equal(counted.text, SUM_ANSWER, "text");
    check(counted.usage.prompt_tokens > 0 && counted.usage.completion_tokens > 0, "usage");
    equal(counted.n, plain.n + 1, "one chunk more");
  });
  await test("openai: the client's own accumulating stream", async () => {
    const final = await chat.client.chat.completions.stream({ model: "demo", temperature: 0, messages: SUM })
      .finalChatCompletion();
    equal(textOf(final), SUM_ANSWER, "content");
    equal(final.choices[0].finish_reason, "stop", "finish_reason");
  });
  await test("openai: a prompt asked twice is read from the cache", async () => {
    const long = user(`${"All of this is the same. ".repeat(12)}What is 2 + 2?`);
    const first = await chat({ messages: long });
    const second = await chat({ messages: long });
    equal(textOf(second), textOf(first), "content");
    check(second.usage.prompt_tokens_details.cached_tokens > 0, "nothing was cached");
    const salted = await chat({ messages: long, cache_salt: `salt ${Math.random()}` });
    equal(salted.usage.prompt_tokens_details.cached_tokens, 0, "cached_tokens under a salt of one's own");
    equal(textOf(salted), textOf(first), "content");
  });
  await test("openai: speculation says the same, sooner or not", async () => {
    const more = { messages: STORY, seed: 3, temperature: 0.8, max_tokens: 60, logprobs: true };
    const ask = async (speculation) => chat({ ...more, ...(speculation && { speculation }) });
    const plain = await ask({ mode: "off" });
    const ngram = await ask({ mode: "ngram", max_tokens: 5 });
    equal(textOf(ngram), textOf(plain), "content");
    equal(JSON.stringify(ngram.choices), JSON.stringify(plain.choices), "choices, log probabilities and all");
    const details = plain.usage.completion_tokens_details;
    equal(details.accepted_prediction_tokens + details.rejected_prediction_tokens, 0, "proposals of off");
    check(ngram.usage.completion_tokens_details.accepted_prediction_tokens >= 0, "accepted_prediction_tokens");
    const none = await refusal(ask({ mode: "draft" }));
    equal(none.param, "speculation", "param of a draft that is not there");
  });
  await test("openai: n choices, whole and streamed, one after another in text", async () => {
    const more = { messages: STORY, n: 3, seed: 5, temperature: 1.5, max_tokens: 30 };
    const texts = (await chat(more)).choices.map((one) => one.message.content);
    equal(new Set(texts).size > 1, true, "choices differ");
    const streamed = ["", "", ""];
    const ends = [];
    for await (const chunk of await chat({ ...more, stream: true })) {
      const choice = chunk.choices[0];
      streamed[choice.index] += choice.delta.content ?? "";
      if (choice.finish_reason) ends.push(choice.index);
    }
    equal(JSON.stringify(streamed), JSON.stringify(texts), "texts");
    equal(ends.sort().join(), "0,1,2", "ends");
  });
  await test("openai: seeds: equal ones agree, others differ", async () => {
    const ask = async (seed) => textOf(await chat({ messages: STORY, temperature: 1.5, max_tokens: 30, seed }));
    equal(await ask(7), await ask(7), "text");
    check((await ask(7)) !== (await ask(8)) || (await ask(7)) !== (await ask(9)), "three seeds, one text");
  });
  await test("openai: logprobs and top_logprobs, whole and streamed", async () => {
    const whole = await chat({ logprobs: true, top_logprobs: 3 });
    const entries = whole.choices[0].logprobs.content;
    equal(Buffer.from(entries.flatMap((one) => one.bytes)).toString(), SUM_ANSWER, "bytes");
    const streamed = [];
    for await (const chunk of await chat({ logprobs: true, top_logprobs: 3, stream: true })) {
      streamed.push(...(chunk.choices[0].logprobs?.content ?? []));
    }
    equal(JSON.stringify(streamed), JSON.stringify(entries), "entries");
    equal(entries[0].top_logprobs.length, 3, "top_logprobs");
  });
  await test("openai: stop strings, one and several", async () => {
    const one = await chat({ stop: " = " });
    equal(textOf(one), "12 + 7", "content");
    equal(one.choices[0].finish_reason, "stop", "finish_reason");
    equal(textOf(await chat({ stop: ["zebra", "+ 7"] })), "12 ", "content");
    equal(textOf(await chat({ stop: "+ 7", include_stop_str_in_output: true })), "12 + 7", "content");
  });
  await test("openai: logit_bias decides", async () => {
    const { json } = await post(chat.server, "/tokenize", { model: "demo", prompt: "Hello", add_special_tokens: false });
    const answer = await chat({ logit_bias: { [json.tokens[0]]: 100 }, max_tokens: 1, logprobs: true });
    const back = await post(chat.server, "/detokenize", { model: "demo", tokens: [json.tokens[0]] });
    equal(answer.choices[0].logprobs.content[0].token, back.json.prompt, "token");
  });
  await test("openai: penalties change a repetitive answer", async () => {
    const ask = async (more) => textOf(await chat({ messages: STORY, ignore_eos: true, max_tokens: 60, ...more }));
    const plain = await ask({});
    check(plain !== (await ask({ presence_penalty: 2, frequency_penalty: 2 })), "OpenAI's penalties do nothing");
    check(plain !== (await ask({ repetition_penalty: 1.8 })), "repetition_penalty does nothing");
  });
  await test("openai: top_k 1 is greedy, min_p and top_p narrow", async () => {
    const hot = { temperature: 2, seed: 3 };
    equal(textOf(await chat({ ...hot, top_k: 1 })), SUM_ANSWER, "top_k");
    equal(textOf(await chat({ ...hot, top_p: 0.0001 })), SUM_ANSWER, "top_p");
    equal(textOf(await chat({ ...hot, min_p: 0.9999 })), SUM_ANSWER, "min_p");
  });
  await test("openai: max_completion_tokens, max_tokens and min_tokens", async () => {
    const cut = await chat({ max_completion_tokens: 3 });
    equal(cut.usage.completion_tokens, 3, "completion_tokens");
    equal(cut.choices[0].finish_reason, "length", "finish_reason");
    equal((await chat({ max_tokens: 2 })).usage.completion_tokens, 2, "completion_tokens");
    const plain = (await chat({})).usage.completion_tokens;
    const more = await chat({ min_tokens: plain + 5, max_tokens: plain + 9 });
    check(more.usage.completion_tokens >= plain + 5, "min_tokens does nothing");
  });
  await test("openai: what asks for nothing is accepted", async () => {
    const answer = await chat({
      user: "me", metadata: { a: "b" }, store: false, service_tier: "auto", parallel_tool_calls: true,
      response_format: { type: "text" }, prompt_cache_key: "k", safety_identifier: "s",
    });
    equal(textOf(answer), SUM_ANSWER, "content");
  });
  await test("openai: developer messages, parts of text, earlier turns", async () => {
    const answer = await chat({
      messages: [
        { role: "developer", content: "You are a helpful assistant." },
        { role: "user", content: [{ type: "text", text: "Hello!" }] },
        { role: "assistant", content: "Hello! How can I help?" },
        ...SUM,
      ],
    });
    check(textOf(answer).length > 0, "no text");
  });
  await test("openai: priorities are taken, whichever", async () => {
    for (const priority of ["urgent", "normal", "background"]) equal(textOf(await chat({ priority })), SUM_ANSWER, priority);
  });
}

async function completionCases(client) {
  const complete = (more) =>
    client.completions.create({ model: "demo", prompt: "Once upon a time", temperature: 0, max_tokens: 12, ...more });
  await test("openai: completions, whole and streamed, alike", async () => {
    const whole = await complete({});
    equal(whole.object, "text_completion", "object");
    let text = "";
    let usage;
    for await (const chunk of await complete({ stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.text ?? "";
      usage = chunk.usage ?? usage;
    }
    equal(text, whole.choices[0].text, "text");
    equal(JSON.stringify([usage.prompt_tokens, usage.completion_tokens]),
      JSON.stringify([whole.usage.prompt_tokens, whole.usage.completion_tokens]), "usage");
  });
  await test("openai: completions without max_tokens are 16 tokens long", async () => {
    equal((await complete({ max_tokens: undefined, ignore_eos: true })).usage.completion_tokens, 16, "completion_tokens");
  });
  await test("openai: completions of several prompts, several answers each", async () => {
    const answer = await complete({ prompt: ["Once", "Twice"], n: 2, seed: 1, temperature: 1, max_tokens: 4 });
    equal(answer.choices.map((one) => one.index).join(), "0,1,2,3", "indices");
  });
  await test("openai: completions of token ids agree with their text", async () => {
    const first = await complete({ logprobs: 0 });
    equal(first.choices[0].logprobs.tokens.join(""), first.choices[0].text, "tokens");
    equal(first.choices[0].logprobs.text_offset[0], 0, "text_offset");
  });
  await test("openai: models are listed and found", async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    equal(ids.join(), "demo", "ids");
    equal((await client.models.retrieve("demo")).object, "model", "object");
    check((await refusal(client.models.retrieve("no/such"))) instanceof OpenAI.NotFoundError, "class");
  });
}

async function errorCases(server, chat) {
  await test("openai: errors are the client's own classes, with param, code and our facts", async () => {
    const bad = await refusal(chat({ temperature: 9 }));
    check(bad instanceof OpenAI.BadRequestError, `class ${bad.constructor.name}`);
    equal(bad.status, 400, "status");
    equal(bad.param, "temperature", "param");
    equal(bad.type, "invalid_request_error", "type");
    equal(bad.error.retryable, false, "retryable");
    equal(bad.error.context.status, "KRS_EINVAL", "context.status");
    equal(bad.error.correlation_id, bad.headers.get("x-request-id"), "correlation_id");
    equal(bad.requestID, bad.error.correlation_id, "requestID");
    const missing = await refusal(chat({ model: "none" }));
    check(missing instanceof OpenAI.NotFoundError, `class ${missing.constructor.name}`);
    equal(missing.code, "model_not_found", "code");
  });
  await test("openai: a deadline that passes", async () => {
    const late = await refusal(chat({ messages: STORY, ignore_eos: true, timeout_ms: 1 }));
    check(late instanceof OpenAI.InternalServerError, `class ${late.constructor.name}`);
    equal(late.status, 504, "status");
    equal(late.error.retryable, true, "retryable");
  });
  await test("openai: a deadline that passes within a stream", async () => {
    const error = await refusal((async () => {
      const stream = await chat({ messages: STORY, ignore_eos: true, timeout_ms: 300, max_tokens: 100000, stream: true });
      for await (const _ of stream);
    })());
    check(error instanceof OpenAI.APIError && /deadline/i.test(error.message), error.message);
  });
  await test("openai: a prompt that the context does not hold", async () => {
    const error = await refusal(chat({ messages: user("word ".repeat(20000)) }));
    equal(error.code, "context_length_exceeded", "code");
    equal(error.param, "messages", "param");
  });
  await test("openai: refused by name", async () => {
    for (const [param, more] of [
      ["response_format", { response_format: { type: "xml" } }],
      ["tool_choice", { tool_choice: "required" }],
      ["functions", { functions: [{ name: "f" }] }],
      ["modalities", { modalities: ["text", "audio"] }],
      ["n", { n: 99 }],
      ["logit_bias", { logit_bias: { 99999999: 1 } }],
    ]) {
      equal((await refusal(chat(more))).param, param, "param");
    }
  });
  await test("unknown fields are accepted and listed", async () => {
    const body = { model: "demo", messages: SUM, max_tokens: 1, foo: 1, stream_options: null, bar: { a: 1 } };
    const { status, headers } = await post(server, "/v1/chat/completions", body);
    equal(status, 200, "status");
    const listed = [...headers].find(([name]) => /ignored/i.test(name));
    check(listed && listed[1].includes("foo") && listed[1].includes("bar"), `headers: ${JSON.stringify([...headers])}`);
  });
  await test("a key given twice is refused", async () => {
    const { status, json } = await post(server, "/v1/chat/completions",
      `{"model":"demo","messages":${JSON.stringify(SUM)},"n":1,"n":2}`);
    equal(status, 400, "status");
    check(/duplicate/.test(json.error.message), json.error.message);
  });
  await test("openai: an aborted stream ends its sequence", async () => {
    const cancelled = 'krs_requests_finished_total{finish="cancelled"}';
    const before = await metric(server, cancelled);
    const stream = await chat({ messages: STORY, ignore_eos: true, stream: true });
    let n = 0;
    for await (const _ of stream) if (++n === 5) stream.controller.abort();
    await until(async () => (await metric(server, cancelled)) === before + 1, "one more cancelled");
    await until(async () => (await metric(server, "krs_sequences_running")) === 0, "no sequence runs");
  });
}

export async function openaiCases(server) {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const chat = (more) => client.chat.completions.create({ model: "demo", temperature: 0, messages: SUM, ...more });
  chat.client = client;
  chat.server = server;
  await chatCases(chat);
  await completionCases(client);
  await errorCases(server, chat);
}
