// A real guest that the agent's own code boots: the builder makes the document as for a Windows host, the agent's
// listeners are the sockets, and an emulator acts as the hypervisor.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { defaultTimeouts } from '../../../agent/bounds/timeouts.ts';
import { MachineFailure } from '../../../agent/failure.ts';
import type { GuestIdentity } from '../../../agent/guest/bridge/messages.ts';
import type { ComputeSystem, SystemEnd } from '../../../agent/node/backend.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { allowList } from '../../../agent/preparation/allow-list.ts';
import type { BootPlan, GuestPolicy } from '../../../agent/preparation/plan.ts';
import { prepareBoot } from '../../../agent/preparation/prepare.ts';
import { expectationsOf } from '../../../agent/run/expectations.ts';
import { GuestRun } from '../../../agent/run/guest-run.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import type { ReasonCode } from '../../../protocol/reasons.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { SimulatedGuestSockets } from '../../../simulator/client/guest-sockets.ts';
import { makeAssignment } from '../agent/assignments.ts';
import { startNode } from '../agent/simulated-node.ts';
import type { Bed } from './bed.ts';
import { QemuBackend } from './qemu-backend.ts';

export interface BootedGuest extends AsyncDisposable {
  readonly run: GuestRun;
  readonly identity: GuestIdentity | undefined;
  readonly plan: BootPlan;
  /** Milliseconds from the start to each phase. */
  readonly phases: ReadonlyMap<string, number>;
  readonly lines: readonly string[];
  readonly ended: Promise<SystemEnd>;
  /** The agent goes away, and another one adopts the running guest. */
  readonly takeOver: () => Promise<GuestRun>;
}

const allowed = allowList({ paths: ['C:\\'], pipes: ['*'], devices: [] });

/** The options of a guest in this set-up. The needs of a foreign image are unknown, so it gets the defaults. */
export function bedOptions({ isForeign }: Bed): RequestedOptions {
  return { MemorySizeInMB: isForeign ? 1024 : 512, ProcessorCount: 2, DisableTimeSyncService: true };
}

/** The guest did not come up; `cause` says why. */
export class GuestNotBooted extends Error {
  override readonly name = 'GuestNotBooted';

  constructor(lines: readonly string[], cause: unknown) {
    super(`the guest did not boot: ${messageOf(cause)}; its log:\n${lines.join('\n')}`, { cause });
  }

  get reason(): ReasonCode | undefined {
    return this.cause instanceof MachineFailure ? this.cause.reason : undefined;
  }
}

export async function bootGuest(
  bed: Bed,
  { options = bedOptions(bed), policy }: { readonly options?: RequestedOptions; readonly policy?: GuestPolicy } = {},
): Promise<BootedGuest> {
  const folder = await mkdtemp(join(tmpdir(), 'bed-'));
  const backend = new QemuBackend(bed, folder);
  const uid = randomUUID();
  const plan = { ...(await planOf(uid, options)), policy };
  const system: ComputeSystem = await backend.create(systemIdOf(uid), plan.document);
  const { runtimeId } = await system.properties();
  if (runtimeId === undefined) throw new Error('the backend gave no runtime id');
  const begun = Date.now();
  const phases = new Map<string, number>();
  const lines: string[] = [];
  const openRun = () =>
    GuestRun.open(new SimulatedGuestSockets(folder), runtimeId, {
      uid,
      expects: expectationsOf(plan.applied.options),
      clock: systemClock,
      logger: pino({ level: process.env['LCOW_TEST_LOG'] ?? 'silent' }),
      randomBytes,
      timeouts: defaultTimeouts,
      onLines: (more) => lines.push(...more),
      onPhase: (phase) => phases.set(phase, Date.now() - begun),
      onConnection: () => undefined,
    });
  let run = await openRun();
  const dispose = async () => {
    await run.abandon();
    await backend.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const identity = await run.boot(system, plan, new AbortController().signal);
    return {
      run,
      identity,
      plan,
      phases,
      lines,
      ended: system.ended,
      takeOver: async () => {
        await run.abandon();
        run = await openRun();
        run.resume();
        return run;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw new GuestNotBooted(lines, error);
  }
}

/** Plans the boot like the agent of a Windows host. The host's files are simulated. */
async function planOf(uid: string, options: RequestedOptions): Promise<BootPlan> {
  await using node = await startNode();
  const connection = await node.connect();
  const stateFolder = 'C:\\ProgramData\\lcow';
  return await prepareBoot(makeAssignment({ uid, options }), {
    ...connection,
    randomGuid: randomUUID,
    stateFolder,
    ownFolders: [stateFolder],
    allowed,
  });
}
