// tests/e2e/structured.mjs KRS [FOLDER COUNT] - see structured.sh. Every answer that ends by itself must be JSON that
// the validator accepts; one cut off by max_tokens cannot be judged, and is counted. Tokens are drawn at temperature 1.5,
// where a model writes whatever it may.
import { Ajv } from "ajv";
import Ajv04 from "ajv-draft-04";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { check, equal, finish, metric, post, startModel, test } from "./harness.mjs";
import { schemas } from "./structured_schemas.mjs";

const [krs, folder, count] = process.argv.slice(2);
const AT_ONCE = 16;
const MAX_TOKENS = Number(process.env.MAX_TOKENS ?? 300);
const server = await startModel(krs, process.env.MODEL ?? "models/demo", "--max-seqs", "16", "--ctx", "2048", "--model-id", "m");

/** Until draft 7 a $ref stood alone: what is beside it means nothing. The validator looks at it all the same. */
function withoutNeighbours(schema) {
  if (Array.isArray(schema)) return schema.map(withoutNeighbours);
  if (schema === null || typeof schema !== "object") return schema;
  const { definitions, $schema, $id, id } = schema;
  const kept = typeof schema.$ref === "string" ? { $schema, $id, id, $ref: schema.$ref, definitions } : schema;
  return Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, withoutNeighbours(value)]));
}

function validatorOf(schema) {
  const options = { strict: false, logger: false, multipleOfPrecision: 6 }; // 648110.97 / 0.01 is no integer in binary
  const name = String(schema.$schema ?? "");
  if (/draft-0[467]/.test(name)) schema = withoutNeighbours(schema);
  const ajv = name.includes("draft-04") ? new Ajv04.default(options)
    : /draft-0[67]/.test(name) ? new Ajv(options) : new Ajv2020(options);
  formats.default(ajv);
  ajv.addFormat("url", true); // the validator's own; the standard has uri
  return ajv.compile(schema);
}

async function ask(schema, seed, more = {}) {
  return post(server, "/v1/chat/completions", {
    model: "m",
    messages: [{ role: "user", content: "Answer in JSON." }],
    response_format: { type: "json_schema", json_schema: { name: "form", strict: true, schema } },
    temperature: 1.5, seed, max_tokens: MAX_TOKENS, ...more,
  });
}

const tally = { valid: 0, cut: 0, refused: 0, unknown: 0 };
const reasons = new Map();

