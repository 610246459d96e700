// Carries out the staging steps of a plan on the host's files, in the original's order and with its error texts
// (hcs-documents §7.1). The journal has these steps before they begin, so after a failure Cleaning undoes them.

import { messageOf } from '../../runtime/error-text.ts';
import { bounded } from '../bounds/bounded.ts';
import { MachineFailure } from '../failure.ts';
import type { StagingStep } from '../preparation/plan.ts';
import type { VirtualMachinePorts } from './ports.ts';

export async function stage(
  steps: readonly StagingStep[],
  { clock, host, timeouts }: Pick<VirtualMachinePorts, 'clock' | 'host' | 'timeouts'>,
): Promise<void> {
  for (const step of steps) {
    try {
      if (step.kind === 'copy') {
        await bounded(clock, timeouts.copy, 'CopyFileW', () => host.copyFile(step.from, step.to));
      } else {
        await bounded(clock, timeouts.query, 'GrantVmGroupAccess', () => host.grantVmGroupAccess(step.path));
      }
    } catch (error) {
      if (error instanceof Error && error.name === 'CallOverdue') throw error;
      throw new MachineFailure('StagingFailed', `${step.errorPrefix}${messageOf(error)}`, error);
    }
  }
}
