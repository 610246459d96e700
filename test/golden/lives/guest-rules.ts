// How this agent speaks with guests otherwise.
import { firstStdioPort } from '../../../agent/guest/bridge/processes.ts';
import { guestPorts } from '../../../agent/node/guest-sockets.ts';
import type { Comparison } from './comparison.ts';
import { commandIn } from './guest.ts';
import type { HostStep } from './life.ts';
import { callAt, callDuring, isCallOf, isFrame, isOwnAfter, isOwnAtTheEnd, portOf, returnOf, textOf } from './place.ts';
import { any, closeHandle, extra, isStdio, missing, order, outcome, type Rule } from './rule.ts';

export const entropy: Rule = {
  point: 'entropy',
  explains: any(
    extra(({ step }) => isCallOf(step, 'closeWrite') && portOf(step) === guestPorts.entropy),
    order(
      (sides) =>
        sides.every(({ own: { step } }) => portOf(step) === guestPorts.entropy) &&
        sides.some(({ own: { step } }) => isCallOf(step, 'closeListener')) &&
        sides.some(({ own: { step } }) => isCallOf(step, 'sends')),
    ),
  ),
};

const isLastingListener = (step: HostStep) =>
  isCallOf(step, 'closeListener') && (portOf(step) ?? firstStdioPort) < firstStdioPort;

export const openListeners: Rule = {
  point: 'open-listeners',
  explains: any(
    order((sides, comparison) =>
      sides.some(({ own }) => isLastingListener(own.step) && isOwnAtTheEnd(comparison, own)),
    ),
    extra((own, comparison) => isLastingListener(own.step) && isOwnAtTheEnd(comparison, own)),
    // The VM still runs where the recording ends.
    missing(({ step }, { own }) => isLastingListener(step) && !own.some((each) => isCallOf(each.step, closeHandle))),
  ),
};

/** What the guest runs is not the agent's own. */
export const logListener: Rule = {
  point: 'log-listener',
  explains: extra(({ step }, { life, original }) => {
    const isListen = (other: HostStep) => isCallOf(other, 'listen') && portOf(other) === guestPorts.log;
    const { ExecCommandLine, SecurityPolicyEnabled } = life.options;
    const hasOwnCommand = SecurityPolicyEnabled === true || ExecCommandLine !== undefined;
    return isListen(step) && hasOwnCommand && !original.some((each) => isListen(each.step));
  }),
};

/** `stty` for a process with a terminal, and the wait for it, which follows its answer. */
export const terminalSize: Rule = {
  point: 'terminal-size',
  explains: extra(({ index, step }, { own }) => {
    if (isFrame(step, 'ExecuteProcess')) return isSizing(step);
    const before = own.slice(Math.max(0, index - 3), index);
    return isFrame(step, 'WaitForProcess') && before.some((each) => isSizing(each.step));
  }),
};

function isSizing(step: HostStep): boolean {
  return isFrame(step, 'ExecuteProcess') && commandIn(textOf(step)).command[0] === 'stty';
}

export const logConnection: Rule = {
  point: 'log-connection',
  explains: any(
    extra(({ step }) => isCallOf(step, 'close') && portOf(step) === guestPorts.log),
    order((sides) => sides.some(({ own: { step } }) => isCallOf(step, 'close') && portOf(step) === guestPorts.log)),
  ),
};

/** From where on the original has no bridge any more, and this agent has one. */
function redialledAt({ life }: Comparison): number | undefined {
  const index = life.steps.findIndex(
    (step) =>
      step.by === 'guest' &&
      'call' in step &&
      step.call === 'dials' &&
      step.args.accepted === false &&
      (step.args.port ?? guestPorts.bridge) === guestPorts.bridge,
  );
  return index < 0 ? undefined : index;
}

