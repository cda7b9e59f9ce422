// tests/e2e/stdio.mjs - the wire contract, section by section, against the real program and the demo model.
//
//   1 process start and end    2 framing, limits, flow    3 errors    4 methods    5 stream notifications
//   and over the Unix socket: several clients, cancel, credit, MessagePack, events (ours)
import assert from 'node:assert/strict';
import { mkdtempSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Child, MAX_LINE_BUFFER, connectUnix } from './rpc_client.mjs';

const krs = process.argv[2];
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const demo = join(root, 'models/demo');
const draft = join(root, 'models/demo-draft');
const MODEL = 'demo';
const scratch = mkdtempSync(join(tmpdir(), 'krs-stdio-'));
let passed = 0;
let failed = 0;

async function test(name, body) {
    try {
        await body();
        passed++;
        console.log(`ok      ${name}`);
    } catch (error) {
        failed++;
        console.log(`FAILED  ${name}: ${error.stack ?? error}`);
    }
}

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

async function withChild(body, options) {
    const child = new Child(krs, options?.args ?? ['stdio'], options);
    try {
        const c = await child.ready();
        await body(c, child);
        assert.equal(c.overrun, 0, `the client's reader would have died at ${c.overrun} bytes`);
    } finally {
        child.process.kill('SIGKILL');
    }
}

