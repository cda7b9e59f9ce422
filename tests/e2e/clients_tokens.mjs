// tests/e2e/clients_tokens.mjs - embeddings with the openai client; /tokenize and /detokenize.
import OpenAI from "openai";
import { check, equal, post, refusal, test } from "./harness.mjs";

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

async function embeddingCases(client) {
  const embed = (input, more) => client.embeddings.create({ model: "demo", input, ...more });
  await test("embeddings: a text is a vector of length one", async () => {
    const answer = await embed("a red fox");
    equal(answer.object, "list", "object");
    equal(answer.data.length, 1, "vectors");
    check(Math.abs(dot(answer.data[0].embedding, answer.data[0].embedding) - 1) < 1e-3, "length");
    check(answer.usage.prompt_tokens > 0 && answer.usage.total_tokens === answer.usage.prompt_tokens, "usage");
  });
  await test("embeddings: base64 and floats are the same numbers", async () => {
    const packed = (await embed("a red fox")).data[0].embedding; // the client asks for base64 by itself
    const plain = (await embed("a red fox", { encoding_format: "float" })).data[0].embedding;
    equal(packed.length, plain.length, "dimensions");
    check(packed.every((x, i) => x === Math.fround(plain[i])), "numbers");
  });
  await test("embeddings: many texts come back in order, as alone", async () => {
    const texts = Array.from({ length: 40 }, (_, i) => `text number ${i}`);
    const all = await embed(texts);
    equal(all.data.map((one) => one.index).join(), texts.map((_, i) => i).join(), "indices");
    const alone = (await embed(texts[7])).data[0].embedding;
    check(all.data[7].embedding.every((x, i) => x === alone[i]), "a text alone differs");
    check(dot(all.data[7].embedding, all.data[8].embedding) < 0.999999, "two texts, one vector");
  });
  await test("embeddings: more texts than the queue holds", async () => {
    const all = await embed(Array.from({ length: 300 }, (_, i) => `${i}`));
    equal(all.data.length, 300, "vectors");
  });
  await test("embeddings: token ids", async () => {
    const answer = await embed([[5, 6, 7], [8, 9]]);
    equal(answer.data.length, 2, "vectors");
    equal(answer.usage.prompt_tokens, 5, "prompt_tokens");
  });
  await test("embeddings: fewer dimensions", async () => {
    const answer = await embed("a red fox", { dimensions: 8 });
    equal(answer.data[0].embedding.length, 8, "dimensions");
    check(Math.abs(dot(answer.data[0].embedding, answer.data[0].embedding) - 1) < 1e-3, "length");
  });
  await test("embeddings: refused by name", async () => {
    for (const [param, input, more] of [
      ["input", "", {}], ["input", [], {}], ["dimensions", "a", { dimensions: 1000000 }],
      ["encoding_format", "a", { encoding_format: "int8" }],
    ]) {
      const error = await refusal(embed(input, more));
      check(error instanceof OpenAI.BadRequestError, `class ${error.constructor.name}`);
      equal(error.param, param, "param");
    }
  });
  await test("embeddings: a text that the context does not hold", async () => {
    equal((await refusal(embed("word ".repeat(20000)))).param, "input", "param");
  });
}

export async function tokenCases(server) {
  await embeddingCases(new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 }));
  const text = "A fox, 🦊 and é.";
  await test("tokenize and detokenize are each other's inverse", async () => {
    const there = await post(server, "/tokenize", { model: "demo", prompt: text, add_special_tokens: false });
    equal(there.status, 200, "status");
    equal(there.json.count, there.json.tokens.length, "count");
    check(there.json.max_model_len > 0, "max_model_len");
    equal(there.json.token_strs, null, "token_strs");
    const back = await post(server, "/detokenize", { model: "demo", tokens: there.json.tokens });
    equal(back.json.prompt, text, "prompt");
  });
  await test("tokenize tells the pieces when asked", async () => {
    const { json } = await post(server, "/tokenize", {
      model: "demo", prompt: "A fox.", add_special_tokens: false, return_token_strs: true });
    equal(json.token_strs.join(""), "A fox.", "token_strs");
  });
  await test("tokenize counts a chat as a chat does", async () => {
    const messages = [{ role: "user", content: "What is 12 + 7?" }];
    const { json } = await post(server, "/tokenize", { model: "demo", messages });
    const chat = await post(server, "/v1/chat/completions", { model: "demo", messages, max_tokens: 1 });
    equal(json.count, chat.json.usage.prompt_tokens, "count");
  });
  await test("tokenize and detokenize refuse by name", async () => {
    equal((await post(server, "/tokenize", { model: "demo" })).json.error.param, "prompt", "param");
    equal((await post(server, "/detokenize", { model: "demo", tokens: [-1] })).json.error.param, "tokens", "param");
    equal((await post(server, "/tokenize", { model: "none", prompt: "a" })).status, 404, "status");
  });
}
