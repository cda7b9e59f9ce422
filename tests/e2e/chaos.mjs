// tests/e2e/chaos.mjs KRS LOAD - see chaos.sh. Clients are raw sockets and processes, so that they can die in
// every way a client dies; what the server still holds is read from /metrics and /proc.
import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const [krs, load] = process.argv.slice(2);
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const scratch = mkdtempSync(join(tmpdir(), "krs-chaos-"));
const WAIT_MS = 300000; // a condition that takes longer has failed
const seed = Number(process.env.KRS_CHAOS_SEED ?? Date.now() % 1_000_000);
console.log(`seed ${seed} (KRS_CHAOS_SEED)`);

let state = seed;
/** A number in [0, n), from the seed. */
function random(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}

let passed = 0;
let failed = 0;
const children = []; // servers; those of failed cases are ended at the end

function check(truth, what) {
  if (!truth) throw new Error(what);
}

function equal(got, want, what = "value") {
  check(got === want, `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

async function test(name, body) {
  const limit = new AbortController();
  const timeout = sleep(2 * WAIT_MS, null, { signal: limit.signal }).then(
    () => { throw new Error(`not done after ${2 * WAIT_MS} ms`); },
    () => {},
  );
  const begin = Date.now();
  try {
    await Promise.race([body(), timeout]);
    passed++;
    console.log(`ok      ${name} (${Date.now() - begin} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}: ${error.message}`);
  } finally {
    limit.abort();
  }
}

async function until(condition, what) {
  const end = Date.now() + WAIT_MS;
  while (!(await condition())) {
    check(Date.now() < end, `never: ${what}`);
    await sleep(10);
  }
}

/** Start a server; resolves when it listens. how.wrap: a shell command around it; how.stderr: a file for its log. */
async function start(options = [], how = {}) {
  const port = how.port ?? 0;
  const argv = [krs, "serve", "models/demo", "--port", String(port), ...options];
  const [command, ...rest] = how.wrap ? ["bash", "-c", `${how.wrap}; exec "$@"`, "bash", ...argv] : argv;
  const stderr = how.stderr ? openSync(how.stderr, "w") : "pipe";
  const child = spawn(command, rest, { cwd: root, stdio: ["ignore", "inherit", stderr] });
  if (how.stderr) closeSync(stderr);
  children.push(child);
  const server = { child, log: "", port, exit: null };
  server.ended = new Promise((done) => child.on("exit", (code, signal) => done((server.exit = { code, signal }))));
  child.stderr?.on("data", (data) => {
    server.log += data;
    server.port ||= Number(/listening on http:\S+:(\d+)/.exec(server.log)?.[1] ?? 0);
  });
  await until(async () => server.exit || (server.port && (await isReady(server))), "the server is ready");
  check(!server.exit, `the server ended: ${server.log}`);
  return server;
}

async function stop(server) {
  server.child.kill("SIGTERM");
  equal((await server.ended).code, 0, `exit code (${server.log.slice(-300)})`);
}

async function isReady(server) {
  try {
    return (await fetch(`http://127.0.0.1:${server.port}/health/ready`)).ok;
  } catch {
    return false;
  }
}

async function metric(server, name) {
  const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  check(line, `no metric ${name}`);
  return Number(line.slice(name.length + 1));
}

const descriptors = (server) => readdirSync(`/proc/${server.child.pid}/fd`).length;

/** CPU time of the server in clock ticks (10 ms). */
function ticks(server) {
  const fields = readFileSync(`/proc/${server.child.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Nobody is left: no sequence, nothing queued, no block of the cache held. */
async function isQuiet(server) {
  for (const name of ["krs_sequences_running", "krs_queue_depth", "krs_kv_blocks_used"]) {
    if ((await metric(server, name)) !== 0) return false;
  }
  return true;
}

const quiet = (server) => until(() => isQuiet(server), "no sequence, no queue, no block in use");

const bodyOf = (more = {}) => JSON.stringify({
  model: "demo", stream: true, temperature: 0, messages: [{ role: "user", content: "Tell me a story." }], ...more });
const LONG = { ignore_eos: true, max_tokens: 1000 };

/** A raw connection that has sent a request. */
function ask(server, more) {
  const body = bodyOf(more);
  const socket = connect(server.port, "127.0.0.1");
  socket.received = "";
  socket.gone = new Promise((done) => socket.on("close", done));
  socket.on("error", () => {});
  socket.on("data", (data) => { socket.received += data.toString("latin1"); });
  socket.write("POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  return socket;
}

/** The text of a streamed answer, which must be whole. */
function textOf(received) {
  check(received.includes("data: [DONE]"), `the stream has no end: ${received.slice(-200)}`);
  let text = "";
  for (const line of received.split("\n")) {
    if (line.startsWith("data: {")) text += JSON.parse(line.slice(6)).choices[0]?.delta?.content ?? "";
  }
  return text;
}

/** A whole answer over a new connection. */
async function answer(server, more) {
  const response = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: bodyOf(more) });
  equal(response.status, 200, "status");
  return textOf(await response.text());
}

/** curl streaming a long answer, in a process of its own. */
function curl(server, more = LONG) {
  const child = spawn("curl", ["-sSN", "--max-time", "100", `http://127.0.0.1:${server.port}/v1/chat/completions`,
    "-H", "Content-Type: application/json", "-d", bodyOf(more)], { stdio: ["ignore", "pipe", "ignore"] });
  child.received = "";
  child.stdout.on("data", (data) => { child.received += data; });
  child.ended = new Promise((done) => child.on("close", (code) => done(code)));
  return child;
}

