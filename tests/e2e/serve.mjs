// tests/e2e/serve.mjs KRS - see serve.sh. One server for all cases, then one more for Ctrl-C.
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import OpenAI from "openai";
import { check, equal, finish, get, metric, refusal, start as startServer, test, until } from "./harness.mjs";

const krs = process.argv[2];
const user = (content) => [{ role: "user", content }];
const SUM = user("What is 12 + 7?");
const SUM_ANSWER = "12 + 7 = 19.";

/** Start a server and a client of it. */
async function start(...options) {
  const server = await startServer(krs, ...options);
  server.client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  return server;
}

async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? chunk.choices[0]?.text ?? "";
  return text;
}

async function chatCases(server) {
  const { client } = server;
  const chat = (more) => client.chat.completions.create({ model: "demo", temperature: 0, messages: SUM, ...more });

  await test("chat streams, with usage at the end", async () => {
    let text = "";
    let finish, usage, role;
    for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
      const choice = chunk.choices[0];
      role ??= choice?.delta?.role;
      text += choice?.delta?.content ?? "";
      finish ??= choice?.finish_reason ?? undefined;
      usage = chunk.usage ?? usage;
    }
    equal(text, SUM_ANSWER, "text");
    equal(role, "assistant", "role");
    equal(finish, "stop", "finish_reason");
    check(usage.prompt_tokens > 0 && usage.completion_tokens > 0, "usage is empty");
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens");
  });
  await test("chat answers whole", async () => {
    const answer = await chat({});
    equal(answer.object, "chat.completion", "object");
    equal(answer.choices[0].message.content, SUM_ANSWER, "content");
    equal(answer.choices[0].finish_reason, "stop", "finish_reason");
  });
  await test("max_tokens ends an answer with length", async () => {
    const answer = await chat({ max_tokens: 3 });
    equal(answer.choices[0].finish_reason, "length", "finish_reason");
    equal(answer.usage.completion_tokens, 3, "completion_tokens");
  });
  await test("a stop string ends an answer and is left out", async () => {
    const answer = await chat({ stop: " = " });
    equal(answer.choices[0].message.content, "12 + 7", "content");
    equal(answer.choices[0].finish_reason, "stop", "finish_reason");
  });
  await test("equal seeds give equal answers, choices differ", async () => {
    const more = { temperature: 1.5, seed: 5, n: 3, max_tokens: 40, messages: user("Tell me a story about a fox.") };
    const texts = async () => (await chat(more)).choices.map((one) => one.message.content);
    const first = await texts();
    equal(JSON.stringify(await texts()), JSON.stringify(first), "texts");
    check(new Set(first).size > 1, "all choices are the same");
  });
  await test("log probabilities add up to the text", async () => {
    const answer = await chat({ logprobs: true, top_logprobs: 3 });
    const entries = answer.choices[0].logprobs.content;
    const bytes = Buffer.from(entries.flatMap((one) => one.bytes));
    equal(bytes.toString(), SUM_ANSWER, "bytes");
    for (const one of entries) {
      equal(one.top_logprobs.length, 3, "top_logprobs");
      equal(one.top_logprobs[0].token, one.token, "greedy takes the best");
      check(one.logprob <= 0 && one.top_logprobs[0].logprob >= one.top_logprobs[1].logprob, "order");
    }
  });
  await test("tools reach the template; the call comes back as a call", async () => {
    const tools = [{
      type: "function",
      function: {
        name: "get_weather",
        description: "Get the weather of a city.",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      },
    }];
    const without = await chat({ messages: user("What is the weather in Oslo?") });
    const withTools = await chat({ messages: user("What is the weather in Oslo?"), tools });
    check(withTools.usage.prompt_tokens > without.usage.prompt_tokens, "the prompt did not grow");
    const { message, finish_reason } = withTools.choices[0];
    equal(message.tool_calls?.length, 1, "tool_calls");
    equal(message.tool_calls[0].function.name, "get_weather", "name");
    equal(typeof JSON.parse(message.tool_calls[0].function.arguments).city, "string", "city");
    equal(finish_reason, "tool_calls", "finish_reason");
  });
  await test("12 chats at once get the bytes they get alone", async () => {
    const questions = ["What is 58 + 34?", "What is the capital of Norway?", "Spell happy.", "Hello!"];
    const ask = async (question, stream) => {
      const answer = await chat({ messages: user(question), stream });
      return stream ? textOf(answer) : answer.choices[0].message.content;
    };
    const alone = [];
    for (const question of questions) alone.push(await ask(question, false));
    const all = await Promise.all(Array.from({ length: 12 }, (_, i) => ask(questions[i % 4], i % 2 === 0)));
    all.forEach((text, i) => equal(text, alone[i % 4], `answer ${i}`));
  });
}

