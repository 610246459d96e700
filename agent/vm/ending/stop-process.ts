// The step of the stop ladder (`stop-ladder.ts`) for the process of a VM: TERM, its grace period, KILL.
import { messageOf } from '../../../runtime/error-text.ts';
import { within } from '../../bounds/bounded.ts';
import { graceAtAgentEnd } from '../../bounds/timeouts.ts';
import { signalCommand } from '../../guest/bridge/leaving-scripts.ts';
import { inTime } from '../../guest/bridge/mount-look.ts';
import type { GuestCommand } from '../../guest/bridge/process-request.ts';
import { signalProgramCommand } from '../../guest/bridge/process-scripts.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import type { VirtualMachineCore } from '../core.ts';
import { processChanged } from '../process/record.ts';

/** The process runs, and this agent would learn of its end: it has started the process, or can take it over. */
export function hasLiveProcess({ process, store }: VirtualMachineCore): boolean {
  const { boot, process: known } = store.record;
  return known?.state === 'running' && (known.port !== undefined || process.isFollowed(boot));
}

/** Resolves when the process has ended, and at the latest when its time is over. Notes the exit code. */
export async function endProcess(vm: VirtualMachineCore, run: GuestRun): Promise<void> {
  const { ports, process, store } = vm;
  const { boot, process: known } = store.record;
  if (known?.state !== 'running' || !process.isFollowed(boot)) return;
  const { leaveProcesses } = ports.timeouts;
  const exit = process.exitOf(boot);
  const isOver = process.endOf(boot) !== undefined;
  for (const [signal, patience] of [
    ['TERM', graceOf(vm)],
    ['KILL', leaveProcesses],
  ] as const) {
    const command = known.port === undefined ? signalCommand(signal, [known.pid]) : signalProgramCommand(signal);
    if (!isOver) await send(vm, run, command);
    const end = await within(ports.clock, patience, exit);
    if (end === 'waiting') continue;
    store.change(processChanged, end, vm.now());
    // Its last words.
    await within(ports.clock, leaveProcesses, process.outputOf(boot));
    return;
  }
}

async function send({ ports }: VirtualMachineCore, run: GuestRun, command: GuestCommand): Promise<void> {
  const asked = inTime(run.run(command), ports.clock, ports.timeouts.leaveProcesses);
  await asked.catch((error: unknown) => {
    ports.logger.info({ error: messageOf(error) }, 'no signal to the process of the VM');
  });
}

/** Milliseconds. The agent's own end is short, and stops all VMs at the same time. */
function graceOf({ end, ports, store }: VirtualMachineCore): number {
  const seconds = store.record.applied?.options.ProcessGracePeriodSeconds ?? defaultGrace;
  return Math.min(seconds * 1000, end.withAgent ? graceAtAgentEnd(ports.timeouts) : Number.POSITIVE_INFINITY);
}

/** Seconds. */
const defaultGrace = 30;
