// tests/e2e/harness.mjs - what the end-to-end tests share: cases that are counted, and a server to ask.
import { spawn } from "node:child_process";
import { dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const WAIT_MS = 60_000; // a condition that takes longer has failed
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

let passed = 0;
let failed = 0;

export function check(truth, what) {
  if (!truth) throw new Error(what);
}

export function equal(got, want, what = "value") {
  check(got === want, `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

export async function test(name, body) {
  const limit = new AbortController();
  const timeout = sleep(WAIT_MS, null, { signal: limit.signal }).then(
    () => { throw new Error(`not done after ${WAIT_MS} ms`); },
    () => {},
  );
  try {
    await Promise.race([body(), timeout]);
    passed++;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}: ${error.message}`);
  } finally {
    limit.abort();
  }
}

/** The last line, and the exit code. */
export function finish() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

export async function until(condition, what) {
  const end = Date.now() + WAIT_MS;
  while (!(await condition())) {
    check(Date.now() < end, `never: ${what}`);
    await sleep(10);
  }
}

/** Start a server with the demo model on a free port; resolves when it listens. */
export function start(krs, ...options) {
  return startModel(krs, "models/demo", ...options);
}

/** The same with a model of one's own. */
export async function startModel(krs, model, ...options) {
  const child = spawn(krs, ["serve", model, "--port", "0", ...options], {
    cwd: root,
    stdio: ["ignore", "inherit", "pipe"],
  });
  const server = { child, log: "", url: "", exit: null };
  server.ended = new Promise((done) => child.on("exit", (code, signal) => done((server.exit = { code, signal }))));
  child.stderr.on("data", (data) => {
    server.log += data;
    server.url ||= /listening on (http:\S+)/.exec(server.log)?.[1] ?? "";
  });
  await until(() => server.url || server.exit, "the server listens");
  check(server.url, `the server ended: ${server.log}`);
  return server;
}

export async function get(server, path) {
  const response = await fetch(server.url + path);
  return { status: response.status, text: await response.text() };
}

/** POST a body; the answer's status, headers and JSON. */
export async function post(server, path, body, headers = {}) {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, json: await response.json() };
}

export async function metric(server, name) {
  const { text } = await get(server, "/metrics");
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  check(line, `no metric ${name}`);
  return Number(line.slice(name.length + 1));
}

/** The error a call ends with. */
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("was not refused");
}