const load = (c, id = MODEL, path = demo) => c.result('load_model', { model_id: id, draft: false, local_path: path });
const gen = (id, more = {}) => ({ model_id: MODEL, prompt: '12 + 7 = ', stream_id: id, streaming: true, temperature: 0, ...more });
const isPlain = (text) => !/\/(root|home|tmp|work|Users|usr)\b|\bat .*\(/.test(text);

// ---- 1. process start and end ----

await test('1: the probe is answered, and nothing is printed before it', async () => {
    await withChild(async (c, child) => {
        await sleep(50);
        assert.equal(c.lines.length, 0);
        c.write('{"jsonrpc":"2.0","method":"runtime/info","id":"readiness-probe"}\n');
        const reply = await c.reply('readiness-probe');
        assert.equal(reply.jsonrpc, '2.0');
        assert.ok(reply.result);
        assert.equal(child.process.exitCode, null);
    });
});

await test('1: any one argument after the program name "stdio" is its whole command line', async () => {
    const child = new Child(krs, ['stdio']);
    await child.ready();
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
});

await test('1: shutdown is answered, then the process exits with 0 though input stays open', async () => {
    const child = new Child(krs);
    const c = await child.ready();
    await load(c);
    c.write('{"jsonrpc":"2.0","method":"shutdown","id":"shutdown"}\n');
    assert.deepEqual((await c.reply('shutdown')).result, { success: true });
    const begin = Date.now();
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.ok(Date.now() - begin < 5000, 'within the time the client gives it');
});

await test('1: shutdown gives open streams a last event with finish_reason shutdown', async () => {
    const child = new Child(krs);
    const c = await child.ready();
    await load(c);
    await c.result('generate', gen('s', { max_tokens: 2000, ignore_eos: true }));
    await c.until(() => c.tokens('s').length > 0, 'a token');
    const reply = await c.call('shutdown');
    assert.deepEqual(reply.result, { success: true });
    assert.equal(c.last('s').finish_reason, 'shutdown');
    assert.deepEqual(await child.exit, { code: 0, signal: null });
});

await test('1: the end of input ends the process, streams or not', async () => {
    const child = new Child(krs);
    const c = await child.ready();
    await load(c);
    await c.result('generate', gen('s', { max_tokens: 2000, ignore_eos: true }));
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
});

await test('1: SIGTERM ends the process, also in the middle of a stream', async () => {
    const child = new Child(krs);
    const c = await child.ready();
    await load(c);
    await c.result('generate', gen('s', { max_tokens: 2000, ignore_eos: true }));
    child.process.kill('SIGTERM');
    const end = await child.exit;
    assert.ok(end.signal === 'SIGTERM' || end.code === 0);
});

await test('1: the first calls of a new transport: state, info, info', async () => {
    await withChild(async (c) => {
        const [state, info, again] = await Promise.all([c.result('runtime/state'), c.result('runtime/info'), c.result('runtime/info')]);
        assert.deepEqual(state.loaded_models, []);
        assert.equal(state.active_streams, 0);
        assert.equal(typeof state.restart_count, 'number');
        assert.equal(info.protocol, 'json-rpc-2.0');
        assert.equal(typeof info.version, 'string');
        assert.equal(typeof info.mlx_version, 'string');
        assert.equal(typeof info.mlx_supported, 'boolean');
        assert.ok(info.memory.rss > 0 && info.memory.vms >= info.memory.rss);
        assert.deepEqual(again.capabilities, info.capabilities);
        assert.equal((await c.result('runtime/state')).restart_count, state.restart_count + 1);
    });
});

await test('1: a file as input works, and what it asks is answered', async () => {
    const { execFileSync } = await import('node:child_process');
    const { openSync } = await import('node:fs');
    const path = join(scratch, 'input');
    writeFileSync(path, '{"jsonrpc":"2.0","method":"runtime/info","id":1}\n{"jsonrpc":"2.0","method":"tokenize","params":{"model_id":"x","text":"y"},"id":2}\n');
    const out = execFileSync(krs, ['stdio'], { stdio: [openSync(path, 'r'), 'pipe', 'ignore'], timeout: 60000 });
    const ids = out.toString().trim().split('\n').map((line) => JSON.parse(line).id);
    assert.deepEqual(ids, [1, 2]);
});

// ---- 2. framing, limits, flow ----

await test('2: messages may be split and joined anywhere', async () => {
    await withChild(async (c) => {
        const one = '{"jsonrpc":"2.0","method":"runtime/state","id":"a"}\n';
        c.write(one + one.replace('"a"', '"b"') + '\n\r\n');
        await Promise.all([c.reply('a'), c.reply('b')]);
        const slow = c.reply('c');
        for (const byte of one.replace('"a"', '"c"')) {
            c.write(byte);
            await sleep(1);
        }
        assert.ok((await slow).result);
    });
});

await test('2: a bad line is refused and harms no other', async () => {
    await withChild(async (c) => {
        c.write('{"jsonrpc":"2.0","method":"runtime/state","params":{},"id":5\n');
        c.write('this is not JSON\n');
        c.write(Buffer.from([0x7b, 0xff, 0xfe, 0x0a]));
        assert.ok(await c.result('runtime/state'));
        const codes = c.lines.map((l) => JSON.parse(l).error?.code).filter(Boolean);
        assert.deepEqual(codes, [-32700, -32700, -32700]);
        assert.equal(JSON.parse(c.lines.find((l) => l.includes('-32700'))).error.data, undefined);
    });
});

await test('2: duplicate keys, deep nesting and batch arrays are refused with their id', async () => {
    await withChild(async (c) => {
        const twice = c.reply(7);
        c.write('{"jsonrpc":"2.0","method":"runtime/state","method":"shutdown","id":7}\n');
        assert.equal((await twice).error.code, -32700);
        const deep = c.reply(8);
        c.write(`{"jsonrpc":"2.0","method":"runtime/state","params":{"a":${'['.repeat(500)}${']'.repeat(500)}},"id":8}\n`);
        assert.equal((await deep).error.code, -32700);
        const batch = c.reply(null);
        c.write('[{"jsonrpc":"2.0","method":"runtime/state","id":9}]\n');
        const reply = await batch;
        assert.equal(reply.error.code, -32600);
        assert.match(reply.error.message, /batch arrays are not supported/);
    });
});

await test('2: notifications are executed and never answered', async () => {
    await withChild(async (c) => {
        await load(c);
        c.notify('generate', gen('n', { max_tokens: 4 }));
        c.notify('adaptive_batch.update_metrics', { any: [1, 2, 3] });
        c.notify('no such method', {});
        c.notify('generate', { model_id: 5 });
        await c.ended('n');
        await c.result('runtime/state');
        assert.equal(c.lines.filter((l) => !l.includes('"method"')).length, 2);
    });
});

const OVERFLOW = 1048576;
const big = (id, n, tail = '') => {
    const head = '{"jsonrpc":"2.0","method":"tokenize","params":{"model_id":"m","text":"';
    const end = `"${tail}},"id":${JSON.stringify(id)}}`;
    return head + 'x'.repeat(n - head.length - Buffer.byteLength(end)) + end;
};

await test('2: a message of 1048576 bytes passes, one more does not, and its caller is told', async () => {
    await withChild(async (c) => {
        const fits = c.reply('fits');
        c.write(big('fits', OVERFLOW) + '\n');
        assert.equal((await fits).error.code, -32005); // read, and no such model
        const over = c.reply(77);
        c.write(big(77, OVERFLOW + 1) + '\n');
        const reply = await over;
        assert.equal(reply.error.code, -32600);
        assert.equal(reply.error.message, 'Buffer overflow: would exceed 1048576 bytes');
        assert.equal(reply.error.data, undefined);
        assert.ok(await c.result('runtime/state'));
    });
});

await test('2: overflows in six ways: huge, slow, repeated, of many small parts, with string id, id first', async () => {
    await withChild(async (c) => {
        const expectOverflow = async (id, send) => {
            const reply = c.reply(id);
            await send();
            assert.match((await reply).error.message, /buffer overflow|exceeded.*bytes/i);
        };
        await expectOverflow(1001, () => c.write(big(1001, 5 * OVERFLOW) + '\n'));
        await expectOverflow(1002, async () => {
            const line = big(1002, OVERFLOW + 70000) + '\n';
            for (let i = 0; i < line.length; i += 200000) {
                c.write(line.slice(i, i + 200000));
                await sleep(5);
            }
        });
        for (const id of [1003, 1004, 1005]) await expectOverflow(id, () => c.write(big(id, OVERFLOW + 1) + '\n'));
        await expectOverflow(1006, () => c.write(big(1006, OVERFLOW + 9, `,"more":[${'1,'.repeat(9000)}1]`) + '\n'));
        await expectOverflow('a "quoted" id', () => c.write(big('a "quoted" id', 2 * OVERFLOW) + '\n'));
        await expectOverflow(1008, () => c.write(`{"jsonrpc":"2.0","id":1008,"method":"tokenize","params":{"text":"${'y'.repeat(OVERFLOW)}"}}\n`));
        assert.ok(await c.result('runtime/state'));
    });
});

await test('2: 20000 short lines and a client that reads slowly: never 64 KiB before it', async () => {
    await withChild(async (c, child) => {
        const N = 20000;
        let n = 0;
        const done = new Promise((r) => {
            c.take = (line, message) => {
                if (message.id?.startsWith?.('n') && ++n === N) r();
            };
        });
        const out = child.process.stdout;
        const slow = setInterval(() => {
            out.pause();
            setTimeout(() => out.resume(), 8);
        }, 10);
        for (let i = 0; i < N; i++) c.write(`{"jsonrpc":"2.0","method":"cancel","params":{"stream_id":"x"},"id":"n${i}"}\n`);
        await done;
        clearInterval(slow);
        assert.ok(c.largest <= MAX_LINE_BUFFER, `${c.largest} bytes`);
    });
});

await test('2: streams wait for a client that stops reading, and lose nothing', async () => {
    await withChild(async (c, child) => {
        await load(c);
        const ids = Array.from({ length: 8 }, (_, i) => `w${i}`);
        const more = { max_tokens: 1000, ignore_eos: true, prompt: 'count: ', cumulative_text: false };
        for (const id of ids) await c.result('generate', gen(id, more));
        child.process.stdout.pause();
        await sleep(1500);
        child.process.stdout.resume();
        for (const id of ids) assert.equal((await c.ended(id)).finish_reason, 'length');
        for (const id of ids) assert.equal(c.tokens(id).length, 1000);
        assert.equal(new Set(ids.map((id) => c.text(id))).size, 1);
    });
});

await test('2: replies come when they are ready: a load holds nobody up', async () => {
    await withChild(async (c) => {
        const order = [];
        const loading = load(c).then(() => order.push('load'));
        await c.result('runtime/state').then(() => order.push('state'));
        await loading;
        assert.equal(order[0], 'state');
    });
});

// ---- 3. errors ----

await test('3: every mistake of a caller is -32602 with ValidationError, naming field and limit', async () => {
    await withChild(async (c) => {
        await load(c);
        const cases = [
            ['no/such', {}, /Unknown method: no\/such/],
            ['generate', {}, /model_id.*required/],
            ['generate', gen('e', { model_id: '../etc/passwd' }), /invalid characters or path traversal/],
            ['generate', gen('e', { model_id: 'a b' }), /invalid characters or path traversal/],
            ['generate', gen('e', { max_tokens: 4097 }), /max_tokens.*4097.*1\.\.4096/],
            ['generate', gen('e', { max_tokens: 0 }), /max_tokens/],
            ['generate', gen('e', { temperature: 2.1 }), /temperature/],
            ['generate', gen('e', { top_p: 0 }), /top_p/],
            ['generate', gen('e', { presence_penalty: -3 }), /presence_penalty/],
            ['generate', gen('e', { stop_sequences: Array(11).fill('x') }), /stop_sequences/],
            ['generate', gen('e', { stop_token_ids: [1000001] }), /stop_token_ids/],
            ['generate', gen('e', { seed: -1 }), /seed/],
            ['generate', { ...gen('e'), prompt: undefined }, /prompt.*required/],
            ['generate', { ...gen('e'), prompt: 5 }, /prompt.*string/],
            ['tokenize', { model_id: MODEL }, /text.*required/],
            ['load_model', { model_id: 'm', local_path: '/a/../b' }, /potentially unsafe sequences/],
            ['load_model', { model_id: 'm', local_path: '~/models' }, /potentially unsafe sequences/],
            ['load_model', { model_id: 'm', local_path: 'models/demo' }, /must be absolute/],
            ['load_model', { model_id: 'm', local_path: '/no/such/folder' }, /does not exist/],
            ['load_model', { model_id: 'm', context_length: 0 }, /context_length/],
            ['batch_generate', { requests: [gen('a'), gen('a')] }, /duplicate/],
            ['batch_generate', { requests: [{ ...gen('a'), stream_id: undefined }] }, /stream_id.*missing/],
            ['get_batcher_metrics', { model_id: MODEL }, /no batcher/],
            ['tokenize', [MODEL, 'text'], /object/],
        ];
        for (const [method, params, pattern] of cases) {
            const error = await c.error(method, params);
            assert.equal(error.code, -32602, `${method}: ${JSON.stringify(error)}`);
            assert.match(error.message, pattern);
            assert.equal(error.data.type, 'ValidationError');
            assert.equal(error.data.retryable, false);
            assert.ok(isPlain(error.message), error.message);
        }
    });
});

await test('3: not loaded is -32005, not loadable -32001, each with its model and no path', async () => {
    await withChild(async (c) => {
        for (const method of ['generate', 'tokenize', 'continuous_generate', 'get_batcher_health', 'detokenize']) {
            const params = { model_id: 'absent', prompt: 'x', text: 'x', tokens: [1] };
            const error = await c.error(method, params);
            assert.equal(error.code, -32005);
            assert.match(error.message, /Model not loaded: absent/);
            assert.equal(error.data.model_id, 'absent');
        }
        const absent = await c.error('load_model', { model_id: 'org/absent', draft: false });
        assert.equal(absent.code, -32001);
        assert.match(absent.message, /Failed to load model org\/absent: /);
        const broken = join(scratch, 'broken');
        mkdirSync(broken);
        writeFileSync(join(broken, 'config.json'), '{"model_type":"llama"}');
        for (let i = 0; i < 3; i++) {
            const error = await c.error('load_model', { model_id: 'broken', local_path: broken });
            assert.match(error.message, /Failed to load model broken: /i);
            assert.ok(isPlain(error.message), error.message);
        }
    });
});

await test('3: local_path stays within the trusted folders, links included', async () => {
    const trusted = join(scratch, 'trusted');
    mkdirSync(trusted);
    symlinkSync(demo, join(trusted, 'link'));
    await withChild(
        async (c) => {
            for (const path of [demo, join(trusted, 'link'), `${trusted}-not`]) {
                const error = await c.error('load_model', { model_id: 'm', local_path: path });
                assert.equal(error.code, -32602);
                assert.match(error.message, /not within trusted directories|does not exist/);
            }
            await load(c, 'draft', draft);
        },
        { args: ['stdio', '--trusted-dirs', `${trusted}:${draft}`] },
    );
});

await test('3: --trusted-dirs that names no folder trusts none', async () => {
    await withChild(
        async (c) => {
            const error = await c.error('load_model', { model_id: 'm', local_path: demo });
            assert.match(error.message, /not within trusted directories/);
        },
        { args: ['stdio', '--trusted-dirs', ':'] },
    );
});

// ---- 4. methods ----

await test('4: load_model answers as the contract says, without cached_path', async () => {
    await withChild(async (c) => {
        const r = await load(c);
        assert.equal(r.model_id, MODEL);
        assert.equal(r.state, 'ready');
        assert.equal(r.is_vision_model, false);
        assert.ok(r.context_length > 0 && r.parameter_count > 0 && typeof r.dtype === 'string');
        assert.ok(!('cached_path' in r));
        assert.deepEqual((await c.result('runtime/state')).loaded_models, [{ model_id: MODEL, state: 'ready', type: 'text' }]);
        assert.equal((await c.result('load_model', { model_id: MODEL, local_path: demo, context_length: 256 })).context_length, 256);
        assert.deepEqual(await c.result('unload_model', { model_id: MODEL }), { success: true });
        assert.deepEqual(await c.result('unload_model', { model_id: MODEL }), { success: true });
        assert.deepEqual((await c.result('runtime/state')).loaded_models, []);
    });
});

await test('4: a model id may be a folder, or a name in the hub cache by branch and commit', async () => {
    const repo = join(scratch, 'hf/hub/models--org--demo');
    mkdirSync(join(repo, 'refs'), { recursive: true });
    mkdirSync(join(repo, 'snapshots'));
    writeFileSync(join(repo, 'refs/main'), 'abc123\n');
    symlinkSync(demo, join(repo, 'snapshots/abc123'));
    await withChild(
        async (c) => {
            assert.equal((await c.result('load_model', { model_id: 'models/demo', draft: false })).state, 'ready');
            assert.equal((await c.result('load_model', { model_id: 'org/demo', draft: false })).model_id, 'org/demo');
            assert.equal((await c.result('load_model', { model_id: 'org/demo', revision: 'abc123' })).state, 'ready');
            assert.equal((await c.error('load_model', { model_id: 'org/demo', revision: 'other' })).code, -32001);
            assert.equal((await c.error('load_model', { model_id: 'org/demo', revision: '../../x' })).code, -32001);
        },
        { env: { HF_HOME: join(scratch, 'hf'), HF_HUB_CACHE: '' }, cwd: root },
    );
});

await test('4: the capabilities that the client looks for are there, vision is not', async () => {
    await withChild(async (c) => {
        const { capabilities } = await c.result('runtime/info');
        for (const name of ['load_model', 'generate', 'batch_generate', 'batch_generate_parallel', 'continuous_generate',
            'get_batcher_metrics', 'get_batcher_health', 'get_week4_metrics', 'tokenize', 'check_draft', 'batch_tokenize',
            'batch_check_draft', 'runtime/telemetry', 'cancel', 'stream.credit', 'chat', 'guidance']) {
            assert.ok(capabilities.includes(name), name);
        }
        for (const name of ['load_vision_model', 'generate_with_image']) assert.ok(!capabilities.includes(name), name);
        const vision = await c.error('load_vision_model', { model_id: 'm', local_path: null, revision: 'main' });
        assert.equal(vision.code, -32001);
        assert.match(vision.message, /vision models are not supported/);
        const image = await c.error('generate_with_image', { model_id: 'm', prompt: 'x', image: 'eA==', stream_id: 's' });
        assert.equal(image.code, -32002);
    });
});

await test('4: tokenize and detokenize agree; special tokens on request; strings on short texts only', async () => {
    await withChild(async (c) => {
        await load(c);
        const text = 'What is 12 + 7? \u00e9\u20ac\u{1F600}';
        const { tokens, token_strings } = await c.result('tokenize', { model_id: MODEL, text });
        assert.equal(tokens.length, token_strings.length);
        const bare = await c.result('tokenize', { model_id: MODEL, text, add_special_tokens: false });
        assert.equal((await c.result('detokenize', { model_id: MODEL, tokens: bare.tokens })).text, text);
        assert.deepEqual((await c.result('tokenize', { model_id: MODEL, text: '', add_special_tokens: false })).tokens, []);
        const long = await c.result('tokenize', { model_id: MODEL, text: 'word '.repeat(5000) });
        assert.ok(long.tokens.length >= 5000 && !('token_strings' in long));
        const longer = await c.error('tokenize', { model_id: MODEL, text: 'word '.repeat(60000) });
        assert.equal(longer.code, -32602);
        assert.match(longer.message, /reply would take \d+ bytes/);
    });
});

await test('4: batch_tokenize keeps order, fails item by item, and fits the line', async () => {
    await withChild(async (c) => {
        await load(c);
        const items = Array.from({ length: 40 }, (_, i) => ({ model_id: MODEL, text: `item ${i}` }));
        items[7] = { model_id: 'absent', text: 'x' };
        items[9] = { model_id: MODEL };
        const { results } = await c.result('batch_tokenize', { requests: items });
        assert.equal(results.length, 40);
        for (const [i, r] of results.entries()) {
            if (i === 7 || i === 9) {
                assert.equal(r.success, false);
                assert.equal(r.result, null);
                assert.match(r.error, i === 7 ? /not loaded/ : /text/);
            } else {
                assert.deepEqual(r, { success: true, result: await c.result('tokenize', items[i]), error: null });
            }
        }
        assert.deepEqual(await c.result('batch_tokenize', { requests: [] }), { results: [] });
        const many = Array.from({ length: 100 }, () => ({ model_id: MODEL, text: 'word '.repeat(400) }));
        const big = (await c.result('batch_tokenize', { requests: many })).results;
        assert.equal(big.length, 100);
        assert.ok(big[0].success && !('token_strings' in big[0].result));
        assert.match(big[99].error, /too long/);
        const back = await c.result('batch_detokenize', { requests: [{ model_id: MODEL, tokens: results[0].result.tokens }, { model_id: MODEL, tokens: 'x' }] });
        assert.equal(back.results[0].result.text.trim(), 'item 0');
        assert.equal(back.results[1].success, false);
    });
});

await test('4: check_draft compares two loaded models', async () => {
    await withChild(async (c) => {
        await load(c);
        await load(c, 'draft', draft);
        const r = await c.result('check_draft', { primary_id: MODEL, draft_id: 'draft' });
        assert.equal(r.compatible, true);
        assert.deepEqual(r.errors, []);
        assert.equal(r.details.primary_model.id, MODEL);
        assert.equal(r.details.draft_model.id, 'draft');
        assert.equal(r.details.primary_model.vocab_size, r.details.draft_model.vocab_size);
        assert.match(r.details.performance_estimate.expected_speedup, /^\d\.\d\dx$/);
        assert.match(r.details.performance_estimate.size_ratio, /^\d+\.\d%$/);
        const self = await c.result('check_draft', { primary_id: MODEL, draft_id: MODEL });
        assert.match(self.warnings.join(), /not smaller/);
        assert.equal(self.details.performance_estimate.recommendation, 'May not provide significant speedup');
        const batch = await c.result('batch_check_draft', { requests: [{ primary_id: MODEL, draft_id: 'draft' }, { primary_id: MODEL, draft_id: 'no' }] });
        assert.deepEqual(batch.results[0].result, r);
        assert.deepEqual([batch.results[1].success, batch.results[1].result], [false, null]);
        assert.match(batch.results[1].error, /not loaded/);
        assert.equal((await c.error('check_draft', { primary_id: 'no', draft_id: MODEL })).code, -32005);
    });
});

await test('4: generate: handshake, defaults, unique names, prompt_tokens', async () => {
    await withChild(async (c) => {
        await load(c);
        const before = Date.now() / 1000;
        const r = await c.result('generate', gen('g', { max_tokens: 6 }));
        assert.equal(r.stream_id, 'g');
        assert.ok(Math.abs(r.started_at - before) < 60);
        await c.ended('g');
        const named = await c.result('generate', { model_id: MODEL, prompt: 'x', max_tokens: 2, temperature: 0 });
        assert.match(named.stream_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        await c.result('generate', gen('twice', { max_tokens: 500, ignore_eos: true }));
        const error = await c.error('generate', gen('twice'));
        assert.equal(error.code, -32602);
        assert.match(error.message, /Stream ID 'twice' is already in use/);
        const { tokens } = await c.result('tokenize', { model_id: MODEL, text: '12 + 7 = ' });
        await c.result('generate', { model_id: MODEL, prompt: '', prompt_tokens: tokens, stream_id: 'ids', max_tokens: 6, temperature: 0 });
        await c.ended('ids');
        assert.equal(c.text('ids'), c.text('g'));
        await c.result('cancel', { stream_id: 'twice' });
        assert.equal((await c.ended('twice')).finish_reason, 'cancelled');
    });
});

await test('4: what the reference only declared works: seed, stop, penalties, dtype, guidance', async () => {
    await withChild(async (c) => {
        await load(c);
        const run = async (id, more) => {
            await c.result('generate', gen(id, { max_tokens: 24, ignore_eos: true, ...more }));
            const end = await c.ended(id);
            return { end, text: c.text(id), ids: c.tokens(id).map((t) => t.token_id) };
        };
        const hot = { temperature: 1.5, prompt: 'count: ' };
        const a = await run('a', { ...hot, seed: 1 });
        const b = await run('b', { ...hot, seed: 1 });
        const d = await run('d', { ...hot, seed: 2 });
        assert.deepEqual(a.ids, b.ids);
        assert.notDeepEqual(a.ids, d.ids);
        assert.equal(a.end.finish_reason, 'length');
        const plain = await run('plain', {});
        const cut = plain.text.slice(4, 6);
        const stopped = await run('stopped', { stop_sequences: [cut] });
        assert.equal(stopped.text, plain.text.slice(0, plain.text.indexOf(cut)));
        assert.equal(stopped.end.finish_reason, 'stop');
        const byId = await run('byId', { stop_token_ids: [plain.ids[3], 999999] });
        assert.deepEqual(byId.ids, plain.ids.slice(0, plain.ids.indexOf(plain.ids[3])));
        const most = ({ ids }) => Math.max(...ids.map((id) => ids.filter((other) => other === id).length));
        const long = { max_tokens: 100, prompt: 'count: ' };
        const usual = await run('usual', long);
        assert.ok(most(await run('spread', { ...long, frequency_penalty: 2, presence_penalty: 2 })) < most(usual));
        assert.ok(most(await run('repeat', { ...long, repetition_penalty: 5 })) < most(usual));
        const dtype = await c.error('generate', gen('x', { required_dtype: 'f64' }));
        assert.equal(dtype.code, -32002);
        assert.match(dtype.message, /Generation failed for demo: required_dtype/);
        const guidance = await c.error('generate', gen('x', { guidance: { mode: 'xml', schema: '<a/>' } }));
        assert.equal(guidance.code, -32004);
        assert.match(guidance.message, /Guidance error for demo: /);
        assert.equal(guidance.data.model_id, MODEL);
        const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false };
        const guided = await run('guided', { max_tokens: 64, guidance: { mode: 'json_schema', schema, temperature: 1.5 } });
        assert.equal(typeof JSON.parse(guided.text).n, 'number');
        assert.equal(guided.end.finish_reason, 'stop');
    });
});

await test('4: batch_generate starts every item that can be started', async () => {
    await withChild(async (c) => {
        await load(c);
        const requests = [gen('b1', { max_tokens: 5 }), gen('b2', { max_tokens: 9999 }), gen('b3', { model_id: 'absent' }), gen('b4', { max_tokens: 5 })];
        const { results } = await c.result('batch_generate', { requests });
        assert.deepEqual(results.map((r) => r.success), [true, false, false, true]);
        assert.equal(results[0].result.stream_id, 'b1');
        assert.equal(results[0].error, null);
        assert.equal(results[1].result, null);
        assert.match(results[1].error, /max_tokens/);
        assert.match(results[2].error, /not loaded/);
        await c.ended('b1');
        await c.ended('b4');
        assert.equal(c.text('b1'), c.text('b4'));
        assert.deepEqual(await c.result('batch_generate', { requests: [] }), { results: [] });
    });
});

await test('4: batch_generate_parallel replies null when all have ended', async () => {
    await withChild(async (c) => {
        await load(c);
        const requests = ['p1', 'p2', 'p3'].map((id) => gen(id, { max_tokens: 12, ignore_eos: true }));
        assert.equal(await c.result('batch_generate_parallel', { requests }), null);
        for (const { stream_id: id } of requests) assert.equal(c.last(id).stats.finish_reason, 'length');
        assert.equal(await c.result('batch_generate_parallel', { requests: [] }), null);
        const five = Array.from({ length: 5 }, (_, i) => gen(`q${i}`));
        assert.match((await c.error('batch_generate_parallel', { requests: five })).message, /batch_size \(4\)/);
        const mixed = [gen('m1'), gen('m2', { model_id: 'other' })];
        assert.match((await c.error('batch_generate_parallel', { requests: mixed })).message, /same model/);
    });
});

await test('4: get_batcher_* and runtime/telemetry count what has been done', async () => {
    await withChild(async (c) => {
        await load(c);
        assert.equal(await c.result('continuous_generate', gen('c', { max_tokens: 10, ignore_eos: true })), null);
        await c.ended('c');
        const metrics = await c.result('get_batcher_metrics', { model_id: MODEL });
        assert.ok(metrics.latency.p50_ms > 0 && metrics.latency.max_ms >= metrics.latency.min_ms);
        assert.ok(metrics.throughput.tokens_per_sec_60s > 0);
        assert.deepEqual(metrics.batch_size.distribution, { 1: 1 });
        const health = await c.result('get_batcher_health', { model_id: MODEL });
        assert.equal(health.healthy, true);
        assert.equal(health.running, true);
        assert.deepEqual([health.total_requests, health.completed_requests, health.active_batch_size], [1, 1, 0]);
        assert.deepEqual(health.error_indicators, []);
        const week4 = await c.result('get_week4_metrics', { model_id: MODEL });
        assert.equal(week4.memory_controller.enabled, true);
        assert.equal(week4.prompt_cache.total_requests, 1);
        assert.ok('memory_utilization' in week4.week4_summary);
        await c.result('tokenize', { model_id: MODEL, text: 'x' });
        const telemetry = await c.result('runtime/telemetry');
        assert.equal(telemetry.enabled, true);
        assert.deepEqual([telemetry.generation.calls, telemetry.generation.total_tokens], [1, 10]);
        assert.equal(telemetry.tokenization.calls, 1);
        assert.ok('cpu_tokenizer' in telemetry.native_optimizations.enabled);
    });
});

await test('4 (ours): chat, embeddings, models.list', async () => {
    await withChild(async (c) => {
        await load(c);
        const messages = [{ role: 'user', content: 'What is 12 + 7?' }];
        const { stream_id: id } = await c.result('chat', { model_id: MODEL, messages, temperature: 0, max_tokens: 32 });
        assert.equal((await c.ended(id)).finish_reason, 'stop');
        assert.match(c.text(id), /19/);
        const { embeddings, prompt_tokens: n } = await c.result('embeddings', { model_id: MODEL, input: ['a', 'b', 'a'] });
        assert.equal(embeddings.length, 3);
        assert.deepEqual(embeddings[0], embeddings[2]);
        assert.notDeepEqual(embeddings[0], embeddings[1]);
        assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-3 && n > 0);
        assert.equal((await c.error('embeddings', { model_id: MODEL, input: [1] })).code, -32602);
        assert.equal((await c.result('models.list')).models[0].model_id, MODEL);
    });
});

