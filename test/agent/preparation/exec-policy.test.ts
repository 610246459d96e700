// Whether users can start processes in a confidential VM: read from a policy that any author of a VM can write.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowsExec, policyAllowsExec } from '../../../agent/preparation/exec-policy.ts';
import { GuestAccess, type ReachableVirtualMachine } from '../../../agent/vm/guest-access.ts';
import { machineRecord } from '../../../agent/vm/record.ts';
import { threadTime } from '../../support/thread-time.ts';

const encode = (policy: string) => Buffer.from(policy).toString('base64');

/** The same rule as one short regular expression, which takes seconds for a hostile policy. */
function saidShortly(policy: string): boolean {
  const allows = /^\s*exec_external\s*:=\s*(\{\s*"allowed"\s*:\s*true\b|data\.framework\.exec_external\b)/m;
  const list = /^\s*external_processes\s*:=\s*\[\s*\{/m;
  const rule = allows.exec(policy)?.[1];
  return rule !== undefined && (rule.startsWith('{') || list.test(policy));
}

const piece = fc.constantFrom(
  ...['exec_external', 'external_processes', ':=', '{', '"allowed"', ':', 'true', 'false', '}', '[', 'x', '_', '#'],
  ...['data.framework.exec_external', 'exec_external := {"allowed": true}', 'external_processes := [\n{'],
  ...[' ', '\n', '\r', '\t', '\u2028', '\u00a0', '\ufeff', '\n\n  ', '\v'],
  'exec_external := data.framework.exec_external',
);
const policy = fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join(''));

describe('whether a policy allows exec', () => {
  it('follows its rules, wherever they stand', () => {
    let allowed = 0;
    fc.assert(
      fc.property(policy, (text) => {
        const expected = saidShortly(text);
        if (expected) allowed += 1;
        expect(policyAllowsExec(encode(text))).toBe(expected);
      }),
      { numRuns: 20_000 },
    );
    expect(allowed).toBeGreaterThan(100);
  });

  it('is checked for confidential VMs only', () => {
    expect(allowsExec({})).toBe(true);
    expect(allowsExec({ SecurityPolicy: '', SecurityPolicyEnabled: false })).toBe(true);
    expect(allowsExec({ SecurityPolicy: '', SecurityPolicyEnabled: true })).toBe(false);
  });

  const length = 1 << 20;
  it.each([
    ['line ends', '\n'],
    ['line ends of Windows', '\r\n'],
    ['carriage returns', '\r'],
    ['line separators', '\u2028'],
    ['spaces', ' '],
    ['no-break spaces', '\u00a0'],
    ['tabs and line ends', '\t\n'],
    ['digits', '7'],
    ['letters', 'x'],
    ['NULs', '\0'],
    ['bytes that are not UTF-8', '\ufffd'],
    ['names of the rule', 'exec_external'],
    ['names of the rule in lines', 'exec_external\n'],
    ['names of the rule and white space', `exec_external${'\n'.repeat(1000)}`],
    ['beginnings of the rule', 'exec_external :='],
    ['beginnings of the rule in lines', '\nexec_external := {\n"allowed"\n:\n'],
    ['rules with a longer word', '\nexec_external := data.framework.exec_externals'],
    ['lists without an element', '\nexternal_processes := [\n\n\n'],
    ['brackets', '['],
    ['braces', '{'],
    ['members', '{"allow_all":'],
    ['quotes', '"'],
    ['backslashes', '"\\'],
  ])('takes no longer than reading the policy: %s', (_, unit) => {
    const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
    const begun = threadTime();
    expect(policyAllowsExec(encode(text))).toBe(false);
    expect(policyAllowsExec(encode(`${text}\nexec_external := data.framework.exec_external\n`))).toBe(false);
    // Each policy takes 13 ms on a quiet machine. A regular expression took minutes.
    expect(threadTime() - begun).toBeLessThan(1_000);
  });

  const applied = {
    options: { SecurityPolicyEnabled: true, SecurityPolicy: encode('{"allow_all":true}') },
    optionsDigest: '',
    documentDigest: '',
    outlivesAgent: true,
    processorCount: 1,
    memorySizeInMB: 1,
    osBuild: 20348,
    scsiControllers: 0,
    warnings: [],
    devices: { vpmem: [], scsi: [], assigned: [] },
  };

  it('is decided once for a VM whose record was written by an earlier agent without the answer', () => {
    const { applied: schema } = machineRecord.shape;
    expect(schema.parse(applied)?.execAllowed).toBe(true);
    expect(schema.parse({ ...applied, options: { SecurityPolicyEnabled: true } })?.execAllowed).toBe(false);
    expect(schema.parse({ ...applied, execAllowed: false })?.execAllowed).toBe(false);
  });

  it('is stored with the VM, and not read from the policy for each process', async () => {
    const record = { applied: { ...applied, execAllowed: false } };
    Object.defineProperty(record.applied, 'options', {
      get: () => {
        throw new Error('the policy was read again');
      },
    });
    const reachable = { record, run: { guestConnected: true } } as unknown as ReachableVirtualMachine;
    const nothing = { stdin: false, stdout: false, stderr: false };
    const started = new GuestAccess(reachable).execute({ args: ['true'] }, nothing, new AbortController().signal);
    await expect(started).rejects.toMatchObject({ problem: 'ExecNotAllowed' });
  });

  it('is found behind any amount of white space', () => {
    expect(
      policyAllowsExec(encode(`${'\n '.repeat(length)}exec_external${' '.repeat(length)}:= {"allowed": true}`)),
    ).toBe(true);
  });
});
