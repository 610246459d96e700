// `lcow-agent doctor`: one line for each check, and for each failed check what to do. Exit code 1 if any check failed.

import { plainJson, plainText } from '../../runtime/plain-text.ts';
import { type Diagnosis, diagnose } from '../doctor/diagnosis.ts';
import type { DoctorPorts, DoctorSettings } from '../doctor/ports.ts';

export interface DoctorCommandOptions extends DoctorSettings {
  /** Prints one JSON array instead, for programs. */
  readonly json?: boolean;
}

/** Returns the exit code. */
export async function doctorCommand(
  { json = false, ...settings }: DoctorCommandOptions,
  ports: DoctorPorts,
  out: (line: string) => void,
): Promise<number> {
  const diagnoses = await diagnose(settings, ports, (diagnosis) => {
    if (!json) for (const line of linesOf(diagnosis)) out(plainText(line));
  });
  if (json) out(plainJson(JSON.stringify(diagnoses.map(({ check, outcome }) => ({ check, ...outcome })))));
  return diagnoses.some(({ outcome }) => outcome.state === 'failed') ? 1 : 0;
}

function linesOf({ outcome, title }: Diagnosis): readonly string[] {
  switch (outcome.state) {
    case 'ok':
      return [`ok              ${title}: ${outcome.detail}`];
    case 'notApplicable':
      return [`not applicable  ${title}: ${outcome.why}`];
    case 'warning':
      return [`warning         ${title}: ${outcome.problem}`, `                fix: ${outcome.fix}`];
    case 'failed':
      return [`failed          ${title}: ${outcome.problem}`, `                fix: ${outcome.fix}`];
  }
}