// ---- 5. stream notifications ----

function hasNull(value) {
    return value === null || (typeof value === 'object' && Object.values(value).some(hasNull));
}

await test('5: chunks, then stats once, then the event once; nothing is null; lines are short', async () => {
    await withChild(async (c) => {
        await load(c);
        const ids = ['o1', 'o2', 'o3', 'o4'];
        await c.result('batch_generate', { requests: ids.map((id) => gen(id, { max_tokens: 300, ignore_eos: true })) });
        for (const id of ids) {
            const end = await c.ended(id);
            const all = c.notifications(id);
            const kinds = all.map((n) => n.method);
            assert.deepEqual(kinds.slice(-2), ['stream.stats', 'stream.event']);
            assert.ok(kinds.slice(0, -2).every((k) => k === 'stream.chunk'));
            assert.deepEqual(end, { stream_id: id, event: 'completed', finish_reason: 'length', is_final: true });
            const stats = all.at(-2).params;
            assert.equal(stats.tokens_generated, 300);
            assert.ok(stats.total_time >= stats.time_to_first_token && stats.time_to_first_token > 0 && stats.total_time < 300);
            assert.ok(Math.abs(stats.tokens_per_second - 300 / (stats.total_time - stats.time_to_first_token)) < 1 + stats.tokens_per_second / 100);
            assert.ok(!hasNull(all));
            for (const { params } of all.slice(0, -2)) {
                if (params.is_batch) {
                    assert.equal(params.batch_size, params.tokens.length);
                    assert.ok(params.tokens.length > 1 && params.tokens.length <= 16);
                } else {
                    assert.equal(params.is_final, false);
                }
            }
            let text = '';
            for (const t of c.tokens(id)) {
                assert.ok(Number.isInteger(t.token_id) && t.token_id >= 0);
                text += t.token;
                if (t.cumulative_text !== undefined) assert.equal(t.cumulative_text, text);
            }
        }
        assert.ok(Math.max(...c.lines.map((l) => l.length)) < 16384);
    });
});