function foreignAnswerAt({ life }: Comparison): number | undefined {
  const asked = new Set(life.steps.flatMap((step) => (step.by === 'host' && 'frame' in step ? [step.id] : [])));
  const index = life.steps.findIndex(
    (step) => step.by === 'guest' && 'frame' in step && step.frame.endsWith(' answer') && !asked.has(step.id),
  );
  return index < 0 ? undefined : index;
}

/** What follows from a bridge that lives on. */
function livesOn(since: (comparison: Comparison) => number | undefined): Rule['explains'] {
  const isBridge = (step: HostStep) => portOf(step) === guestPorts.bridge && isCallOf(step, 'accept', 'close');
  const isUse = (step: HostStep) =>
    'frame' in step || isBridge(step) || isStdio(step) || /"RequestType":"Remove"/.test(textOf(step));
  const isAfter = (index: number, comparison: Comparison) => index > (since(comparison) ?? Number.POSITIVE_INFINITY);
  return any(
    extra((own, comparison) => isUse(own.step) && isOwnAfter(comparison, own, since(comparison))),
    missing((original, comparison) => {
      const call = callAt(comparison, original.index);
      const came = call && returnOf(comparison, call);
      return isAfter(original.index, comparison) && isUse(original.step) && came?.error?.kind === 'bridge closed';
    }),
    order((sides, comparison) =>
      sides.some(({ original, own }) => isUse(own.step) && isAfter(original.index, comparison)),
    ),
    outcome(
      ({ returned }, comparison) =>
        isAfter(returned.index, comparison) &&
        returned.expected.error?.kind === 'bridge closed' &&
        returned.outcome?.ok === true,
    ),
  );
}

export const redial: Rule = {
  point: 'redial',
  explains: any(
    livesOn(redialledAt),
    extra(
      ({ step }, { life }) =>
        isCallOf(step, 'accept') &&
        portOf(step) === guestPorts.log &&
        life.steps.some(
          (each) => each.by === 'guest' && 'call' in each && each.call === 'dials' && each.args.port === guestPorts.log,
        ),
    ),
  ),
};

/** The original's own close of the bridge comes when it reads such an answer, this agent's when the VM ends. */
export const foreignAnswers: Rule = {
  point: 'foreign-answers',
  explains: any(
    livesOn(foreignAnswerAt),
    order(
      (sides, comparison) =>
        foreignAnswerAt(comparison) !== undefined &&
        sides.some(({ own: { step } }) => isCallOf(step, 'close') && portOf(step) === guestPorts.bridge),
    ),
  ),
};

export const signals: Rule = {
  point: 'signals',
  explains: any(
    missing(({ step }) => 'frame' in step && (step.frame === 'SignalProcess' || step.frame === 'ResizeConsole')),
    extra((own, comparison) => {
      const isOfKill = 'frame' in own.step && ['ExecuteProcess', 'WaitForProcess'].includes(own.step.frame);
      return isOfKill && callDuring(comparison, own)?.call === 'kill';
    }),
    outcome(({ returned }) => returned.call === 'kill' || returned.call === 'resize'),
  ),
};

/** The original listens for the streams of a process before it finds that nobody can be asked to start it. */
export const execWithoutBridge: Rule = {
  point: 'exec-without-bridge',
  explains: missing((original, comparison) => {
    const call = callAt(comparison, original.index);
    const came = call && returnOf(comparison, call);
    return isStdio(original.step) && call?.call === 'exec' && came?.error?.kind === 'bridge closed';
  }),
};

/** The guest says that a process runs, and dials none of its streams. */
export const streamLimit: Rule = {
  point: 'stream-limit',
  explains: any(
    extra((own, comparison) => {
      const port = portOf(own.step);
      const isDialled = comparison.own.some(({ step }) => isCallOf(step, 'accept') && portOf(step) === port);
      return isCallOf(own.step, 'closeListener') && isStdio(own.step) && !isDialled;
    }),
    outcome(
      ({ returned: { call, expected, outcome: came } }) =>
        call === 'exec' && expected.hangs === true && came?.ok === false,
    ),
  ),
};
