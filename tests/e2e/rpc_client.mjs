// tests/e2e/rpc_client.mjs - a JSON-RPC client that reads as the contract's own client does.
//
// Its rule is fatal and checked on every read: what was left of an unfinished line, plus the new bytes, may not
// pass 65536. Notifications are kept by stream; whoever waits for something gets it, or a clear error.
import { spawn } from 'node:child_process';
import { connect } from 'node:net';

export const MAX_LINE_BUFFER = 65536;
const WAIT_MS = 180000; // so that in vain means never, on the busiest machine

export class RpcClient {
    constructor(input, output) {
        this.input = input; // we write
        this.nextId = 1;
        this.pending = new Map();
        this.streams = new Map(); // stream_id -> notifications
        this.events = [];
        this.lines = [];
        this.waiters = [];
        this.left = Buffer.alloc(0);
        this.overrun = 0;
        this.largest = 0;
        this.isEnded = false;
        output.on('data', (chunk) => this.read(chunk));
        output.on('end', () => this.end());
        output.on('close', () => this.end());
        output.on('error', () => this.end());
        input.on('error', () => {});
    }

    read(chunk) {
        const n = this.left.length + chunk.length;
        this.largest = Math.max(this.largest, n);
        if (n > MAX_LINE_BUFFER) this.overrun = Math.max(this.overrun, n);
        this.left = Buffer.concat([this.left, chunk]);
        let at;
        while ((at = this.left.indexOf(10)) >= 0) {
            const line = this.left.subarray(0, at).toString('utf8');
            this.left = this.left.subarray(at + 1);
            this.take(line, JSON.parse(line));
        }
        this.wake();
    }

    take(line, message) {
        this.lines.push(line);
        if (message.method === undefined) {
            const waiting = this.pending.get(message.id);
            this.pending.delete(message.id);
            if (waiting) waiting(message);
            else this.stray = message;
        } else if (message.method === 'event') {
            this.events.push(message.params);
        } else {
            const id = message.params.stream_id;
            if (!this.streams.has(id)) this.streams.set(id, []);
            this.streams.get(id).push(message);
        }
    }

    wake() {
        for (const waiter of [...this.waiters]) waiter();
    }

    end() {
        this.isEnded = true;
        for (const resolve of this.pending.values()) resolve({ ended: true });
        this.pending.clear();
        this.wake();
    }

    write(text) {
        this.input.write(text);
    }

    // The whole reply. The key order is the contract's client's: id last.
    call(method, params, id = this.nextId++) {
        const reply = this.reply(id, method);
        this.write(JSON.stringify({ jsonrpc: '2.0', method, params, id }) + '\n');
        return reply;
    }

    reply(id, what = '') {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error(`no reply to ${what} ${id}`)), WAIT_MS);
            this.pending.set(id, (message) => {
                clearTimeout(timer);
                resolve(message);
            });
        });
    }

    async result(method, params) {
        const reply = await this.call(method, params);
        if (!('result' in reply)) throw new Error(`${method}: ${JSON.stringify(reply.error ?? reply)}`);
        return reply.result;
    }

    async error(method, params) {
        const reply = await this.call(method, params);
        if (!reply.error) throw new Error(`${method}: no error but ${JSON.stringify(reply.result)}`);
        return reply.error;
    }

    notify(method, params) {
        this.write(JSON.stringify({ jsonrpc: '2.0', method, params }) + '\n');
    }

    until(condition, what) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => finish(new Error(`waited in vain for ${what}`)), WAIT_MS);
            const finish = (failure) => {
                clearTimeout(timer);
                this.waiters.splice(this.waiters.indexOf(look), 1);
                if (failure) reject(failure);
                else resolve();
            };
            const look = () => {
                if (condition()) finish();
                else if (this.isEnded) finish(new Error(`the connection ended before ${what}`));
            };
            this.waiters.push(look);
            look();
        });
    }

    notifications(id) {
        return this.streams.get(id) ?? [];
    }

    tokens(id) {
        return this.notifications(id)
            .filter((n) => n.method === 'stream.chunk')
            .flatMap((n) => n.params.tokens ?? [n.params]);
    }

    text(id) {
        return this.tokens(id)
            .map((t) => t.token)
            .join('');
    }

    last(id) {
        return this.notifications(id).find((n) => n.method === 'stream.event')?.params;
    }

    async ended(id) {
        await this.until(() => this.last(id), `the end of ${id}`);
        return this.last(id);
    }
}

// krs stdio exactly as the contract's client starts it.
export class Child {
    constructor(krs, args = ['stdio'], options = {}) {
        this.process = spawn(krs, args, {
            stdio: ['pipe', 'pipe', 'pipe'],
            env: { ...process.env, PYTHONUNBUFFERED: '1', ...options.env },
            cwd: options.cwd,
        });
        this.stderr = '';
        this.process.stderr.on('data', (chunk) => (this.stderr += chunk));
        this.client = new RpcClient(this.process.stdin, this.process.stdout);
        this.exit = new Promise((resolve) => this.process.on('exit', (code, signal) => resolve({ code, signal })));
    }

    async ready(words = 'MLX Runtime ready') {
        for (const end = Date.now() + WAIT_MS; !this.stderr.includes(words); ) {
            if (Date.now() > end || this.process.exitCode !== null) throw new Error(`not ready: ${this.stderr}`);
            await new Promise((resolve) => setTimeout(resolve, 5));
        }
        return this.client;
    }

    async stop() {
        this.process.stdin.end();
        const timer = setTimeout(() => this.process.kill('SIGKILL'), WAIT_MS);
        const end = await this.exit;
        clearTimeout(timer);
        return end;
    }
}

export function connectUnix(path) {
    return new Promise((resolve, reject) => {
        const socket = connect(path);
        socket.on('connect', () => {
            const client = new RpcClient(socket, socket);
            client.socket = socket;
            resolve(client);
        });
        socket.on('error', reject);
    });
}
