// The API returns texts of guests, agents and authors of objects. None of them may control the terminal of the reader.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { restart } from '../../kubectl/annotate.ts';
import type { CommandPorts } from '../../kubectl/commands.ts';
import { console } from '../../kubectl/console.ts';
import { document } from '../../kubectl/document.ts';
import { exec } from '../../kubectl/exec.ts';
import { logs } from '../../kubectl/logs.ts';
import { status } from '../../kubectl/status.ts';
import { channels } from '../../protocol/subresources.ts';
import { runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';

/** Clears the screen, sets the title, reverses the text, and uses a C1 byte and a carriage return. */
const hostile = '\u001b[2J\u001b]0;owned\u0007\u202egnp.exe\u2066\u009b31m\rerror: none';
const steering = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;
const size = { height: 24, width: 80 };

let server: http.Server;
let folder: string;
let kubeconfig: string;
/** The answer to every request. */
let answers: { readonly code: number; readonly body: string | Buffer };
/** The messages that every WebSocket receives, by channel. */
let told: readonly (readonly [number, string])[] = [];

beforeAll(async () => {
  server = http.createServer((_request, response) => response.writeHead(answers.code).end(answers.body));
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (told.length === 0) {
      const text = `HTTP/1.1 ${answers.code} X\r\nContent-Length: ${Buffer.byteLength(answers.body)}\r\n\r\n`;
      socket.end(text + answers.body.toString());
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      for (const [channel, text] of told) webSocket.send(Buffer.concat([Buffer.of(channel), Buffer.from(text)]));
      webSocket.close(1000);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  folder = await mkdtemp(join(tmpdir(), 'hostile-'));
  kubeconfig = join(folder, 'kubeconfig');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = {
    clusters: [{ name: 'c', cluster: { server: address, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const run = (command: (ports: CommandPorts) => Promise<number>, terminal = new StandInTerminal(size)) =>
  runAt(terminal, kubeconfig, command);
const started = [channels.status, '{"type":"started"}'] as const;
const says = (message: object) => [channels.status, JSON.stringify(message)] as const;
const answer = (body: object | string | Buffer, code = 200) => {
  told = [];
  answers = { code, body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) };
};

describe('kubectl luvm escapes terminal control characters', () => {
  it('in every field of a status', async () => {
    const metadata = { name: hostile, namespace: hostile, deletionTimestamp: hostile };
    const condition = { type: hostile, status: 'False', reason: 'R', message: `${hostile}\nReady is True` };
    answer({
      metadata,
      spec: { runStrategy: hostile },
      status: {
        phase: 'Running',
        nodeName: hostile,
        conditions: [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }],
        warnings: [hostile],
        lastExit: { time: '2026-01-01T00:00:00Z', type: 'GuestExited', message: hostile },
        guest: { osType: hostile, protocolVersion: 4 },
        guestLog: { total: 2, dropped: 0, head: [hostile], tail: [hostile] },
      },
    });
    const { code, stdout } = await run((ports) => status({ names: ['vm'] }, ports));
    expect(code).toBe(0);
    expect(stdout).not.toMatch(steering);
    expect(stdout).toContain('\\x1b[2J');
    // A message cannot begin a line of its own either.
    expect(stdout).not.toMatch(/^Ready is True/m);
  });

  it('in a status that cannot be read', async () => {
    const spec = { runStrategy: hostile };
    answer({ metadata: { name: 'vm', namespace: 'default' }, spec, status: { phase: hostile, [hostile]: 1 } });
    const { stdout } = await run((ports) => status({ names: ['vm'] }, ports));
    expect(stdout).toContain('its status cannot be read');
    expect(stdout).not.toMatch(steering);
  });

  it.each<[string, (ports: CommandPorts) => Promise<number>]>([
    ['status', (ports) => status({ names: ['vm'] }, ports)],
    ['restart', (ports) => restart({ names: ['vm'] }, ports)],
    ['logs', (ports) => logs('vm', { follow: false, previous: false }, ports)],
    ['document', (ports) => document('vm', { pretty: false }, ports)],
    ['exec', (ports) => exec('vm', ['id'], { stdin: false, tty: false }, ports)],
    ['console', (ports) => console('vm', ports)],
  ])('in an error: %s', async (_name, command) => {
    for (const body of [{ kind: 'Status', code: 409, reason: hostile, message: hostile }, `<html>${hostile}`]) {
      answer(body, 409);
      const { code, stderr } = await run(command);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^error: .*\\x1b\[2J/);
      expect(stderr).not.toMatch(steering);
    }
  });

  it('in the end or the error of a process or a console', async () => {
    told = [
      started,
      says({ type: 'refused', message: hostile }),
      says({ type: 'failed', problem: hostile, message: hostile }),
    ];
    const process = await run((ports) => exec('vm', ['id'], { stdin: false, tty: false }, ports));
    const port = await run((ports) => console('vm', ports));
    for (const { code, stderr } of [process, port]) {
      expect(code).toBe(1);
      expect(stderr).toContain('error: \\x1b[2J');
      // A terminal in raw mode needs both characters at the end of a line.
      expect(stderr.replaceAll('\r\n', '\n')).not.toMatch(steering);
    }
  });
});

describe('output of a guest', () => {
  const lines = Buffer.concat([Buffer.from(`1.1 ${hostile}\n1.2 größer\t`), Buffer.of(0xff, 0x0a)]);
  const log = (terminal: StandInTerminal) =>
    run((ports) => logs('vm', { follow: false, previous: false }, ports), terminal);

  it('is escaped in a log for a terminal', async () => {
    answer(lines);
    const { stdout } = await log(new StandInTerminal(size));
    expect(stdout).toContain('\\x1b[2J');
    expect(stdout).toContain('\ngrößer\t\ufffd\n');
    expect(stdout).not.toMatch(steering);
  });

  it('is written to a file unchanged, byte for byte', async () => {
    answer(lines);
    const terminal = new StandInTerminal();
    const chunks: Buffer[] = [];
    terminal.output.on('data', (chunk: Buffer) => chunks.push(chunk));
    await log(terminal);
    expect(Buffer.concat(chunks).toString('latin1')).toBe(lines.toString('latin1').replaceAll(/^1\.\d /gm, ''));
  });

  it('is escaped in a document for a terminal, and only there', async () => {
    const text = JSON.stringify({ a: '\u202e\u009b' });
    answer(text);
    for (const pretty of [true, false]) {
      const shown = await run((ports) => document('vm', { pretty }, ports));
      expect(shown.stdout).toContain('\\u202e\\x9b');
      expect(shown.stdout).not.toMatch(steering);
    }
    const written = await run((ports) => document('vm', { pretty: false }, ports), new StandInTerminal());
    expect(written.stdout).toBe(`${text}\n`);
  });

  it('is written unchanged to the terminal that the guest controls: exec and console', async () => {
    told = [started, [channels.stdout, hostile], says({ type: 'exited', exitCode: 0 })];
    expect((await run((ports) => exec('vm', ['id'], { stdin: false, tty: true }, ports))).stdout).toBe(hostile);
  });
});

describe('a refusal', () => {
  const forbidden = { kind: 'Status', code: 403, reason: 'Forbidden', message: 'no' };

  it('names the missing verb', async () => {
    answer(forbidden, 403);
    const { stderr } = await run((ports) => exec('vm', ['id'], { stdin: false, tty: false }, ports));
    const needs = 'needs the verb create on linuxutilityvms';
    expect(stderr).toBe(`error: no: exec ${needs}/exec, besides get (API group subresources.lcow.dev)\n`);
    expect((await run((ports) => console('vm', ports))).stderr).toContain(`console ${needs}/console`);
  });

  it('by the policy of a guest does not suggest a verb', async () => {
    answer({ ...forbidden, reason: 'ExecNotAllowed', message: 'not by the policy' }, 403);
    const { stderr } = await run((ports) => exec('vm', ['id'], { stdin: false, tty: false }, ports));
    expect(stderr).toBe('error: not by the policy\n');
  });
});

it('a name with special characters cannot lead to another path', async () => {
  answer({});
  for (const name of ['..', '.', '']) {
    const { code, stderr } = await run((ports) => restart({ names: [name] }, ports));
    expect([code, stderr]).toEqual([1, `error: "${name}" is not the name of an object\n`]);
  }
});
