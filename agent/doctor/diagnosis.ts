// Runs all checks of `lcow-agent doctor`, one after the other, so that the load of one does not disturb another.

import { messageOf } from '../../runtime/error-text.ts';
import { bounded } from '../bounds/bounded.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import { agentChecks } from './agent-checks.ts';
import { type Check, failed, notApplicable, type Outcome } from './check.ts';
import { hostChecks } from './host-checks.ts';
import type { DoctorPorts, DoctorSettings } from './ports.ts';

export interface Diagnosis {
  readonly check: string;
  readonly title: string;
  readonly outcome: Outcome;
}

export async function diagnose(
  settings: DoctorSettings,
  ports: DoctorPorts,
  onResult: (diagnosis: Diagnosis) => void = () => undefined,
): Promise<readonly Diagnosis[]> {
  const diagnoses: Diagnosis[] = [];
  for (const check of [...hostChecks, ...agentChecks]) {
    const { id, title } = check;
    const diagnosis = { check: id, title, outcome: await outcomeOf(check, settings, ports) };
    diagnoses.push(diagnosis);
    onResult(diagnosis);
  }
  return diagnoses;
}

/** A check that cannot be made counts as failed. */
async function outcomeOf(check: Check, settings: DoctorSettings, ports: DoctorPorts): Promise<Outcome> {
  if (check.needsWindows && ports.platform !== 'win32') return notApplicable('needs Windows: run it on the node');
  try {
    return await bounded(ports.clock, fixedTimes.doctor.check, 'it', () => check.run(settings, ports));
  } catch (error) {
    return failed(`the check could not be made: ${messageOf(error)}`, 'see the message');
  }
}