await test('5: logprob is that of the chosen token', async () => {
    await withChild(async (c) => {
        await load(c);
        await c.result('generate', gen('l', { max_tokens: 8, logprobs: true, top_logprobs: 3, ignore_eos: true }));
        await c.ended('l');
        for (const t of c.tokens('l')) {
            assert.equal(t.top_logprobs.length, 3);
            assert.equal(t.top_logprobs[0].token_id, t.token_id); // greedy
            assert.equal(t.top_logprobs[0].logprob, t.logprob);
            assert.ok(t.logprob <= 0);
        }
        await c.result('generate', gen('n', { max_tokens: 3 }));
        await c.ended('n');
        assert.ok(c.tokens('n').every((t) => !('logprob' in t)));
    });
});

await test('5: a failure found late is an error event without stats', async () => {
    await withChild(async (c) => {
        await c.result('load_model', { model_id: MODEL, local_path: demo, context_length: 128 });
        const reply = await c.call('generate', gen('f', { prompt: 'word '.repeat(2000) }));
        assert.ok(reply.result);
        const end = await c.ended('f');
        assert.equal(end.event, 'error');
        assert.equal(end.is_final, true);
        assert.match(end.error, /Generation failed for demo: /);
        assert.ok(!('finish_reason' in end));
        assert.deepEqual(c.notifications('f').map((n) => n.method), ['stream.event']);
    });
});