async function otherCases(server) {
  const { client } = server;
  await test("completion streams and answers whole, alike", async () => {
    const more = { model: "demo", prompt: "Once upon a time", max_tokens: 12, temperature: 0 };
    const whole = await client.completions.create(more);
    equal(whole.object, "text_completion", "object");
    check(whole.choices[0].text.length > 0, "no text");
    equal(await textOf(await client.completions.create({ ...more, stream: true })), whole.choices[0].text, "text");
  });
  await test("completions: the chosen token is among its top_logprobs, however unlikely", async () => {
    const answer = await client.completions.create({
      model: "demo", prompt: [1, 2, 3], max_tokens: 1, temperature: 0, logprobs: 2, logit_bias: { 5: 100 },
    });
    const { tokens, top_logprobs } = answer.choices[0].logprobs;
    equal(Object.keys(top_logprobs[0]).length, 3, "names");
    check(tokens[0] in top_logprobs[0], "the chosen token is missing");
  });

  await test("completion takes several prompts and ids", async () => {
    const answer = await client.completions.create({
      model: "demo", prompt: [[1, 2, 3], [4, 5]], max_tokens: 2, temperature: 0, ignore_eos: true });
    equal(answer.choices.length, 2, "choices");
    equal(answer.usage.prompt_tokens, 5, "prompt_tokens");
    equal(answer.usage.completion_tokens, 4, "completion_tokens");
  });
  await test("models are listed and found", async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    equal(ids.join(), "demo", "ids");
    equal((await client.models.retrieve("demo")).id, "demo", "id");
    equal((await refusal(client.models.retrieve("no/such"))).status, 404, "status");
  });
  await test("health, readiness and version", async () => {
    equal((await get(server, "/health/live")).status, 200, "live");
    equal((await get(server, "/health/ready")).status, 200, "ready");
    equal(JSON.parse((await get(server, "/version")).text).name, "kr-serve", "name");
  });
  await test("curl streams", async () => {
    const body = JSON.stringify({ model: "demo", temperature: 0, stream: true, messages: SUM });
    const run = spawnSync("curl", ["-sSN", "--max-time", "60", `${server.url}/v1/chat/completions`,
      "-H", "Content-Type: application/json", "-d", body], { encoding: "utf8" });
    equal(run.status, 0, "exit code of curl");
    const events = run.stdout.trim().split("\n\n");
    equal(events.at(-1), "data: [DONE]", "last event");
    const text = events.slice(0, -1).map((one) => JSON.parse(one.slice(6)).choices[0].delta.content ?? "").join("");
    equal(text, SUM_ANSWER, "text");
  });
}

async function errorCases(server) {
  const { client } = server;
  const chat = (more) => client.chat.completions.create({ model: "demo", messages: SUM, ...more });
  const cases = [
    ["unknown model", { model: "no-such-model" }, 404, "model", "model_not_found"],
    ["temperature out of range", { temperature: 9 }, 400, "temperature", null],
    ["a message without content", { messages: [{ role: "user" }] }, 400, "messages[0].content", null],
    ["an image part", { messages: user([{ type: "image_url", image_url: { url: "x" } }]) }, 400,
      "messages[0].content", null],
    ["an unknown form", { response_format: { type: "xml" } }, 400, "response_format", null],
    ["a schema that is none", { response_format: { type: "json_schema", json_schema: { name: "a", schema: { type: "objekt" } } } },
      400, "response_format", null],
    ["forced tool choice", { tool_choice: "required" }, 400, "tool_choice", null],
    ["top_logprobs alone", { top_logprobs: 2 }, 400, "top_logprobs", null],
  ];
  for (const [name, more, status, param, code] of cases) {
    await test(`refused: ${name}`, async () => {
      const error = await refusal(chat(more));
      equal(error.status, status, "status");
      equal(error.param, param, "param");
      equal(error.code, code, "code");
    });
  }
  for (const stream of [false, true]) {
    await test(`refused: a prompt that is too long (stream: ${stream})`, async () => {
      const error = await refusal(chat({ messages: user("word ".repeat(20000)), stream }));
      check(error.status === 400 || error.status === 413, `status ${error.status}`);
      check(/\d/.test(error.message), `no numbers in "${error.message}"`);
    });
  }
  await test("refused: a body that is no JSON", async () => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: "{" });
    equal(response.status, 400, "status");
    equal((await response.json()).error.type, "invalid_request_error", "type");
  });
  await test("refused: a timeout that passes", async () => {
    const error = await refusal(chat({ messages: user("Tell me a story."), ignore_eos: true, timeout_ms: 1 }));
    equal(error.status, 504, "status");
    equal(error.param, "timeout_ms", "param");
  });
}

