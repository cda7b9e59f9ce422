// tests/e2e/clients.mjs KRS - see clients.sh. One server, then each API's cases.
import { finish, start, test, equal } from "./harness.mjs";
import { anthropicCases } from "./clients_anthropic.mjs";
import { encoderCases } from "./clients_encoder.mjs";
import { openaiCases } from "./clients_openai.mjs";
import { responsesCases } from "./clients_responses.mjs";
import { tokenCases } from "./clients_tokens.mjs";
import { toolCases } from "./clients_tools.mjs";

const server = await start(process.argv[2]);
await openaiCases(server);
await responsesCases(server);
await tokenCases(server);
await anthropicCases(server);
await toolCases(server);
server.child.kill("SIGINT");
await test("the server stops with exit code 0", async () => equal((await server.ended).code, 0, "exit code"));
await encoderCases(process.argv[2]);
finish();