await test('5: a deadline ends a stream as timeout', async () => {
    await withChild(async (c) => {
        await load(c);
        await c.result('generate', gen('t', { max_tokens: 4000, ignore_eos: true, timeout_ms: 60 }));
        assert.equal((await c.ended('t')).finish_reason, 'timeout');
        assert.equal(c.notifications('t').at(-2).method, 'stream.stats');
    });
});

await test('5: continuous_generate: single chunks, no stats message, stats in the last event', async () => {
    await withChild(async (c) => {
        await load(c);
        assert.equal(await c.result('continuous_generate', gen('c1', { max_tokens: 40, ignore_eos: true })), null);
        const end = await c.ended('c1');
        assert.equal(end.event, 'completed');
        assert.deepEqual(Object.keys(end.stats).sort(), ['duration_ms', 'finish_reason', 'tokens_generated', 'tokens_per_sec', 'ttft_ms']);
        assert.equal(end.stats.tokens_generated, 40);
        const chunks = c.notifications('c1').slice(0, -1);
        assert.equal(chunks.length, 40);
        assert.ok(chunks.every((n) => n.method === 'stream.chunk' && !n.params.tokens && !('cumulative_text' in n.params)));
        await c.result('continuous_generate', { model_id: MODEL, prompt: 'What is 12 + 7?', request_id: 'by-request', temperature: 0, max_tokens: 50 });
        assert.equal((await c.ended('by-request')).stats.finish_reason, 'eos');
    });
});

