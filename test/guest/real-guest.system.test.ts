// Everything that the agent can ask of a guest, asked of a real one. The project's own guest must pass every check. A
// foreign image (see `own-boot-files.ts`) can lack what a check needs; the check is then reported as skipped, with the
// reason.
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { GuestRefusal } from '../../agent/guest/bridge/errors.ts';
import type { GuestProcess, StdioWanted } from '../../agent/guest/bridge/processes.ts';
import type { GuestPolicy } from '../../agent/preparation/plan.ts';
import type { GuestRun } from '../../agent/run/guest-run.ts';
import { type Bed, prepareBed } from '../support/guest/bed.ts';
import { type BootedGuest, bedOptions, bootGuest, GuestNotBooted } from '../support/guest/booted-guest.ts';
import { commandLineHere } from '../support/guest/qemu-machine.ts';

// The cores can be slow when other programs use them.
const bound = () => AbortSignal.timeout(60_000);
const soon = { timeout: 60_000 };
const patience = 240_000;
const nothing: StdioWanted = { stdin: false, stdout: false, stderr: false };
const output: StdioWanted = { ...nothing, stdout: true };

const reference = { encodedUVMReference: '', encodedUVMHashEnvelopeReference: '' };
const ownPolicy: GuestPolicy = { ...reference, enforcerType: 'rego', encodedSecurityPolicy: 'cGFja2FnZSBwb2xpY3kK' };
/**
 * A policy that every build of the original guest service accepts: the enforcer that allows everything, which must have
 * no text.
 */
const openDoor: GuestPolicy = { ...reference, enforcerType: 'open_door', encodedSecurityPolicy: '' };

let bed: Bed;
let guest: BootedGuest;
let policy: GuestPolicy;
/** Why a foreign image refused the policy. */
let policyRefusal: string | undefined;

// The first run on a machine installs an emulator and builds a device.
beforeAll(async () => {
  bed = await prepareBed();
  policy = bed.isForeign ? openDoor : ownPolicy;
  guest = await bootGuest(bed, { policy }).catch((error: unknown) => {
    if (!(bed.isForeign && error instanceof GuestNotBooted && error.reason === 'PolicyRefused')) throw error;
    policyRefusal = error.cause instanceof Error ? error.cause.message : error.message;
    return bootGuest(bed);
  });
}, 900_000);

afterAll(async () => {
  await guest?.[Symbol.asyncDispose]();
});

/** Skips a check of a foreign image. The project's own guest must pass every check. */
function notApplicable(context: TestContext, reason: string): never {
  if (!bed.isForeign) throw new Error(`our own guest fails where others may: ${reason}`);
  return context.skip(reason);
}

function read(stream: Readable | undefined): Promise<string> {
  if (stream === undefined) throw new Error('no stream');
  return text(stream);
}

interface InShell {
  readonly run?: GuestRun;
  readonly wanted?: StdioWanted;
  readonly workingDirectory?: string;
  readonly environment?: readonly string[];
  readonly terminal?: { readonly height: number; readonly width: number };
}

async function shell(
  context: TestContext,
  script: string,
  { wanted = output, run = guest.run, ...rest }: InShell = {},
): Promise<GuestProcess> {
  const command = { args: ['/bin/sh', '-c', script], ...rest };
  return await run.execute(command, wanted, bound()).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    return notApplicable(context, 'the image has no /bin/sh');
  });
}

/** Makes the kernel of a guest log a text, and waits until the text arrives in the guest's log. */
async function tellThroughLog(context: TestContext, { lines, run }: Pick<BootedGuest, 'lines' | 'run'>, text: string) {
  const process = await shell(context, `echo "<3>${text}" > /dev/kmsg`, { wanted: nothing, run });
  const code = await process.exitCode;
  if (code !== 0) notApplicable(context, `the image lets nobody write to /dev/kmsg (exit code ${code})`);
  try {
    await expect.poll(() => lines.some((line) => line.includes(`message="${text}`)), soon).toBe(true);
  } catch (error) {
    if (lines.some((line) => line.includes('kmsg read'))) throw error;
    notApplicable(context, 'this guest does not log what its kernel says');
  }
}

/**
 * Waits until no connection is in use. The emulated vsock device can lose a connection without telling the guest when
 * it ends with data in flight, and no relay can notice that.
 */
