// tests/e2e/clients_tools.mjs - agent loops: a model that calls tools, a client that runs them and tells it the
// results. The openai client's runTools, the ai SDK, and the other APIs' own ways. What is asked is what the
// demo model learned; what it makes of a result is its own affair.
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { check, equal, test } from "./harness.mjs";

const WEATHER = "What is the weather in Paris?";
const SUM = "Add 12 and 7 with the tool.";

const weatherSchema = {
  type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false,
};
const addSchema = {
  type: "object", properties: { a: { type: "integer" }, b: { type: "integer" } }, required: ["a", "b"],
  additionalProperties: false,
};

/** The tools, and a list of what they were asked. */
function desk() {
  const seen = [];
  const run = {
    get_weather: ({ city }) => (seen.push(`get_weather ${city}`), JSON.stringify({ city, sky: "sunny", degrees: 18 })),
    add: ({ a, b }) => (seen.push(`add ${a} ${b}`), String(a + b)),
  };
  return { seen, run };
}

const descriptions = { get_weather: "Get the weather of a city", add: "Add two numbers" };
const schemas = { get_weather: weatherSchema, add: addSchema };
const names = Object.keys(schemas);

async function openaiLoops(client) {
  const tools = (run) => names.map((name) => ({
    type: "function",
    function: { name, description: descriptions[name], parameters: schemas[name], function: run[name], parse: JSON.parse },
  }));
  for (const [question, asked] of [[WEATHER, "get_weather Paris"], [SUM, "add 12 7"]]) {
    for (const stream of [false, true]) {
      await test(`tools: openai runTools${stream ? ", streamed" : ""}: ${asked}`, async () => {
        const { seen, run } = desk();
        const runner = client.chat.completions.runTools({
          model: "demo", temperature: 0, max_tokens: 60, stream, tools: tools(run),
          messages: [{ role: "user", content: question }],
        }, { maxChatCompletions: 4 });
        const text = await runner.finalContent();
        equal(seen[0], asked, "the first call");
        check(typeof text === "string" && text.length > 0, `final content: ${text}`);
        const call = runner.messages.find((one) => one.tool_calls)?.tool_calls[0];
        check(/^call_[0-9a-f]{16}$/.test(call.id), `id: ${call.id}`);
        equal(runner.messages.find((one) => one.role === "tool").tool_call_id, call.id, "tool_call_id");
      });
    }
  }
}

async function sdkLoops(server) {
  const provider = createOpenAICompatible({ name: "kr-serve", baseURL: `${server.url}/v1`, includeUsage: true });
  const tools = (run) => Object.fromEntries(names.map((name) => [name, tool({
    description: descriptions[name], inputSchema: jsonSchema(schemas[name]), execute: async (input) => run[name](input),
  })]));
  const options = (question, run) => ({
    model: provider("demo"), temperature: 0, maxOutputTokens: 60, prompt: question, tools: tools(run),
    stopWhen: stepCountIs(4), maxRetries: 0,
  });
  for (const [question, asked] of [[WEATHER, "get_weather Paris"], [SUM, "add 12 7"]]) {
    await test(`tools: ai SDK generateText: ${asked}`, async () => {
      const { seen, run } = desk();
      const result = await generateText(options(question, run));
      equal(seen[0], asked, "the first call");
      equal(result.steps[0].finishReason, "tool-calls", "finishReason of the first step");
      check(result.steps.length > 1 && result.text.length > 0, `text: ${result.text}`);
    });
    await test(`tools: ai SDK streamText: ${asked}`, async () => {
      const { seen, run } = desk();
      const kinds = new Set();
      const result = streamText(options(question, run));
      for await (const part of result.fullStream) {
        kinds.add(part.type);
        check(part.type !== "error", `error: ${part.error}`);
      }
      equal(seen[0], asked, "the first call");
      for (const kind of ["tool-input-start", "tool-input-delta", "tool-call", "tool-result", "text-delta"]) {
        check(kinds.has(kind), `no ${kind} in ${[...kinds]}`);
      }
    });
  }
}

