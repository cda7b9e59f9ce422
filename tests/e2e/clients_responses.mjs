// tests/e2e/clients_responses.mjs - the responses API with the openai client.
import OpenAI from "openai";
import { check, equal, refusal, test } from "./harness.mjs";

const SUM = "What is 12 + 7?";
const SUM_ANSWER = "12 + 7 = 19.";
const SEQUENCE = [
  "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
  "response.output_text.delta", "response.output_text.done", "response.content_part.done",
  "response.output_item.done", "response.completed",
];

export async function responsesCases(server) {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const ask = (more) => client.responses.create({ model: "demo", temperature: 0, input: SUM, ...more });

  await test("responses: whole", async () => {
    const answer = await ask({ metadata: { a: "b" }, user: "me" });
    equal(answer.object, "response", "object");
    equal(answer.status, "completed", "status");
    equal(answer.output_text, SUM_ANSWER, "output_text");
    equal(answer.output[0].content[0].type, "output_text", "type");
    equal(answer.metadata.a, "b", "metadata");
    equal(answer.store, false, "store");
    equal(answer.temperature, 0, "temperature");
    equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens, "total_tokens");
  });
  await test("responses: streamed, every event in order", async () => {
    const names = [];
    let text = "";
    let sequence = 0;
    let last;
    for await (const event of await ask({ stream: true })) {
      equal(event.sequence_number, sequence++, "sequence_number");
      if (event.type === "response.output_text.delta") text += event.delta;
      if (names.at(-1) !== event.type) names.push(event.type);
      last = event;
    }
    equal(names.join(), SEQUENCE.join(), "events");
    equal(text, SUM_ANSWER, "text");
    equal(last.response.output[0].content[0].text, SUM_ANSWER, "text of the response");
    check(last.response.usage.output_tokens > 0, "usage");
  });
  await test("responses: the client's own accumulating stream", async () => {
    const final = await client.responses.stream({ model: "demo", temperature: 0, input: SUM }).finalResponse();
    equal(final.output[0].content[0].text, SUM_ANSWER, "text");
    equal(final.status, "completed", "status");
  });
  await test("responses: items, parts, instructions", async () => {
    const answer = await ask({
      instructions: "You are a helpful assistant.",
      input: [
        { role: "user", content: "Hello!" },
        { role: "assistant", content: [{ type: "output_text", text: "Hello! How can I help?", annotations: [] }] },
        { type: "message", role: "user", content: [{ type: "input_text", text: SUM }] },
      ],
    });
    check(answer.output_text.length > 0, "no text");
    equal(answer.instructions, "You are a helpful assistant.", "instructions");
  });
  await test("responses: max_output_tokens leaves it incomplete", async () => {
    const answer = await ask({ max_output_tokens: 3 });
    equal(answer.status, "incomplete", "status");
    equal(answer.incomplete_details.reason, "max_output_tokens", "reason");
    equal(answer.usage.output_tokens, 3, "output_tokens");
    let last;
    for await (const event of await ask({ max_output_tokens: 3, stream: true })) last = event;
    equal(last.type, "response.incomplete", "last event");
  });
  await test("responses: log probabilities when included", async () => {
    const answer = await ask({ include: ["message.output_text.logprobs"], top_logprobs: 2 });
    const entries = answer.output[0].content[0].logprobs;
    equal(entries.map((one) => one.token).join(""), SUM_ANSWER, "tokens");
    equal(entries[0].top_logprobs.length, 2, "top_logprobs");
  });
  await test("responses: equal seeds agree", async () => {
    const story = () => ask({ input: "Tell me a story about a fox.", temperature: 1.5, seed: 3, max_output_tokens: 20 });
    equal((await story()).output_text, (await story()).output_text, "text");
  });
  await test("responses: refused by name", async () => {
    for (const [param, more] of [
      ["previous_response_id", { previous_response_id: "resp_1" }],
      ["tools[0].type", { tools: [{ type: "web_search" }] }],
      ["text.format", { text: { format: { type: "xml" } } }],
      ["background", { background: true }],
      ["truncation", { truncation: "auto" }],
      ["input[0].content[0]", { input: [{ role: "user", content: [{ type: "input_image", image_url: "x", detail: "auto" }] }] }],
    ]) {
      const error = await refusal(ask(more));
      check(error instanceof OpenAI.BadRequestError, `class ${error.constructor.name}`);
      equal(error.param, param, "param");
    }
  });
  await test("responses: a prompt that the context does not hold", async () => {
    const error = await refusal(ask({ input: "word ".repeat(20000) }));
    equal(error.code, "context_length_exceeded", "code");
    equal(error.param, "input", "param");
  });
  await test("responses: a deadline within a stream fails the response", async () => {
    let last;
    const stream = await ask({
      input: "Tell me a story.", ignore_eos: true, timeout_ms: 300, max_output_tokens: 100000, stream: true });
    for await (const event of stream) last = event;
    equal(last.type, "response.failed", "last event");
    equal(last.response.error.code, "server_error", "code");
  });
}