/** One schema, one seed: what became of it, or an error. */
async function judge(schema, seed) {
  let validate;
  try {
    validate = validatorOf(schema);
  } catch {
    tally.unknown++; // no schema to the validator either
    return;
  }
  const { status, json } = await ask(schema, seed);
  if (status === 400) {
    tally.refused++;
    const why = json.error.message.replace(/#?\/[^ ,:]*/g, "#").slice(0, 90);
    reasons.set(why, (reasons.get(why) ?? 0) + 1);
    return;
  }
  equal(status, 200, `status of ${JSON.stringify(json).slice(0, 200)}`);
  const { message, finish_reason } = json.choices[0];
  if (finish_reason === "length") {
    tally.cut++;
    return;
  }
  equal(finish_reason, "stop", "finish_reason");
  const value = JSON.parse(message.content);
  check(validate(value), `${JSON.stringify(validate.errors)} in ${message.content} of ${JSON.stringify(schema).slice(0, 300)}`);
  tally.valid++;
}

/** All of these, AT_ONCE at a time; the errors. */
async function judgeAll(list) {
  const errors = [];
  let next = 0;
  async function work() {
    while (next < list.length) {
      const i = next++;
      await judge(list[i], i).catch((error) => errors.push(`schema ${i}: ${error.message}`));
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return errors;
}

function readFolder(path, n) {
  const lists = readdirSync(path).filter((name) => /\.jsonl(\.gz)?$/.test(name)).sort().map((name) => {
    const bytes = readFileSync(join(path, name));
    const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
    return text.split("\n").filter(Boolean).map((line) => JSON.parse(line).data);
  });
  const all = lists.flat();
  return Array.from({ length: n }, (_, i) => all[i % all.length]); // more than there are: other seeds
}

function report(name) {
  console.log(`        ${name}: ${tally.valid} valid, ${tally.cut} cut by max_tokens, ${tally.refused} refused, ` +
    `${tally.unknown} that the validator refuses`);
  for (const [why, n] of [...reasons].sort((a, b) => b[1] - a[1]).slice(0, 20)) console.log(`        ${n} x ${why}`);
}

await test("structured: our schemas give valid answers at temperature 1.5", async () => {
  const errors = await judgeAll([...schemas, ...schemas]);
  report("our schemas");
  equal(errors.length, 0, errors[0]);
  equal(tally.refused, 0, "refused");
  check(tally.valid > schemas.length, `${tally.valid} valid answers of ${2 * schemas.length}`);
});
if (!process.env.MODEL) await test("structured: held to a form, the model says what it would have said", async () => {
  const schema = JSON.parse(readFileSync(new URL("../../docs/person.schema.json", import.meta.url)));
  const { json } = await post(server, "/v1/chat/completions", {
    model: "m",
    messages: [{ role: "user", content: "Write this as JSON: Tom is 7 years old and lives in Paris." }],
    response_format: { type: "json_schema", json_schema: { name: "person", schema } },
    temperature: 0,
  });
  equal(json.choices[0].message.content, '{"name": "Tom", "age": 7, "city": "Paris"}', "content");
});
await test("structured: a streamed answer is the same text", async () => {
  const whole = (await ask(schemas[0], 7)).json.choices[0].message.content;
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      model: "m",
      messages: [{ role: "user", content: "Answer in JSON." }], stream: true, temperature: 1.5, seed: 7, max_tokens: MAX_TOKENS,
      response_format: { type: "json_schema", json_schema: { name: "form", schema: schemas[0] } },
    }),
  });
  const text = (await response.text()).split("\n").filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)).choices[0]?.delta?.content ?? "").join("");
  equal(text, whole, "text");
});
await test("structured: choices, patterns, grammars and JSON objects", async () => {
  const chat = async (more) => {
    const { status, json } = await post(server, "/v1/chat/completions", {
      model: "m",
      messages: [{ role: "user", content: "Hello" }], temperature: 1.5, seed: 3, max_tokens: 200, n: 4, ...more,
    });
    equal(status, 200, JSON.stringify(json));
    return json.choices;
  };
  for (const { message } of await chat({ guided_choice: ["red", "green"] })) check(/^(red|green)$/.test(message.content), message.content);
  for (const { message } of await chat({ guided_regex: "[A-C]{2}-\\d{3}" })) check(/^[A-C]{2}-\d{3}$/.test(message.content), message.content);
  for (const { message } of await chat({ structured_outputs: { grammar: 'start: "a" ("b" | "c")+ "."' }, max_tokens: 60 })) {
    check(/^a[bc]*\.?$/.test(message.content), message.content);
  }
  for (const { message, finish_reason } of await chat({ response_format: { type: "json_object" } })) {
    if (finish_reason === "stop") equal(typeof JSON.parse(message.content), "object", "type");
  }
});
await test("structured: what cannot be followed is refused by name", async () => {
  for (const [schema, word] of [
    [{ type: "objekt" }, "type"],
    [{ $ref: "#/definitions/none" }, "$ref"],
    [{ type: "string", pattern: "(?<=a)b" }, "pattern"],
    [{ type: "array", uniqueItems: true }, "uniqueItems"],
  ]) {
    const { status, json } = await ask(schema, 1);
    equal(status, 400, JSON.stringify(schema));
    equal(json.error.param, "response_format", "param");
    check(json.error.message.includes(word), json.error.message);
  }
});
await test("structured: schemas are compiled once", async () => {
  const before = await metric(server, 'krs_guidance_grammars_total{outcome="compiled"}');
  const schema = { type: "object", properties: { once: { const: 1 } }, required: ["once"], additionalProperties: false };
  await Promise.all([1, 2, 3, 4].map((seed) => ask(schema, seed)));
  const after = await metric(server, 'krs_guidance_grammars_total{outcome="compiled"}');
  equal(after, before + 1, "compiled");
});
if (folder) {
  for (const key of Object.keys(tally)) tally[key] = 0;
  reasons.clear();
  const list = readFolder(folder, Number(count));
  const errors = await judgeAll(list);
  report(`${list.length} schemas of ${folder}`);
  await test("structured: answers under other schemas are valid", async () => equal(errors.length, 0, errors.slice(0, 5).join("\n")));
}
server.child.kill("SIGINT");
await test("the server stops with exit code 0", async () => equal((await server.ended).code, 0, "exit code"));
finish();