// ---- the Unix socket, and what is ours ----

const socketPath = join(scratch, 'rpc.sock');
const server = new Child(krs, ['serve', demo, '--no-tcp', '--rpc-socket', socketPath, '--model-id', MODEL, '--log-level', 'warn'], {});
await server.ready('speaking JSON-RPC');

await test('socket: only this user may open it', async () => {
    assert.equal(statSync(socketPath).mode & 0o777, 0o600);
});

await test('socket: several clients, each with its own streams', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => connectUnix(socketPath)));
    await Promise.all(clients.map((c) => c.result('generate', gen('same name', { max_tokens: 50, ignore_eos: true }))));
    await Promise.all(clients.map((c) => c.ended('same name')));
    assert.equal(new Set(clients.map((c) => c.text('same name'))).size, 1);
    for (const c of clients) c.socket.destroy();
});

await test('socket: credit is exact, and cancel ends what waits for it', async () => {
    const c = await connectUnix(socketPath);
    await c.result('generate', gen('k', { max_tokens: 100, ignore_eos: true, credit: 5 }));
    await c.until(() => c.tokens('k').length >= 5, 'five tokens');
    await sleep(300);
    assert.equal(c.tokens('k').length, 5);
    assert.deepEqual(await c.result('stream.credit', { stream_id: 'k', n: 3 }), { granted: 3 });
    await c.until(() => c.tokens('k').length >= 8, 'eight tokens');
    await sleep(200);
    assert.equal(c.tokens('k').length, 8);
    assert.deepEqual(await c.result('stream.credit', { stream_id: 'none', n: 3 }), { granted: 0 });
    assert.deepEqual(await c.result('cancel', { stream_id: 'k' }), { cancelled: true });
    assert.equal((await c.ended('k')).finish_reason, 'cancelled');
    assert.deepEqual(await c.result('cancel', { stream_id: 'k' }), { cancelled: false });
    c.notify('stream.credit', { stream_id: 'k', n: 1 });
    assert.equal((await c.result('runtime/state')).active_streams, 0);
    c.socket.destroy();
});