async function abandonCases(server) {
  const long = { model: "demo", messages: user("Tell me a story."), ignore_eos: true };
  const cancelled = 'krs_requests_finished_total{finish="cancelled"}';
  const isIdle = async () => (await metric(server, "krs_sequences_running")) === 0;
  await test("abort mid-stream ends the sequence", async () => {
    const before = await metric(server, cancelled);
    const stream = await server.client.chat.completions.create({ ...long, stream: true });
    let n = 0;
    for await (const _ of stream) if (++n === 5) break; // leaving the loop aborts the request
    await until(async () => (await metric(server, cancelled)) === before + 1, "one more cancelled");
    await until(isIdle, "no sequence runs");
  });
  await test("a client that vanishes before a whole answer ends it", async () => {
    const before = await metric(server, cancelled);
    const body = JSON.stringify(long);
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    await until(async () => (await metric(server, "krs_sequences_running")) === 1, "the sequence runs");
    socket.resetAndDestroy();
    await until(async () => (await metric(server, cancelled)) === before + 1, "one more cancelled");
    await until(isIdle, "no sequence runs");
  });
}

async function drainCases() {
  await test("SIGINT drains: the answer finishes, exit code 0", async () => {
    const server = await start("--drain-ms", "60000");
    const stream = await server.client.chat.completions.create({
      model: "demo", messages: user("Tell me a story."), ignore_eos: true, max_tokens: 200, stream: true });
    let finish;
    let n = 0;
    for await (const chunk of stream) {
      if (++n === 3) server.child.kill("SIGINT");
      finish ??= chunk.choices[0]?.finish_reason ?? undefined;
    }
    equal(finish, "length", "finish_reason");
    equal((await server.ended).code, 0, "exit code");
  });
  await test("SIGTERM twice cuts the drain short, exit code 0", async () => {
    const server = await start("--drain-ms", "600000");
    const stream = await server.client.chat.completions.create({
      model: "demo", messages: user("Tell me a story."), ignore_eos: true, stream: true });
    const error = await refusal((async () => {
      let n = 0;
      let isSecondSent = false;
      for await (const _ of stream) {
        if (++n === 3) server.child.kill("SIGTERM");
        // Two signals of a kind that wait together are one: the second goes when the first has been seen.
        if (!isSecondSent && server.log.includes("server.draining")) {
          isSecondSent = server.child.kill("SIGTERM");
        }
      }
    })());
    check(/cancelled by the server/.test(error.message), `error is "${error.message}"`);
    equal((await server.ended).code, 0, "exit code");
  });
}

/** Nobody reads the log: lines are lost, answers are not. */
async function unreadLogCases() {
  const server = await start("--log-level", "debug");
  server.child.stderr.pause();
  await test("a log that nobody reads stops nothing", async () => {
    for (let i = 0; i < 4000; i++) equal((await get(server, "/version")).status, 200, "status");
  });
  server.child.stderr.resume();
  await test("lost log lines are counted", () =>
    until(async () => {
      await get(server, "/version");
      return /\d+ log lines were lost here/.test(server.log);
    }, "a note of lost lines"));
  server.child.kill("SIGTERM");
  await server.ended;
}

const server = await start("--io-threads", "2");
await chatCases(server);
await otherCases(server);
await errorCases(server);
await abandonCases(server);
server.child.kill("SIGINT");
await test("an idle server stops with exit code 0", async () => equal((await server.ended).code, 0, "exit code"));
await drainCases();
await unreadLogCases();
finish();
