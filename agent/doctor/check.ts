// A check of `lcow-agent doctor` and its possible outcomes.
import type { DoctorPorts, DoctorSettings } from './ports.ts';

export type Outcome =
  | { readonly state: 'ok'; readonly detail: string }
  /** VMs may run all the same. The exit code is not affected. */
  | { readonly state: 'warning'; readonly problem: string; readonly fix: string }
  | { readonly state: 'failed'; readonly problem: string; readonly fix: string }
  | { readonly state: 'notApplicable'; readonly why: string };

export interface Check {
  /** For programs that read the result. Never changes. */
  readonly id: string;
  /** For people. */
  readonly title: string;
  readonly needsWindows: boolean;
  run(settings: DoctorSettings, ports: DoctorPorts): Promise<Outcome>;
}

export const ok = (detail: string): Outcome => ({ state: 'ok', detail });
export const warning = (problem: string, fix: string): Outcome => ({ state: 'warning', problem, fix });
export const failed = (problem: string, fix: string): Outcome => ({ state: 'failed', problem, fix });
export const notApplicable = (why: string): Outcome => ({ state: 'notApplicable', why });
