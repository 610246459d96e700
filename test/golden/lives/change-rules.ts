// How this agent changes running VMs otherwise.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { grantCalls } from './alignment.ts';
import type { Comparison } from './comparison.ts';
import { commandIn, hasRefused, jsonOf, lookedAt } from './guest.ts';
import type { HostStep } from './life.ts';
import { bundleFolder } from './life-agent.ts';
import { callAt, isCallOf, isFrame, isOwnAfter, returnOf, textOf } from './place.ts';
import {
  any,
  closeHandle,
  extra,
  field,
  hasExitedBefore,
  hasFailed,
  missing,
  outcome,
  type Rule,
  terminate,
} from './rule.ts';

const nullGroup = '00000000-0000-0000-0000-000000000000';
const unlimited = { limit: 100_000, weight: 100 };

export const diskAccess: Rule = {
  point: 'disk-access',
  explains: any(
    field([...grantCalls], ['call'], () => true),
    extra(
      ({ index, step }, { own }) =>
        isCallOf(step, 'HcsRevokeVmAccess') &&
        own.some((each) => {
          const isGrant = isCallOf(each.step, ...grantCalls) && each.index < index;
          return isGrant && isDeepStrictEqual(each.step.args, step.args);
        }),
    ),
  ),
};

export const disksNeedBridge: Rule = {
  point: 'disks-need-bridge',
  explains: missing((original, comparison) => {
    const call = callAt(comparison, original.index);
    const came = call && returnOf(comparison, call);
    const isOfDisk = isCallOf(original.step, ...grantCalls) || textOf(original.step).includes('/Devices/Scsi/');
    return isOfDisk && call?.call === 'addDisk' && came?.error?.kind === 'bridge closed';
  }),
};

/** Whether the guest took the refresh of its memory is no matter of what comes after it. */
function refreshRefusedAt({ life }: Comparison): number | undefined {
  const refresh = life.steps.find(
    (step) => step.by === 'host' && 'frame' in step && step.payload.includes('"PodCgroupMemoryLimit"'),
  );
  const index = life.steps.findIndex(
    (step) =>
      step.by === 'guest' &&
      'frame' in step &&
      refresh !== undefined &&
      'id' in refresh &&
      step.id === refresh.id &&
      hasRefused(step.payload),
  );
  return index < 0 ? undefined : index;
}

/** A process, and the wait for it that follows at once. */
export const mountLooks: Rule = {
  point: 'mount-looks',
  explains: extra(({ index, step }, { own }) => {
    const asked = isFrame(step, 'WaitForProcess') ? own[index - 1]?.step : step;
    return isFrame(asked, 'ExecuteProcess') && lookedAt(commandIn(textOf(asked)).command) !== undefined;
  }),
};

export const memoryRefresh: Rule = {
  point: 'memory-refresh',
  explains: any(
    extra(
      (own, comparison) =>
        /ComputeTopology\/Processor\//.test(textOf(own.step)) &&
        isOwnAfter(comparison, own, refreshRefusedAt(comparison)),
    ),
    outcome(
      ({ returned }, comparison) =>
        (returned.call === 'update' || returned.call === 'updateMemory') &&
        refreshRefusedAt(comparison) !== undefined &&
        returned.outcome?.ok === true,
    ),
  ),
};

const groupChange = z.strictObject({
  ResourcePath: z.literal('VirtualMachine/ComputeTopology/Processor/CpuGroup'),
  Settings: z.strictObject({ Id: z.string() }),
});

function groupIn(step: HostStep | undefined): string | undefined {
  const parsed = groupChange.safeParse(step === undefined ? undefined : jsonOf(textOf(step)));
  return parsed.success ? parsed.data.Settings.Id : undefined;
}

export const nullGroupFirst: Rule = {
  point: 'null-group',
  explains: any(
    // What is refused is the first of the two then.
    field(['HcsModifyComputeSystem'], ['args.configuration'], ({ original, own }) => {
      const wanted = groupIn(original.step);
      return wanted !== undefined && wanted !== nullGroup && groupIn(own.step) === nullGroup && isRefused(own.step);
    }),
    extra(({ index, step }, { own }) => {
      const next = groupIn(own[index + 1]?.step);
      return groupIn(step) === nullGroup && next !== undefined && next !== nullGroup;
    }),
  ),
};

function isRefused(step: HostStep): boolean {
  return 'call' in step && [step.result, step.operation?.result].some(hasFailed);
}

const limitsChange = z.strictObject({
  ResourcePath: z.literal('VirtualMachine/ComputeTopology/Processor/Limits'),
  Settings: z.object({ Limit: z.int().default(unlimited.limit), Weight: z.int().default(unlimited.weight) }).loose(),
});

export const bothLimits: Rule = {
  point: 'processor-limits',
  explains: field(['HcsModifyComputeSystem'], ['args.configuration'], ({ expected, got }) => {
    const wanted = limitsChange.safeParse(jsonOf(String(expected)));
    return wanted.success && JSON.stringify(wanted.data) === got;
  }),
};

/** What the VM has already is not sent again. */
export const nothingToChange: Rule = {
  point: 'nothing-to-change',
  explains: missing(({ index, step }, { life }) => {
    const text = textOf(step);
    const isOfResource = text.startsWith('{"ResourcePath":"VirtualMachine/ComputeTopology/');
    const isRefresh = isFrame(step, 'ModifySettings') && text.includes('"PodCgroupMemoryLimit"');
    const isRepeated = life.steps.slice(0, index).some((each) => each.by === 'host' && textOf(each) === text);
    return isRepeated && (isOfResource || isRefresh);
  }),
};

const endings: ReadonlySet<string> = new Set(['wait', 'terminate', 'close', 'exec']);

export const afterTheEnd: Rule = {
  point: 'after-the-end',
  explains: any(
    missing((original, comparison) => {
      const call = callAt(comparison, original.index);
      const begun = call === undefined ? -1 : comparison.life.steps.indexOf(call);
      return hasExitedBefore(comparison, begun) && !isCallOf(original.step, closeHandle, terminate);
    }),
    outcome(
      ({ returned }, comparison) =>
        hasExitedBefore(comparison, returned.index) && returned.expected.ok === false && !endings.has(returned.call),
    ),
  ),
};

export const networkNamespaces: Rule = {
  point: 'network-namespaces',
  explains: missing(({ step }) => 'call' in step && step.call.startsWith('Hcn')),
};

export const copies: Rule = {
  point: 'snp-copies',
  explains: field(['HcsCreateComputeSystem'], ['args.configuration'], ({ expected, got }, { life }) => {
    const theirs = life.options['BundleDirectory'];
    const inJson = (path: string) => JSON.stringify(path).slice(1, -1);
    return typeof theirs === 'string' && String(got).replaceAll(inJson(bundleFolder), inJson(theirs)) === expected;
  }),
};