await test('socket: a client that vanishes leaves no stream behind', async () => {
    const c = await connectUnix(socketPath);
    const watcher = await connectUnix(socketPath);
    for (let i = 0; i < 10; i++) await c.result('generate', gen(`v${i}`, { max_tokens: 1500, ignore_eos: true }));
    assert.ok((await watcher.result('runtime/state')).active_streams > 0);
    c.socket.destroy();
    for (let n = 1; n > 0; await sleep(10)) n = (await watcher.result('runtime/state')).active_streams;
    await watcher.result('generate', gen('after', { max_tokens: 5 }));
    await watcher.ended('after');
    watcher.socket.destroy();
});

await test('socket: a client that does not read delays nobody', async () => {
    const lazy = await connectUnix(socketPath);
    await lazy.result('generate', gen('lazy', { max_tokens: 1500, ignore_eos: true, prompt: 'count: ' }));
    lazy.socket.pause();
    const c = await connectUnix(socketPath);
    await c.result('generate', gen('busy', { max_tokens: 200, ignore_eos: true, prompt: 'count: ' }));
    await c.ended('busy');
    lazy.socket.resume();
    assert.equal((await lazy.ended('lazy')).finish_reason, 'length');
    assert.equal(lazy.tokens('lazy').length, 1500);
    lazy.socket.destroy();
    c.socket.destroy();
});

