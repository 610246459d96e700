// The steps: what the agent does in each state of a VM (`states.ts`). A step receives the data of its state
// (`situation.ts`). It returns the event that ends the state and the data of the next state, or undefined when nothing
// has happened yet. `failed-step.ts` handles a step that throws. A crash may interrupt every step at any point: the
// journal is written before an effect is acquired, and all acquired effects are undone before a new attempt begins.
import { create, idle, prepare, start } from './boot.ts';
import type { VirtualMachineCore } from './core.ts';
import { clean } from './ending/cleaning.ts';
import { drain } from './ending/draining.ts';
import { stop } from './ending/stopping.ts';
import { recover } from './recovery.ts';
import type { Outcome, Situation } from './situation.ts';
import { watch } from './watch.ts';

export async function step(
  vm: VirtualMachineCore,
  situation: Situation,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  switch (situation.state) {
    case 'Unknown':
      return await recover(vm, situation, signal);
    case 'Idle':
      return await idle(vm, signal);
    case 'Preparing':
      return await prepare(vm, situation);
    case 'Creating':
      return await create(vm, situation);
    case 'Starting':
      return await start(vm, situation);
    case 'Running':
      return await watch(vm, situation, signal);
    case 'Stopping':
      return await stop(vm, situation);
    case 'Draining':
      return await drain(vm, situation, signal);
    case 'Cleaning':
      return await clean(vm);
    case 'Forgotten':
      return undefined;
  }
}
