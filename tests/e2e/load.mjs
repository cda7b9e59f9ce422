// tests/e2e/load.mjs LOAD - see load.sh. A generator that sees no mistakes makes every soak green, so each kind of
// mistake is made once and must be counted under its name.
import { spawn } from "node:child_process";
import { createServer } from "node:net";

const load = process.argv[2];
let passed = 0;
let failed = 0;

function verdict(name, fault) {
  if (fault) failed++;
  else passed++;
  console.log(fault ? `FAILED  ${name}: ${fault}` : `ok      ${name}`);
}

const event = (choice, more = {}) => `data: ${JSON.stringify({ id: "x", choices: [choice], ...more })}\n\n`;
const text = (content) => event({ index: 0, delta: { content }, finish_reason: null });
const finish = event({ index: 0, delta: {}, finish_reason: "stop" });
const usage = `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n`;
const done = "data: [DONE]\n\n";
const chunk = (body) => {
  const bytes = Buffer.from(body, body instanceof Buffer ? undefined : "utf8");
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
};
const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const stream = (...parts) => Buffer.concat([Buffer.from(head), ...parts.map(chunk), Buffer.from("0\r\n\r\n")]);
const whole = (status, body, more = "") =>
  `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const good = (content = "ü𝄞") => [text("a"), text(content), finish, usage, done];

/** A server that answers request n with answer(n): bytes, or [bytes, "end"] to hang up behind them. */
function serve(answer) {
  let n = 0;
  const server = createServer((socket) => {
    let received = "";
    socket.on("error", () => {});
    socket.on("data", (data) => {
      received += data.toString("latin1");
      for (let end; (end = received.indexOf("\r\n\r\n")) >= 0;) {
        const length = Number(/content-length: (\d+)/i.exec(received.slice(0, end))?.[1] ?? 0);
        if (received.length < end + 4 + length) return;
        const isMetrics = received.startsWith("GET /metrics");
        received = received.slice(end + 4 + length);
        if (isMetrics) {
          socket.end(whole(200, "# HELP x\nkrs_answer_tokens_total 1\nx_bucket{le=\"1\"} 2\n", "Connection: close\r\n"));
          return;
        }
        const [bytes, how] = [answer(n++)].flat();
        socket.write(bytes);
        if (how === "end") socket.end();
      }
    });
  });
  return new Promise((ready) => server.listen(0, "127.0.0.1", () => ready(server)));
}

/** Run the generator for a second against a server that answers so. */
async function run(answer, ...options) {
  const server = await serve(answer);
  const child = spawn(load, ["--port", String(server.address().port), "--streams", "1", "--seconds", "1", "--warmup", "0",
    "--drain", "2", "--timeout", "1", "--prompts", "1", ...options], { stdio: ["ignore", "pipe", "ignore"] });
  let out = "";
  child.stdout.on("data", (data) => { out += data; });
  const code = await new Promise((end) => child.on("close", end));
  server.close();
  return { code, report: JSON.parse(out) };
}

async function good_case(name, answer, want, ...options) {
  const { code, report } = await run(answer, ...options);
  verdict(name, code !== 0 ? `exit code ${code}: ${JSON.stringify(report.errors_by_kind)}` : want(report));
}

async function bad_case(name, kind, answer) {
  const { code, report } = await run(answer);
  const others = Object.entries(report.errors_by_kind).filter(([other, n]) => other !== kind && n > 0);
  verdict(name, code !== 1 ? `exit code ${code}`
    : report.errors_by_kind[kind] === 0 ? `no ${kind}` : others.length > 0 ? `also ${others}` : null);
}

await good_case("right answers", () => stream(...good()), (r) =>
  r.requests.whole > 5 && r.tokens_of_whole_answers === 2 * r.requests.whole && r.first_token_ms.n > 0 ? null : JSON.stringify(r));
await good_case("an event cut anywhere, and heartbeats", (n) => {
  const all = Buffer.from(`: ping\n\n${good().join("")}`);
  const cut = n % all.length;
  return Buffer.concat([Buffer.from(head), chunk(all.subarray(0, cut || 1)), chunk(all.subarray(cut || 1)), Buffer.from("0\r\n\r\n")]);
}, (r) => (r.requests.whole > 20 ? null : JSON.stringify(r.requests)));
await good_case("escapes are the characters they mean", (n) =>
  stream(n % 2 ? 'data: {"choices":[{"delta":{"content":"\\u00fc\\ud834\\udd1e\\n\\""}}]}\n\n' : text('ü𝄞\n"'), finish, usage, done),
(r) => (r.requests.whole > 5 ? null : JSON.stringify(r.requests)));
await good_case("refusals are counted apart", () => whole(429, "{}"), (r) =>
  r.requests.refused > 0 && r.requests.whole === 0 ? null : JSON.stringify(r.requests));
await good_case("answers that are left are counted apart", () => stream(...good()), (r) =>
  r.requests.left > 5 ? null : JSON.stringify(r.requests), "--kill-percent", "100");
await good_case("who leaves within a read takes nothing behind it", () =>
  stream(text("a") + text("b"), text("c") + text("d"), text("e"), finish, usage, done),
(r) => (r.requests.left > 5 ? null : JSON.stringify(r.requests)), "--kill-percent", "100");

await bad_case("no [DONE]", "no_done", () => stream(text("a"), finish, usage));
await bad_case("no finish_reason", "no_finish", () => stream(text("a"), usage, done));
await bad_case("no usage", "no_finish", () => stream(text("a"), finish, done));
await bad_case("an error in the stream", "error_event", () => stream(text("a"), 'data: {"error":{"message":"x"}}\n\n', done));
await bad_case("an error status", "http_status", () => whole(500, '{"error":{}}'));
await bad_case("other text than before", "text_differs", (n) => stream(...good(n % 2 ? "b" : "c")));
await bad_case("less text than before", "text_differs", (n) => stream(text("a"), ...(n % 2 ? [] : [text("b")]), finish, usage, done));
await bad_case("more text than before", "text_differs", (n) => stream(text("a"), ...(n % 2 ? [text("b")] : []), finish, usage, done));
await bad_case("the connection ends in an answer", "closed", () => [Buffer.from(head + chunk(text("a"))), "end"]);
await bad_case("silence", "timeout", () => Buffer.from(head + chunk(text("a"))));
for (const [name, body] of [
  ["broken JSON", 'data: {"choices":[{"delta":{"content":"a"}}]\n\n'],
  ["JSON with a tail", 'data: {"choices":[]} x\n\n'],
  ["a comma too many", 'data: {"choices":[],}\n\n'],
  ["half a surrogate pair", 'data: {"choices":[{"delta":{"content":"\\ud834"}}]}\n\n'],
  ["a raw control character", 'data: {"choices":[{"delta":{"content":"a\tb"}}]}\n\n'],
  ["invalid UTF-8", Buffer.from('data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "latin1")],
  ["an event of two lines", "data: {}\ndata: {}\n\n"],
  ["no event", "hello\n\n"],
  ["an event after [DONE]", `${done}${text("a")}`],
]) {
  await bad_case(name, "malformed", () => stream(body));
}
await bad_case("a chunk longer than its size", "malformed", () => `${head}5\r\ndata: x\r\n`);
await bad_case("a chunk without a size", "malformed", () => `${head}zz\r\n`);
await bad_case("no length", "malformed", () => "HTTP/1.1 200 OK\r\n\r\n");
await bad_case("bytes behind the end", "malformed", () => Buffer.concat([stream(...good()), Buffer.from("x")]));

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