/** Has the answer begun? An answer that is a refusal never will. */
const hasText = (from) => () => {
  check(!/^HTTP\/1.1 [^2]/.test(from.received), `refused: ${from.received}`);
  return from.received.split('"content"').length > 3;
};

async function clientCases(server) {
  const story = await answer(server, { max_tokens: 60 });

  await test("a client killed mid-stream leaves no block behind", async () => {
    const cancelled = 'krs_requests_finished_total{finish="cancelled"}';
    const before = await metric(server, cancelled);
    const client = curl(server);
    await until(hasText(client), "the answer begins");
    check((await metric(server, "krs_kv_blocks_used")) > 0, "no block in use");
    client.kill("SIGKILL");
    await quiet(server);
    equal(await metric(server, cancelled), before + 1, "cancelled requests");
  });

  await test("clients killed together leave the neighbours' bytes alone", async () => {
    const clients = Array.from({ length: 8 }, () => curl(server));
    const neighbours = Array.from({ length: 8 }, () => answer(server, { max_tokens: 60 }));
    await until(() => clients.every((one) => hasText(one)()), "the answers begin");
    for (const client of clients) client.kill("SIGKILL");
    for (const text of await Promise.all(neighbours)) equal(text, story, "text");
    await quiet(server);
  });

  await test("a stopped client (SIGSTOP) stalls nobody and gets its bytes when it goes on", async () => {
    const client = curl(server, { ignore_eos: true, max_tokens: 300 });
    await until(hasText(client), "the answer begins");
    client.kill("SIGSTOP");
    for (let i = 0; i < 4; i++) equal(await answer(server, { max_tokens: 60 }), story, "text");
    client.kill("SIGCONT");
    equal(await client.ended, 0, "exit code of curl");
    check(textOf(client.received).startsWith(story.slice(0, 40)), "other text");
    await quiet(server);
  });

  await test("readers that stall and go on get every byte", async () => {
    const want = await answer(server, { ignore_eos: true, max_tokens: 400 });
    const sockets = Array.from({ length: 6 }, () => ask(server, { ignore_eos: true, max_tokens: 400 }));
    await until(() => sockets.every((one) => hasText(one)()), "the answers begin");
    for (const socket of sockets) socket.pause();
    equal(await answer(server, { max_tokens: 60 }), story, "text of a neighbour");
    await sleep(1500);
    for (const socket of sockets) socket.resume();
    await until(() => sockets.every((one) => one.received.includes("[DONE]")), "the answers end");
    for (const socket of sockets) {
      // Chunk sizes stand on lines of their own, as no event does.
      equal(textOf(socket.received.replace(/\r\n[0-9a-f]+\r\n/g, "")), want, "text");
      socket.destroy();
    }
    await quiet(server);
  });

  await test("half-closed connections are let go", async () => {
    const cancelled = 'krs_requests_finished_total{finish="cancelled"}';
    const before = await metric(server, cancelled);
    const sockets = Array.from({ length: 8 }, () => ask(server, LONG));
    await until(() => sockets.every((one) => hasText(one)()), "the answers begin");
    for (const socket of sockets) socket.end();
    await quiet(server);
    equal(await metric(server, cancelled), before + 8, "cancelled requests");
    for (const socket of sockets) socket.destroy();
  });

  await test("200 requests killed at random moments leave nothing", async () => {
    await quiet(server);
    const accepted = await metric(server, "krs_requests_accepted_total");
    const before = descriptors(server);
    let n = 0;
    const one = async () => {
      while (n++ < 200) {
        const socket = ask(server, { ...LONG, max_tokens: 1 + random(300), seed: random(1000), temperature: 1 });
        await sleep(random(120));
        const how = random(3);
        if (how === 0) socket.resetAndDestroy();
        else if (how === 1) socket.destroy();
        else socket.end();
        if (how === 2) await sleep(random(30)).then(() => socket.destroy());
      }
    };
    await Promise.all(Array.from({ length: 12 }, one));
    await quiet(server);
    await until(() => descriptors(server) <= before + 1, "descriptors are given back"); // one is this fetch's
    check((await metric(server, "krs_requests_accepted_total")) > accepted + 50, "hardly any request was accepted");
    equal(await answer(server, { max_tokens: 60 }), story, "text after all that");
  });
}

