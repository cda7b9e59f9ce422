// tests/e2e/clients_encoder.mjs - a server whose model is an encoder with a WordPiece tokenizer: embeddings with
// the openai client, and what such a server refuses.
import OpenAI from "openai";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { check, equal, post, refusal, startModel, test } from "./harness.mjs";

const POSITIONS = 128;
const CONFIG = {
  architectures: ["BertModel"], model_type: "bert", vocab_size: 30522, hidden_size: 48, intermediate_size: 96,
  num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: POSITIONS, type_vocab_size: 2,
  layer_norm_eps: 1e-12, hidden_act: "gelu", pad_token_id: 0, torch_dtype: "bfloat16",
};
const MODULE = "sentence_transformers.models.";

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

/** A folder as sentence-transformers lays it out, of random weights. */
function makeFolder(krs, root) {
  const folder = join(root, "tiny-bert");
  writeFileSync(join(root, "config.json"), JSON.stringify(CONFIG));
  const made = spawnSync(krs, ["synth", "-q", "--config", join(root, "config.json"), "--seed", "9", folder]);
  check(made.status === 0, `krs synth: ${made.stderr}`);
  const tokenizer = new URL("../data/tokenizers/bert-base-uncased/tokenizer.json.gz", import.meta.url);
  writeFileSync(join(folder, "tokenizer.json"), gunzipSync(readFileSync(tokenizer)));
  mkdirSync(join(folder, "1_Pooling"));
  writeFileSync(join(folder, "1_Pooling/config.json"), JSON.stringify({ pooling_mode_cls_token: true }));
  writeFileSync(join(folder, "modules.json"), JSON.stringify([
    { idx: 0, path: "", type: `${MODULE}Transformer` }, { idx: 1, path: "1_Pooling", type: `${MODULE}Pooling` },
    { idx: 2, path: "2_Normalize", type: `${MODULE}Normalize` }]));
  return folder;
}

async function cases(server, krs, folder) {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const embed = (input, more) => client.embeddings.create({ model: "tiny-bert", input, ...more });
  await test("encoder: a text is a vector of length one, with [CLS] and [SEP]", async () => {
    const answer = await embed("a red fox");
    equal(answer.model, "tiny-bert", "model");
    equal(answer.data[0].embedding.length, CONFIG.hidden_size, "dimensions");
    check(Math.abs(dot(answer.data[0].embedding, answer.data[0].embedding) - 1) < 1e-3, "length");
    equal(answer.usage.prompt_tokens, 5, "prompt_tokens");
  });
  await test("encoder: many texts of mixed lengths come back in order, as alone", async () => {
    const texts = Array.from({ length: 60 }, (_, i) => `text ${i} ${"and more ".repeat((i * 7) % 50)}`);
    const all = await embed(texts);
    equal(all.data.map((one) => one.index).join(), texts.map((_, i) => i).join(), "indices");
    for (const i of [0, 7, 21, 43]) {
      const alone = (await embed(texts[i])).data[0].embedding;
      check(all.data[i].embedding.every((x, k) => x === alone[k]), `text ${i} alone differs`);
    }
    check(dot(all.data[7].embedding, all.data[8].embedding) < 0.999999, "two texts, one vector");
  });
  await test("encoder: krs embed gives the same numbers", async () => {
    const served = (await embed("a red fox", { encoding_format: "float" })).data[0].embedding;
    const printed = JSON.parse(spawnSync(krs, ["embed", "-q", "--model", folder, "a red fox"]).stdout);
    check(served.every((x, i) => Math.fround(x) === Math.fround(printed[i])), "numbers");
  });
  await test("encoder: base64, floats and fewer dimensions", async () => {
    const packed = (await embed("a red fox")).data[0].embedding;
    const plain = (await embed("a red fox", { encoding_format: "float" })).data[0].embedding;
    check(packed.every((x, i) => x === Math.fround(plain[i])), "numbers");
    const short = (await embed("a red fox", { dimensions: 8 })).data[0].embedding;
    equal(short.length, 8, "dimensions");
    check(Math.abs(dot(short, short) - 1) < 1e-3, "length");
  });
  await test("encoder: a longer text than it has positions is refused with both numbers", async () => {
    const error = await refusal(embed("word ".repeat(200)));
    equal(error.param, "input", "param");
    equal(error.status, 413, "status");
    check(/202 tokens, want at most 128/.test(error.message), error.message);
    equal((await embed("word ".repeat(POSITIONS - 2))).usage.prompt_tokens, POSITIONS, "prompt_tokens");
  });
  await test("encoder: answers are refused, naming the model and what it gives", async () => {
    for (const ask of [
      () => client.chat.completions.create({ model: "tiny-bert", messages: [{ role: "user", content: "Hi" }] }),
      () => client.completions.create({ model: "tiny-bert", prompt: "Hi" }),
      () => client.responses.create({ model: "tiny-bert", input: "Hi" }),
    ]) {
      const error = await refusal(ask());
      check(error.status >= 400 && error.status < 500, `status ${error.status}`);
      check(/tiny-bert \(bert\) gives embeddings, not answers/.test(error.message), error.message);
    }
  });
  await test("encoder: tokenize", async () => {
    const { json } = await post(server, "/tokenize", { model: "tiny-bert", prompt: "a red fox" });
    equal(json.tokens.join(), "101,1037,2417,4419,102", "tokens");
    equal(json.max_model_len, POSITIONS, "max_model_len");
  });
}

export async function encoderCases(krs) {
  const root = mkdtempSync(join(tmpdir(), "krs-encoder-"));
  try {
    const folder = makeFolder(krs, root);
    const server = await startModel(krs, folder);
    await cases(server, krs, folder);
    server.child.kill("SIGINT");
    await test("encoder: the server stops with exit code 0", async () => equal((await server.ended).code, 0, "exit code"));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
