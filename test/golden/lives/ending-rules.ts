// How this agent ends VMs otherwise.
import { nameOf, type Placed } from './alignment.ts';
import type { Side } from './comparison.ts';
import { callDuring, eventIn, isCallOf, isOwnAfter, isOwnAtTheEnd, returnOf, serviceDisconnect } from './place.ts';
import {
  alreadyStopped,
  any,
  closeHandle,
  extra,
  field,
  hasFailed,
  isSocketStep,
  missing,
  order,
  outcome,
  type Rule,
  terminate,
} from './rule.ts';

export const endOfLife: Rule = {
  point: 'end-of-life',
  explains: any(
    field([terminate], ['operation.waited', 'operation.result'], ({ expected, field: name }) =>
      name === 'operation.waited' ? expected === false : expected === undefined,
    ),
    // The caller of the original learns nothing of a request that is accepted and then fails.
    outcome(({ returned }) => returned.call === 'terminate' && returned.expected.ok === true),
    extra(
      (own, comparison) =>
        isCallOf(own.step, closeHandle, 'close', 'closeListener') &&
        isOwnAtTheEnd(comparison, own) &&
        !comparison.original.some(({ step }) => isCallOf(step, closeHandle)),
    ),
    order(([first, second], comparison) => {
      const isEnd = ({ original: { step } }: Side) => isCallOf(step, terminate, closeHandle);
      const isSocket = ({ original: { step } }: Side) => isCallOf(step, 'close', 'closeWrite');
      const isPair = (isEnd(first) && isSocket(second)) || (isSocket(first) && isEnd(second));
      const later = first.own.index > second.own.index ? first : second;
      return isPair && (isOwnAtTheEnd(comparison, later.own) || isCallOf(later.own.step, terminate));
    }),
  ),
};

/** A request that was refused, or came to nothing, is made again. */
export const stopAgain: Rule = {
  point: 'stop-again',
  explains: extra(({ index, step }, { own }) => {
    const before = own.findLast((each) => each.index < index && isCallOf(each.step, terminate))?.step;
    if (!isCallOf(step, terminate) || before === undefined || !isCallOf(before, terminate)) return false;
    return [before.result, before.operation?.result].some((result) => hasFailed(result) && result !== alreadyStopped);
  }),
};

export const terminateAfterExit: Rule = {
  point: 'terminate-after-exit',
  explains: extra((own, comparison) => {
    const isOne = ({ step }: Placed) =>
      isCallOf(step, terminate) && step.args['options'] === '' && step.result === alreadyStopped;
    const isFirst = !comparison.own.some((each) => each.index < own.index && isOne(each));
    return isOne(own) && isFirst && isOwnAtTheEnd(comparison, own);
  }),
};

export const stoppedIsDone: Rule = {
  point: 'stopped-is-done',
  explains: outcome(
    ({ returned: { call, expected, outcome: came } }) =>
      (call === 'terminate' || call === 'close') && expected.error?.code === alreadyStopped && came?.ok === true,
  ),
};

export const startRefused: Rule = {
  point: 'start-refused',
  explains: any(
    order(([first, second]) => {
      const [socket, end] = isCallOf(first.original.step, 'closeListener', 'close') ? [first, second] : [second, first];
      return isSocketStep(socket.original.step) && isCallOf(end.original.step, terminate);
    }),
    extra((own, comparison) => {
      const call = callDuring(comparison, own);
      const came = call && returnOf(comparison, call);
      const isBoot = call?.call === 'create' || call?.call === 'start';
      const isEnd = isCallOf(own.step, terminate, closeHandle);
      return (
        isEnd && isBoot && came?.ok === false && !comparison.original.some(({ step }) => isCallOf(step, terminate))
      );
    }),
  ),
};

export const disconnected: Rule = {
  point: 'service-disconnected',
  explains: any(
    extra(
      (own, comparison) =>
        (isCallOf(own.step, closeHandle) || isSocketStep(own.step)) &&
        isOwnAfter(comparison, own, eventIn(comparison, serviceDisconnect)),
    ),
    missing(({ index }, comparison) => index > (eventIn(comparison, serviceDisconnect) ?? Number.POSITIVE_INFINITY)),
    order(([first, second], comparison) =>
      [first, second].every(({ own }) => isOwnAfter(comparison, own, eventIn(comparison, serviceDisconnect))),
    ),
    outcome(
      ({ returned }, comparison) =>
        returned.index > (eventIn(comparison, serviceDisconnect) ?? Number.POSITIVE_INFINITY),
    ),
  ),
};

const stopRequests: ReadonlySet<string> = new Set([
  'ModifySettings Remove MappedVirtualDisk',
  'ExecuteProcess without streams',
  'WaitForProcess',
]);

/** What the guest is asked for before the power of its VM is cut. */
export const plannedStop: Rule = {
  point: 'planned-stop',
  explains: extra((own, comparison) => {
    const { call } = callDuring(comparison, own) ?? {};
    const isCut = comparison.own.some((each) => each.index < own.index && isCallOf(each.step, terminate));
    const [name = ''] = nameOf(own.step).split(/ (?=\d+$)/);
    return (call === 'terminate' || call === 'close') && !isCut && stopRequests.has(name);
  }),
};
