// How this agent calls the compute service otherwise.
import { isDeepStrictEqual } from 'node:util';
import type { Placed } from './alignment.ts';
import type { HostStep } from './life.ts';
import { isCallOf } from './place.ts';
import { any, extra, field, missing, type Rule, terminate } from './rule.ts';

const properties = 'HcsGetComputeSystemProperties';
const operationTimeout = '0x80370118';
/** What a call comes back with that terminating its system has ended. */
const terminated = '0x80370107';
const alreadyExists = '0x8037010f';

export const operations: Rule = {
  point: 'operations',
  explains: field([], ['operation.waited'], ({ expected, got }) => typeof expected === 'string' && got === undefined),
};

/** What a call comes back with that is ended by terminating its system is the service's to say. */
export const overdueCalls: Rule = {
  point: 'overdue-calls',
  explains: any(
    field([], ['operation.cancelled'], ({ expected, got }) => expected === true && got === undefined),
    // Where the call has no limit, the original gets no result at all.
    field([], ['operation.result'], ({ expected, got }) => {
      const isOverdue = expected === operationTimeout || expected === undefined;
      return isOverdue && (got === terminated || got === undefined);
    }),
    extra(
      ({ index, step }, { own }) =>
        isCallOf(step, terminate) &&
        own.some((each) => each.index < index && 'call' in each.step && isPendingStart(each.step)),
    ),
  ),
};

function isPendingStart(step: HostStep): boolean {
  const isBoot = isCallOf(step, 'HcsCreateComputeSystem', 'HcsStartComputeSystem');
  return isBoot && (step.operation === undefined || step.operation.result === terminated);
}

export const eventOptions: Rule = {
  point: 'event-options',
  explains: field(
    ['HcsSetComputeSystemCallback'],
    ['args.options'],
    ({ expected, got }) => expected === 4 && got === 0,
  ),
};

export const firstQuery: Rule = {
  point: 'first-query',
  explains: missing(({ index, step }, { original }) => {
    const place = original.findIndex((each) => each.index === index);
    const neighbours = [original[place - 1], original[place + 1]];
    const isSame = (other: Placed | undefined) =>
      other !== undefined && isCallOf(other.step, properties) && isDeepStrictEqual(other.step, step);
    return isCallOf(step, properties) && neighbours.some(isSame);
  }),
};

/** A lost exit event must not go unnoticed, and a VM that is paused cannot be left: the agent looks before it terminates one. */
export const stateQueries: Rule = {
  point: 'state-queries',
  explains: extra(
    ({ index, step }, { own }) =>
      isCallOf(step, properties) &&
      step.args['query'] === '{}' &&
      own.some(
        (each) =>
          (each.index < index && isCallOf(each.step, 'HcsStartComputeSystem', terminate)) ||
          (each.index > index && isCallOf(each.step, terminate)),
      ),
  ),
};

export const leftovers: Rule = {
  point: 'leftover-ids',
  explains: (difference, { own }) => {
    const isTaken = ({ step }: Placed) =>
      isCallOf(step, 'HcsCreateComputeSystem') && [step.result, step.operation?.result].includes(alreadyExists);
    const taken = own.find(isTaken);
    if (taken === undefined || !own.some(({ step }) => isCallOf(step, 'HcsOpenComputeSystem'))) return false;
    if (difference.kind === 'extra') return difference.own.index > taken.index;
    return difference.kind === 'outcome' && difference.returned.expected.error?.code === alreadyExists;
  },
};