/** The load generator, with its own checks: every byte of every answer. */
async function generate(server, ...options) {
  const child = spawn(load, ["--port", String(server.port), "--server-pid", String(server.child.pid), "--seed",
    String(seed), ...options], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { err += data; });
  const code = await new Promise((done) => child.on("close", done));
  return { code, err, report: out ? JSON.parse(out) : null };
}

async function loadCases() {
  await test("64 streams, a third of them left: every byte right, nothing left over", async () => {
    const server = await start(["--max-seqs", "16", "--max-waiting", "512"]);
    const { code, err, report } = await generate(server, "--streams", "64", "--seconds", "8", "--warmup", "1",
      "--kill-percent", "33", "--paused", "4", "--pause", "2");
    equal(code, 0, `exit code (${err})`);
    check(report.requests.whole > 0 && report.requests.left > 0, "nothing was asked or left");
    equal(report.server.gauges_at_end.krs_kv_blocks_used, 0, "blocks in use at the end");
    check(report.server.fds_after <= report.server.fds_before, "descriptors are kept");
    await stop(server);
  });

  await test("SIGTERM under load: running answers end whole, exit code 0", async () => {
    const server = await start(["--drain-ms", "60000"]);
    const sockets = Array.from({ length: 12 }, () => ask(server, { ignore_eos: true, max_tokens: 150 }));
    await until(() => sockets.every((one) => hasText(one)()), "the answers begin");
    server.child.kill("SIGTERM");
    await Promise.all(sockets.map((one) => one.gone));
    for (const socket of sockets) check(socket.received.includes('"finish_reason":"length"'), "an answer was cut");
    equal((await server.ended).code, 0, "exit code");
  });

  await test("a killed server starts again on its port at once", async () => {
    const first = await start();
    const sockets = Array.from({ length: 8 }, () => ask(first, LONG));
    await until(() => sockets.every((one) => hasText(one)()), "the answers begin");
    first.child.kill("SIGKILL");
    await Promise.all(sockets.map((one) => one.gone));
    await first.ended;
    const second = await start([], { port: first.port });
    check((await answer(second, { max_tokens: 20 })).length > 0, "no text");
    await stop(second);
  });
}

async function resourceCases() {
  await test("a log on a full disk costs no answer", async () => {
    const port = 20000 + random(20000);
    const server = await start(["--log-level", "debug"], { stderr: "/dev/full", port });
    const texts = await Promise.all(Array.from({ length: 20 }, () => answer(server, { max_tokens: 20 })));
    equal(new Set(texts).size, 1, "different texts");
    await quiet(server);
    await stop(server);
  });

  await test("out of descriptors: the server waits without spinning, and recovers", async () => {
    const server = await start(["-q"], { wrap: "ulimit -n 64", port: 20000 + random(20000) });
    const before = await answer(server, { max_tokens: 40 });
    const kept = ask(server, LONG);
    await until(hasText(kept), "an answer begins");
    const crowd = Array.from({ length: 100 }, () => {
      const socket = connect(server.port, "127.0.0.1");
      socket.on("error", () => {});
      return socket;
    });
    await until(() => descriptors(server) >= 63, "the descriptors run out");
    await until(() => kept.received.includes("[DONE]"), "the old answer goes on to its end");
    const begin = ticks(server);
    await sleep(1000);
    check(ticks(server) - begin < 50, `${ticks(server) - begin} ticks of CPU in a second of waiting`);
    for (const socket of crowd) socket.destroy();
    kept.destroy();
    await until(() => isReady(server), "it answers again");
    equal(await answer(server, { max_tokens: 40 }), before, "text");
    await quiet(server);
    await stop(server);
  });

  await test("a reload under load changes what it may and stops nothing", async () => {
    const path = join(scratch, "krs.yaml");
    const write = (level, seqs) => writeFileSync(path, `log-level: ${level}\nmax-seqs: ${seqs}\n`);
    write("info", 8);
    const server = await start(["--config", path]);
    const sockets = Array.from({ length: 8 }, () => ask(server, { ignore_eos: true, max_tokens: 200 }));
    await until(() => sockets.every((one) => hasText(one)()), "the answers begin");
    write("debug", 9);
    server.child.kill("SIGHUP");
    await until(() => server.log.includes("max-seqs"), "the log says that max-seqs waits for a restart");
    await answer(server, { max_tokens: 2 });
    await until(() => server.log.includes("http.answered"), "a record of level debug");
    writeFileSync(path, "log-level: loud\n");
    server.child.kill("SIGHUP");
    await until(() => server.log.includes("want one of debug|info|warn|error"), "the fault is told");
    await until(() => sockets.every((one) => one.received.includes("[DONE]")), "the answers end");
    for (const socket of sockets) socket.destroy();
    await stop(server);
  });
}

const server = await start(["--io-threads", "2"]);
await clientCases(server);
await test("the server that saw all that stops with exit code 0", () => stop(server));
await loadCases();
await resourceCases();
for (const child of children) child.kill("SIGKILL");
rmSync(scratch, { recursive: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