await test('socket: events of the server reach those who asked, and only those topics', async () => {
    const c = await connectUnix(socketPath);
    assert.deepEqual(await c.result('events.subscribe', { topics: ['model.*'] }), { topics: ['model.*'] });
    assert.equal((await c.error('events.subscribe', { topics: ['no.such'] })).code, -32602);
    await c.result('events.subscribe', { topics: ['model.*'] });
    await c.result('load_model', { model_id: 'second', local_path: draft });
    await c.result('unload_model', { model_id: 'second' });
    await c.until(() => c.events.some((e) => e.event === 'model.unloaded'), 'model.unloaded');
    assert.ok(c.events.some((e) => e.event === 'model.loaded' && e.model === 'second'));
    assert.ok(c.events.every((e) => e.event.startsWith('model.')));
    c.socket.destroy();
});

// MessagePack, as much of it as the other side writes.
function unpack(bytes) {
    let at = 0;
    const num = (n) => {
        let x = 0;
        for (let i = 0; i < n; i++) x = x * 256 + bytes[at++];
        return x;
    };
    const str = (n) => bytes.toString('utf8', at, (at += n));
    const list = (n) => Array.from({ length: n }, value);
    const map = (n) => Object.fromEntries(Array.from({ length: n }, () => [value(), value()]));
    function value() {
        const t = bytes[at++];
        if (t < 0x80) return t;
        if (t < 0x90) return map(t & 15);
        if (t < 0xa0) return list(t & 15);
        if (t < 0xc0) return str(t & 31);
        if (t >= 0xe0) return t - 256;
        switch (t) {
            case 0xc0: return null;
            case 0xc2: return false;
            case 0xc3: return true;
            case 0xcb: at += 8; return bytes.readDoubleBE(at - 8);
            case 0xcc: case 0xcd: case 0xce: case 0xcf: return num(1 << (t - 0xcc));
            case 0xd9: return str(num(1));
            case 0xda: return str(num(2));
            case 0xdc: return list(num(2));
            case 0xde: return map(num(2));
            default: throw new Error(`type ${t}`);
        }
    }
    const result = value();
    assert.equal(at, bytes.length);
    return result;
}

// Small maps, strings below 65536 bytes, integers below 2^31: enough to ask.
function pack(value) {
    if (typeof value === 'string') {
        const b = Buffer.from(value);
        return Buffer.concat([Buffer.from([0xda, b.length >> 8, b.length & 255]), b]);
    }
    if (typeof value === 'number') {
        const b = Buffer.alloc(5);
        b[0] = 0xd2;
        b.writeInt32BE(value, 1);
        return b;
    }
    if (typeof value === 'boolean') return Buffer.from([value ? 0xc3 : 0xc2]);
    const entries = Object.entries(value);
    return Buffer.concat([Buffer.from([0x80 | entries.length]), ...entries.flatMap(([k, v]) => [pack(k), pack(v)])]);
}

await test('socket: after rpc.negotiate both sides speak MessagePack', async () => {
    const c = await connectUnix(socketPath);
    assert.equal((await c.result('rpc.negotiate', { framing: 'msgpack', max_line_bytes: 65536 })).framing, 'msgpack');
    const messages = [];
    let left = Buffer.alloc(0);
    c.read = (chunk) => {
        left = Buffer.concat([left, chunk]);
        while (left.length >= 4 && left.length >= 4 + left.readUInt32BE(0)) {
            const n = left.readUInt32BE(0);
            messages.push(unpack(left.subarray(4, 4 + n)));
            left = left.subarray(4 + n);
        }
        c.wake();
    };
    const send = (message) => {
        const body = pack(message);
        const head = Buffer.alloc(4);
        head.writeUInt32BE(body.length);
        c.write(Buffer.concat([head, body]));
    };
    const params = { model_id: MODEL, prompt: '12 + 7 = ', stream_id: 'mp', temperature: 0, max_tokens: 40, ignore_eos: true, logprobs: true };
    send({ jsonrpc: '2.0', method: 'generate', params, id: 1 });
    await c.until(() => messages.some((m) => m.method === 'stream.event'), 'the last event');
    assert.equal(messages.find((m) => m.id === 1).result.stream_id, 'mp');
    const tokens = messages.filter((m) => m.method === 'stream.chunk').flatMap((m) => m.params.tokens ?? [m.params]);
    assert.equal(tokens.length, 40);
    assert.ok(tokens.every((t) => t.logprob <= 0));
    const json = await connectUnix(socketPath);
    await json.result('generate', params);
    await json.ended('mp');
    assert.equal(tokens.map((t) => t.token).join(''), json.text('mp'));
    send({ jsonrpc: '2.0', method: 'rpc.negotiate', params: { framing: 'json' }, id: 2 });
    await c.until(() => messages.some((m) => m.id === 2), 'the way back');
    delete c.read;
    assert.ok(await c.result('runtime/state'));
    json.socket.destroy();
    c.socket.destroy();
});

await test('socket: shutdown ends the connection, not the server', async () => {
    const c = await connectUnix(socketPath);
    assert.deepEqual(await c.result('shutdown'), { success: true });
    await new Promise((r) => (c.socket.destroyed ? r() : c.socket.on('close', r)));
    const again = await connectUnix(socketPath);
    assert.ok(await again.result('runtime/state'));
    again.socket.destroy();
});

await test('socket: SIGTERM drains: running streams end, the socket file goes', async () => {
    const c = await connectUnix(socketPath);
    await c.result('generate', gen('drain', { max_tokens: 100, ignore_eos: true }));
    server.process.kill('SIGTERM');
    assert.equal((await c.ended('drain')).event, 'completed');
    assert.equal((await server.exit).code, 0);
    assert.throws(() => statSync(socketPath));
});

server.process.kill('SIGKILL');
rmSync(scratch, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