/** Whatever the model would rather say: a call comes, and its arguments are what the schema allows. */
async function demandedCalls(client) {
  const tools = names.map((name) => ({
    type: "function", function: { name, description: descriptions[name], parameters: schemas[name] },
  }));
  const named = (name) => ({ type: "function", function: { name } });
  for (const [what, tool_choice] of [["required", "required"], ["add", named("add")], ["weather", named("get_weather")]]) {
    await test(`tools: tool_choice, ${what}, whatever is asked, at any heat`, async () => {
      for (let seed = 1; seed <= 6; seed++) {
        const { choices: [choice] } = await client.chat.completions.create({
          model: "demo", temperature: 1.5, seed, max_tokens: 400, tools, tool_choice, parallel_tool_calls: false,
          messages: [{ role: "user", content: "Tell me a story about a fox." }],
        });
        if (choice.finish_reason === "length") continue; // a long name of a city, cut short
        equal(choice.finish_reason, "tool_calls", "finish_reason");
        equal(choice.message.tool_calls.length, 1, "calls");
        const { name, arguments: text } = choice.message.tool_calls[0].function;
        check(what === "required" || name === tool_choice.function.name, `name: ${name}`);
        const input = JSON.parse(text);
        equal(Object.keys(input).join(), Object.keys(schemas[name].properties).join(), "members");
        check(name === "add" ? Number.isInteger(input.a) && Number.isInteger(input.b) : typeof input.city === "string", text);
      }
    });
  }
}

async function responsesLoop(client) {
  const tools = names.map((name) => ({
    type: "function", name, description: descriptions[name], parameters: schemas[name], strict: false,
  }));
  await test("tools: responses, a call and its output", async () => {
    const input = [{ role: "user", content: SUM }];
    const ask = { model: "demo", temperature: 0, max_output_tokens: 60, tools };
    const first = await client.responses.create({ ...ask, input });
    const call = first.output.find((item) => item.type === "function_call");
    equal(`${call.name} ${call.arguments}`, 'add {"a": 12, "b": 7}', "call");
    equal(first.tools.length, 2, "tools repeated");
    input.push(...first.output, { type: "function_call_output", call_id: call.call_id, output: "19" });
    const second = await client.responses.create({ ...ask, input });
    check(second.output_text.length > 0, "no text");
  });
  await test("tools: responses, streamed by the client's own helper", async () => {
    const deltas = [];
    const stream = client.responses.stream({
      model: "demo", temperature: 0, max_output_tokens: 60, tools, input: WEATHER,
    }).on("response.function_call_arguments.delta", (event) => deltas.push(event.delta));
    const { output } = await stream.finalResponse();
    equal(output[0].name, "get_weather", "name");
    equal(output[0].arguments, '{"city": "Paris"}', "arguments");
    equal(deltas.join(""), output[0].arguments, "deltas");
  });
}

async function messagesLoop(server) {
  const client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
  const tools = names.map((name) => ({ name, description: descriptions[name], input_schema: schemas[name] }));
  const ask = { model: "demo", temperature: 0, max_tokens: 60, tools };
  await test("tools: messages, a call and its result", async () => {
    const messages = [{ role: "user", content: SUM }];
    const first = await client.messages.create({ ...ask, messages });
    equal(first.stop_reason, "tool_use", "stop_reason");
    const call = first.content.find((block) => block.type === "tool_use");
    equal(JSON.stringify([call.name, call.input]), '["add",{"a":12,"b":7}]', "call");
    messages.push({ role: "assistant", content: first.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "19" }] });
    const second = await client.messages.create({ ...ask, messages });
    check(second.content.length > 0, "no content");
  });
  await test("tools: messages, streamed by the client's own helper", async () => {
    const pieces = [];
    const final = await client.messages.stream({ ...ask, messages: [{ role: "user", content: WEATHER }] })
      .on("inputJson", (piece) => pieces.push(piece)).finalMessage();
    equal(final.stop_reason, "tool_use", "stop_reason");
    equal(JSON.stringify(final.content[0].input), '{"city":"Paris"}', "input");
    equal(pieces.join(""), '{"city": "Paris"}', "pieces");
  });
}

export async function toolCases(server) {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  await openaiLoops(client);
  await sdkLoops(server);
  await demandedCalls(client);
  await responsesLoop(client);
  await messagesLoop(server);
}