async function untilQuiet({ lines }: Pick<BootedGuest, 'lines'>) {
  let before = -1;
  const isQuiet = () => {
    const isSame = lines.length === before;
    before = lines.length;
    return isSame;
  };
  await expect.poll(isQuiet, { ...soon, interval: 500 }).toBe(true);
}

/** Where images have the program. */
const unameFiles = ['/bin/uname', '/usr/bin/uname'];

async function uname(context: TestContext, run: GuestRun, ...args: readonly string[]): Promise<GuestProcess> {
  for (const file of unameFiles) {
    try {
      return await run.execute({ args: [file, ...args] }, output, bound());
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return notApplicable(context, `the image has none of ${unameFiles.join(', ')}`);
}

function isMissing(error: unknown): boolean {
  return error instanceof GuestRefusal && error.message.includes('no such file');
}

const linesWith = (part: string) => guest.lines.filter((line) => line.includes(part));

describe('the command line of the document', () => {
  it('loses exactly the parts that apply to Hyper-V only', () => {
    const { KernelCmdLine } = JSON.parse(guest.plan.document).VirtualMachine.Chipset.LinuxKernelDirect;
    const dropped = KernelCmdLine.split(' ').filter(
      (word: string) => !commandLineHere(KernelCmdLine).split(' ').includes(word),
    );
    expect(dropped).toEqual(['initcall_blacklist=virtio_vsock_init', 'pci=off']);
  });
});

describe('the ports of a real guest', { timeout: patience }, () => {
  it('answers the host on its vsock ports, and refuses where nothing listens', async (context) => {
    if (bed.isForeign) notApplicable(context, 'it is unknown on which ports the image listens');
    const connection = await guest.run.connect(80, bound());
    let answer = '';
    connection.on('data', (bytes: Buffer) => {
      answer += bytes.toString();
    });
    connection.write('GET /x HTTP/1.1\r\n\r\n');
    // The emulated device ends the whole connection when one side ends its half.
    await expect.poll(() => answer, soon).toMatch(/\r\n\r\nHello from the test guest: \/x\n$/);
    connection.destroy();
    await expect(guest.run.connect(81, bound())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

describe('a real Linux guest', { timeout: patience }, () => {
  it('is seeded, logs and negotiates, in this order', () => {
    expect([...guest.phases.keys()]).toEqual(['started', 'entropy', 'log', 'guestConnected']);
    expect(guest.identity).toMatchObject({ protocolVersion: 4, osType: 'linux' });
  });

  it('has received all of the entropy', (context) => {
    const bytes = /entropyBytes=(\d+)/.exec(linesWith('GCS started')[0] ?? '')?.[1];
    if (bytes === undefined) {
      notApplicable(context, 'this guest does not say how many bytes it took; it fetched them and booted on');
    }
    expect(bytes).toBe('512');
  });

  it('logs from its first line on, each line with its time', async () => {
    await expect.poll(() => guest.lines.length, soon).toBeGreaterThan(0);
    const ours = bed.isForeign ? '' : 'GCS started ';
    expect(guest.lines[0]).toMatch(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+(?:Z|[+-]\\d\\d:\\d\\d) [a-z]+ ${ours}`));
  });

  it('sends the lines of its kernel with their text', async (context) => {
    await tellThroughLog(context, guest, 'a line of the kernel');
    expect(linesWith('a line of the kernel')[0]).toMatch(/^\d{4}-\S+ info kmsg read .*message="a line of the kernel/);
  });

  it('has received the policy, and enforces it', async (context) => {
    if (policyRefusal !== undefined) notApplicable(context, policyRefusal);
    const again = {
      resourceType: 'SecurityPolicy',
      requestType: 'Add',
      settings: { EnforcerType: policy.enforcerType, EncodedSecurityPolicy: policy.encodedSecurityPolicy },
    } as const;
    await expect(guest.run.modify(again, patience)).rejects.toThrow(/guest RPC failure: .*already/);
  });

  it('runs uname -a and returns its output and code', async (context) => {
    const process = await uname(context, guest.run, '-a');
    expect(await read(process.stdout)).toMatch(/^Linux .*x86_64/);
    expect(await process.exitCode).toBe(0);
  });

  it('returns the code and the error output of a failing program', async (context) => {
    const process = await shell(context, 'echo no >&2; exit 7', { wanted: { ...nothing, stderr: true } });
    expect(await read(process.stderr)).toBe('no\n');
    expect(await process.exitCode).toBe(7);
  });

  it('gives a process its input, environment and folder', async (context) => {
    const process = await shell(context, 'read line; echo "$line $A $(pwd)"', {
      wanted: { ...output, stdin: true },
      workingDirectory: '/proc',
      environment: ['A=b', 'PATH=/bin:/usr/bin'],
    });
    process.stdin?.write('hello\n');
    expect(await read(process.stdout)).toBe('hello b /proc\n');
    expect(await process.exitCode).toBe(0);
  });

  it('gives a process a terminal with an echo and Ctrl-C', async (context) => {
    const has = await shell(context, 'command -v tty');
    await read(has.stdout);
    if ((await has.exitCode) !== 0) notApplicable(context, 'the image has no tty');
    const process = await shell(context, 'tty; read line; echo "got $line"; exec sleep 1000', {
      wanted: { ...output, stdin: true },
      terminal: { height: 30, width: 100 },
    });
    let shown = '';
    process.stdout?.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
    await expect.poll(() => shown, soon).toMatch(/^\/dev\/pts\/\d+\r\n$/);
    process.stdin?.write('hello\n');
    await expect.poll(() => shown, soon).toContain('\nhello\r\ngot hello\r\n');
    process.stdin?.write('\x03');
    expect(await process.exitCode).toBe(4_294_967_295);
  });

  it('says why a program cannot be run', async () => {
    await expect(guest.run.execute({ args: ['/no/such'] }, output, bound())).rejects.toThrow(
      'no such file or directory',
    );
  });

  it('reports a process that another one killed', async (context) => {
    const sleeping = await shell(context, 'exec sleep 1000', { wanted: nothing });
    const kill = await shell(context, `kill -9 ${sleeping.id}`, { wanted: nothing });
    expect(await kill.exitCode).toBe(0);
    expect(await sleeping.exitCode).toBe(4_294_967_295);
  });

  it('transfers much output without loss', async (context) => {
    const has = await shell(context, 'command -v yes && command -v head');
    await read(has.stdout);
    if ((await has.exitCode) !== 0) notApplicable(context, 'the image has no yes or no head');
    const yes = await shell(context, 'yes 0123456789abcdef | head -c 3000000');
    expect(await read(yes.stdout)).toHaveLength(3_000_000);
    expect(await yes.exitCode).toBe(0);
  });

  it('dumps the stacks of its service', async (context) => {
    if (guest.identity?.capabilities.includes('DumpStacksSupported') !== true) {
      notApplicable(context, 'this guest does not say that it can dump stacks');
    }
    expect(await guest.run.dumpStacks()).toContain('goroutine');
  });

  it('powers itself off, which is a graceful exit', async () => {
    await guest.run.powerOff(bound());
    expect(await guest.ended).toEqual({ kind: 'exited', exit: { exitType: 'GracefulExit', status: 0 } });
    await guest.run.close();
  });
});

// A test that a lost connection spoils (`untilQuiet`) is repeated with another guest.
describe('a guest that relays its log', { timeout: patience, retry: 2 }, () => {
  it('continues with the next agent, which reports the gap', async (context) => {
    const options = { ...bedOptions(bed), TerminateOnAgentExit: false };
    await using relaying = await bootGuest(bed, { options }).catch((error: unknown) => {
      if (!(error instanceof GuestNotBooted && error.reason === 'ExitedDuringStart')) throw error;
      return notApplicable(context, `a vsockexec that does not know -r ends the guest: ${error.message}`);
    });
    const left = await shell(context, 'exec sleep 5', { wanted: nothing, run: relaying.run });
    await tellThroughLog(context, relaying, 'before the agent goes');
    await untilQuiet(relaying);
    const before = relaying.lines.length;
    const next = await relaying.takeOver();
    await expect.poll(() => next.guestConnected, soon).toBe(true);
    expect(relaying.lines[before]).toMatch(/warning guest log gap: the agent was away$/);
    const process = await uname(context, next);
    expect(await read(process.stdout)).toBe('Linux\n');
    expect(await process.exitCode).toBe(0);
    await tellThroughLog(context, { lines: relaying.lines, run: next }, 'after the agent went');
    // The next agent gets the end of a process that the first agent started, as an answer to a request that it did not
    // make.
    const isThere = async () => (await shell(context, `kill -0 ${left.id} 2>&1`, { run: next })).exitCode;
    await expect.poll(isThere, { ...soon, interval: 300 }).not.toBe(0);
    expect(await (await uname(context, next)).exitCode).toBe(0);
    expect(next.guestConnected).toBe(true);
  });
});
