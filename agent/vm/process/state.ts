// The process of a VM (`spec.process`) as the journal has it. Pure: what is known of it, and what each event makes of it.
//
//   (none) ──starting──► starting ──started──► running ──exited──► exited
//     ▲                    │  │ └───lost────┐     └──lost──► failed
//     └──────notBegun──────┘  └──refused──► failed ◄┘
//
// `starting` is written before the guest is asked. So a process that is found in it may or may not run, and is never
// started again in this run of the VM. A process of a VM that outlives its agent has left a note in the guest if it was
// started (`relayed.ts`).
import { z } from 'zod';
import type { ObservedProcess } from '../../../protocol/messages.ts';

/** Why a process failed without an exit code. */
const failure = z.enum(['ProcessNotAllowed', 'ProcessNotStarted', 'ProcessStartUnknown', 'ExitCodeLost']);
export type ProcessFailure = z.infer<typeof failure>;

/**
 * The port to which a relay in the guest sends the output of the process. Absent when the process ends with its agent,
 * and in the journal of an earlier agent.
 */
const port = z.int().min(1).max(0xffff_ffff).exactOptional();

export const machineProcess = z.discriminatedUnion('state', [
  z.object({ state: z.literal('starting'), port }),
  /** `pid`: in the guest. With a port, it is that of the script that has started the process below a relay. */
  z.object({ state: z.literal('running'), pid: z.int().min(0), port, startedAt: z.string() }),
  z.object({
    state: z.literal('exited'),
    /** As the guest gives it: 4294967295 when a signal ended the process. */
    exitCode: z.int().min(0),
    startedAt: z.string(),
    finishedAt: z.string(),
  }),
  z.object({
    state: z.literal('failed'),
    reason: failure,
    startedAt: z.string().exactOptional(),
    finishedAt: z.string(),
  }),
]);
export type MachineProcess = z.infer<typeof machineProcess>;

export type ProcessEvent =
  | { readonly kind: 'starting'; readonly port?: number | undefined }
  /** The guest was not asked after all. */
  | { readonly kind: 'notBegun' }
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'refused'; readonly reason: 'ProcessNotAllowed' | 'ProcessNotStarted' }
  | { readonly kind: 'exited'; readonly exitCode: number }
  /** Nobody can say how it ended, or whether it was started. */
  | { readonly kind: 'lost' };

/** @param now as in the journal: ISO 8601 */
export function afterEvent(
  process: MachineProcess | undefined,
  event: ProcessEvent,
  now: string,
): MachineProcess | undefined {
  switch (event.kind) {
    case 'starting':
      return process ?? { state: 'starting', ...(event.port !== undefined && { port: event.port }) };
    case 'notBegun':
      return process?.state === 'starting' ? undefined : process;
    case 'started':
      return process?.state === 'starting' ? { ...process, state: 'running', pid: event.pid, startedAt: now } : process;
    case 'refused':
      return process?.state === 'starting' ? { state: 'failed', reason: event.reason, finishedAt: now } : process;
    case 'exited':
      if (process?.state !== 'running') return process;
      return { state: 'exited', exitCode: event.exitCode, startedAt: process.startedAt, finishedAt: now };
    case 'lost':
      return lost(process, now);
  }
}

function lost(process: MachineProcess | undefined, now: string): MachineProcess | undefined {
  if (process?.state === 'starting') return { state: 'failed', reason: 'ProcessStartUnknown', finishedAt: now };
  if (process?.state !== 'running') return process;
  return { state: 'failed', reason: 'ExitCodeLost', startedAt: process.startedAt, finishedAt: now };
}

/** The port of the relay of a process that runs, or may run. */
export function relayPort(process: MachineProcess | undefined): number | undefined {
  return process?.state === 'starting' || process?.state === 'running' ? process.port : undefined;
}

/** Whether the process runs, or may run, as far as the agent knows. */
export function isOpen(process: MachineProcess | undefined): boolean {
  return process?.state === 'starting' || process?.state === 'running';
}

export function endedWell(process: MachineProcess): boolean {
  return process.state === 'exited' && process.exitCode === 0;
}

/** The exit code that the guest gives for a process that a signal ended. */
const signalled = 0xffff_ffff;
/** What users see in its place, as with `kubectl luvm exec`. */
const shownAsSignalled = 255;

/** For people: how the process ended, or what is known of it. */
export function processText(process: MachineProcess | undefined): string {
  switch (process?.state) {
    case undefined:
      return 'the process was not started';
    case 'starting':
      return texts.ProcessStartUnknown;
    case 'running':
      return texts.ExitCodeLost;
    case 'failed':
      return texts[process.reason];
    case 'exited':
      if (process.exitCode === signalled) return 'a signal ended the process';
      return `the process ended with exit code ${process.exitCode}`;
  }
}

const texts: Readonly<Record<ProcessFailure, string>> = {
  ProcessNotAllowed: 'the guest did not start the process (ProcessNotAllowed)',
  ProcessNotStarted: 'the guest did not start the process (ProcessNotStarted)',
  ProcessStartUnknown: 'it is not known whether the guest has started the process (ProcessStartUnknown)',
  ExitCodeLost: 'the exit code of the process is lost (ExitCodeLost)',
};

export function observedProcess(process: MachineProcess): ObservedProcess {
  switch (process.state) {
    case 'starting':
      return { state: 'Starting' };
    case 'running':
      return { state: 'Running', startedAt: process.startedAt };
    case 'exited': {
      const { exitCode, finishedAt, startedAt } = process;
      return { state: 'Exited', exitCode: exitCode === signalled ? shownAsSignalled : exitCode, startedAt, finishedAt };
    }
    case 'failed': {
      const { state: _, ...facts } = process;
      return { state: 'Failed', ...facts };
    }
  }
}
