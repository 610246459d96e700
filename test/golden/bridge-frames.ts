// Sends the golden requests through the bridge and compares whole frames (README.md, bridge-frames.json); reads the
// golden responses back: `node test/golden/bridge-frames.ts FILE…`. Requests that this host never sends are left out.
import { readFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { z } from 'zod';
import { GuestBridge } from '../../agent/guest/bridge/bridge.ts';
import { FrameReader } from '../../agent/guest/bridge/frames.ts';
import type { GuestModification } from '../../agent/guest/bridge/guest-modification.ts';
import { nullId } from '../../agent/guest/bridge/messages.ts';
import type { GuestCommand } from '../../agent/guest/bridge/process-request.ts';
import { systemClock } from '../../runtime/clock.ts';
import { parseExact } from './exact-json.ts';

/** Up to 64 bits; the second is one that a double cannot hold. */
const id = z.union([z.int().transform(BigInt), z.bigint()]);
const requestCase = z.object({
  name: z.string(),
  id,
  frameHex: z.string(),
  payloadText: z.string(),
  request: z.looseObject({ message: z.string(), containerId: z.string() }),
});
const responseCase = z.object({ name: z.string(), id, frameHex: z.string(), payloadText: z.string() });
const goldenFile = z.object({ requests: z.array(requestCase), responses: z.array(responseCase) });

export type RequestCase = z.infer<typeof requestCase>;
export type ResponseCase = z.infer<typeof responseCase>;

export function readFrames(file: string): z.infer<typeof goldenFile> {
  return goldenFile.parse(parseExact(readFileSync(file, 'utf8')));
}

const known = { resourceType: z.string(), requestType: z.string() };
const modifications = {
  MappedVirtualDisk: z.object({ ...known, settings: z.looseObject({}) }),
  SCSIDevice: z.object({ ...known, settings: z.looseObject({}) }),
  SecurityPolicy: z.object({ ...known, settings: z.looseObject({}) }),
  SecurityPolicyFragment: z.object({ ...known, settings: z.looseObject({}) }),
  VPCIDevice: z.object({ ...known, settings: z.looseObject({}) }),
  MappedDirectory: z.object({ ...known, settings: z.looseObject({}) }),
  VPMemDevice: z.object({ ...known, settings: z.looseObject({}) }),
  CombinedLayers: z.object({ ...known, settings: z.looseObject({}) }),
  Network: z.object({ ...known, settings: z.looseObject({}) }),
  PodCgroupMemoryLimit: z.object(known),
};

const port = z.int().optional();
const executeRequest = z.object({
  args: z.array(z.string()),
  commandLine: z.string().optional(),
  cwd: z.string(),
  env: z.array(z.string()),
  user: z.string().optional(),
  terminal: z.boolean().default(false),
  consoleSize: z.object({ height: z.int(), width: z.int() }).optional(),
  stdinPort: port,
  stdoutPort: port,
  stderrPort: port,
});
const waitRequest = z.object({ processId: z.int(), timeoutMs: z.int() });
const propertiesRequest = z.object({ containerId: z.string(), types: z.array(z.string()) });

type Ask = (bridge: GuestBridge) => Promise<unknown>;
type Request = RequestCase['request'];

const never = new AbortController().signal;

/** Requests about the VM itself, by message. */
const asks: Readonly<Record<string, (request: Request) => Ask | undefined>> = {
  DumpStacks: () => (bridge) => bridge.dumpStacks(),
  ShutdownGraceful: () => (bridge) => bridge.powerOff(never),
  ShutdownForced: () => (bridge) => bridge.powerOff(never, 'shutdownForced'),
  ExecuteProcess: (request) => askToExecute(executeRequest.parse(request)),
  WaitForProcess: (request) => {
    const { processId, timeoutMs } = waitRequest.parse(request);
    return (bridge) => bridge.wait(processId, timeoutMs).exitCode;
  },
  ModifySettings: (request) => {
    const modification = readModification(request);
    return modification === undefined ? undefined : (bridge) => bridge.modify(modification);
  },
};

/** How our host asks for the same thing, or undefined when it never does. */
export function askFor(request: Request): Ask | undefined {
  if ('ocsc' in request || 'otsc' in request) return undefined;
  if (request.message === 'NegotiateProtocol') return (bridge) => bridge.negotiate(never);
  // "Old query type" asks for the same properties in another way.
  if (request.message === 'GetProperties') {
    const { containerId, types } = propertiesRequest.parse(request);
    return (bridge) => bridge.properties(containerId, types, never);
  }
  return request.containerId === nullId ? asks[request.message]?.(request) : undefined;
}

function askToExecute(request: z.infer<typeof executeRequest>): Ask {
  const { args, commandLine, consoleSize, cwd, env, stderrPort, stdinPort, stdoutPort, terminal, user } = request;
  const command: GuestCommand = {
    args,
    workingDirectory: cwd,
    environment: env,
    ...(commandLine === undefined ? {} : { commandLine }),
    ...(user === undefined ? {} : { user }),
    ...(terminal ? { terminal: consoleSize ?? {} } : {}),
  };
  const ports = {
    ...(stdinPort === undefined ? {} : { stdin: stdinPort }),
    ...(stdoutPort === undefined ? {} : { stdout: stdoutPort }),
    ...(stderrPort === undefined ? {} : { stderr: stderrPort }),
  };
  return (bridge) => bridge.execute(command, ports);
}

function readModification(request: RequestCase['request']): GuestModification | undefined {
  const { resourceType } = z.looseObject({ resourceType: z.string() }).parse(request);
  const schema = Object.entries(modifications).find(([name]) => name === resourceType)?.[1];
  // The golden file speaks of the same settings in the same words.
  return schema === undefined ? undefined : z.custom<GuestModification>().parse(schema.parse(request));
}

/** The frame that the bridge sends, as hexadecimal text. */
export async function sentFrame(ask: Ask, id: bigint): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      resolve(chunk.toString('hex'));
      done();
    },
  });
  const bridge = GuestBridge.connect(stream, { clock: systemClock, firstId: id });
  const answered = ask(bridge).catch((error: unknown) => `not sent: ${error}`);
  const frame = await promise;
  bridge.close();
  await answered;
  return frame;
}

/** What differs when a response is read, or undefined. */
export function responseDifference(testCase: ResponseCase): string | undefined {
  const reader = new FrameReader();
  reader.push(Buffer.from(testCase.frameHex, 'hex'));
  const read = reader.next();
  if (read.kind !== 'frame') return read.kind;
  const { id, payload } = read.frame;
  return id === testCase.id && payload.toString('utf8') === testCase.payloadText ? undefined : 'other content';
}

interface Outcome {
  readonly name: string;
  readonly isEqual: boolean;
}

async function runFile(file: string): Promise<Outcome[]> {
  const { requests, responses } = readFrames(file);
  const outcomes = responses.map((response) => ({
    name: response.name,
    isEqual: responseDifference(response) === undefined,
  }));
  for (const { name, id, request, frameHex } of requests) {
    const ask = askFor(request);
    if (ask !== undefined) outcomes.push({ name, isEqual: (await sentFrame(ask, id)) === frameHex });
  }
  return outcomes;
}

async function main(files: readonly string[]): Promise<void> {
  const outcomes: Outcome[] = [];
  for (const file of files) outcomes.push(...(await runFile(file)));
  const failures = outcomes.filter(({ isEqual }) => !isEqual);
  for (const { name } of failures) process.stdout.write(`FAILED ${name}\n`);
  process.stdout.write(`${outcomes.length - failures.length} passed, ${failures.length} failed\n`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

if (import.meta.main) await main(process.argv.slice(2));
