// tests/e2e/clients_anthropic.mjs - the messages API with Anthropic's client.
import Anthropic from "@anthropic-ai/sdk";
import { check, equal, metric, post, refusal, test, until } from "./harness.mjs";

const user = (content) => [{ role: "user", content }];
const SUM = user("What is 12 + 7?");
const SUM_ANSWER = "12 + 7 = 19.";

export async function anthropicCases(server) {
  const client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  const ask = (more) => client.messages.create({ model: "demo", max_tokens: 50, temperature: 0, messages: SUM, ...more });

  await test("anthropic: whole", async () => {
    const answer = await ask({});
    equal(answer.type, "message", "type");
    equal(answer.role, "assistant", "role");
    equal(answer.content[0].text, SUM_ANSWER, "text");
    equal(answer.stop_reason, "end_turn", "stop_reason");
    equal(answer.stop_sequence, null, "stop_sequence");
    check(answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 0, "input_tokens");
    check(answer.usage.output_tokens > 0, "output_tokens");
  });
  await test("anthropic: streamed, every event in order", async () => {
    const names = [];
    let text = "";
    let start, delta;
    for await (const event of await ask({ stream: true })) {
      if (event.type === "message_start") start = event.message;
      if (event.type === "content_block_delta") text += event.delta.text;
      if (event.type === "message_delta") delta = event;
      if (names.at(-1) !== event.type) names.push(event.type);
    }
    equal(names.join(),
      "message_start,content_block_start,content_block_delta,content_block_stop,message_delta,message_stop", "events");
    equal(text, SUM_ANSWER, "text");
    equal(delta.delta.stop_reason, "end_turn", "stop_reason");
    const read = (usage) => usage.input_tokens + usage.cache_read_input_tokens;
    check(read(start.usage) > 0, "the start does not know the prompt");
    equal(read(delta.usage), read(start.usage), "tokens of the prompt");
  });
  await test("anthropic: the client's own accumulating stream", async () => {
    const stream = client.messages.stream({ model: "demo", max_tokens: 50, temperature: 0, messages: SUM });
    equal(await stream.finalText(), SUM_ANSWER, "text");
    const message = await stream.finalMessage();
    equal(message.stop_reason, "end_turn", "stop_reason");
    check(message.usage.output_tokens > 0, "output_tokens");
  });
  await test("anthropic: stop_sequences, and which one it was", async () => {
    const answer = await ask({ stop_sequences: ["zebra", " = "] });
    equal(answer.content[0].text, "12 + 7", "text");
    equal(answer.stop_reason, "stop_sequence", "stop_reason");
    equal(answer.stop_sequence, " = ", "stop_sequence");
    const message = await client.messages.stream({
      model: "demo", max_tokens: 50, temperature: 0, messages: SUM, stop_sequences: [" = "] }).finalMessage();
    equal(message.stop_sequence, " = ", "stop_sequence of a stream");
  });
  await test("anthropic: max_tokens cuts", async () => {
    const answer = await ask({ max_tokens: 3 });
    equal(answer.stop_reason, "max_tokens", "stop_reason");
    equal(answer.usage.output_tokens, 3, "output_tokens");
  });
  await test("anthropic: system as a string and as blocks", async () => {
    const text = "You are a helpful assistant.";
    const plain = await ask({ system: text });
    const blocks = await ask({ system: [{ type: "text", text, cache_control: { type: "ephemeral" } }] });
    equal(blocks.content[0].text, plain.content[0].text, "text");
    const total = (usage) => usage.input_tokens + usage.cache_read_input_tokens;
    equal(total(blocks.usage), total(plain.usage), "tokens of the prompt");
    check(total(plain.usage) !== total((await ask({})).usage), "the system prompt is not in the prompt");
  });
  await test("anthropic: blocks of text, earlier turns, metadata, top_k", async () => {
    const answer = await ask({
      messages: [...user("Hello!"), { role: "assistant", content: [{ type: "text", text: "Hello! How can I help?" }] },
        ...user([{ type: "text", text: "What is" }, { type: "text", text: "12 + 7?" }])],
      metadata: { user_id: "me" }, top_k: 1, temperature: 1, service_tier: "auto",
    });
    check(answer.content[0].text.length > 0, "no text");
  });
  await test("anthropic: count_tokens agrees with what a message costs", async () => {
    const counted = await client.messages.countTokens({ model: "demo", messages: SUM, system: "Be kind." });
    const { usage } = await ask({ system: "Be kind.", max_tokens: 1 });
    equal(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens, "input_tokens");
  });
  await test("anthropic: errors are the client's own classes", async () => {
    const bad = await refusal(ask({ temperature: 1.5 }));
    check(bad instanceof Anthropic.BadRequestError, `class ${bad.constructor.name}`);
    equal(bad.error.type, "error", "type");
    equal(bad.error.error.type, "invalid_request_error", "type of the error");
    equal(bad.error.error.param, "temperature", "param");
    check(bad.requestID && bad.requestID === bad.error.error.correlation_id, `requestID ${bad.requestID}`);
    equal(bad.error.request_id, bad.requestID, "request_id");
    check((await refusal(ask({ model: "none" }))) instanceof Anthropic.NotFoundError, "class of a missing model");
    check((await refusal(ask({ tools: [{ name: "f", input_schema: "object" }] }))) instanceof
      Anthropic.BadRequestError, "class of tools");
    check((await refusal(ask({ messages: [...SUM, { role: "assistant", content: "12" }] }))) instanceof
      Anthropic.BadRequestError, "class of a text to go on with");
  });
  await test("anthropic: max_tokens is required", async () => {
    const { status, json } = await post(server, "/v1/messages", { model: "demo", messages: SUM },
      { "anthropic-version": "2023-06-01", "x-api-key": "none" });
    equal(status, 400, "status");
    equal(json.type, "error", "type");
    equal(json.error.param, "max_tokens", "param");
  });
  await test("anthropic: a deadline within a stream is an error event", async () => {
    const error = await refusal((async () => {
      const stream = await ask({
        messages: user("Tell me a story."), max_tokens: 4000, ignore_eos: true, timeout_ms: 300, stream: true });
      for await (const _ of stream);
    })());
    check(error instanceof Anthropic.APIError, `class ${error.constructor.name}: ${error.message}`);
    equal(error.error.error.type, "timeout_error", "type");
  });
  await test("anthropic: an aborted stream ends its sequence", async () => {
    const cancelled = 'krs_requests_finished_total{finish="cancelled"}';
    const before = await metric(server, cancelled);
    const stream = client.messages.stream({ model: "demo", max_tokens: 4000, messages: user("Tell me a story."), ignore_eos: true });
    let n = 0;
    for await (const _ of stream) if (++n === 5) break;
    stream.abort();
    await until(async () => (await metric(server, cancelled)) === before + 1, "one more cancelled");
  });
}
