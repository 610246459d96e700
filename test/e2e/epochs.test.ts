import { describe, expect, it } from 'vitest';
import type { AuditedWrite } from '../support/control-plane/audit-log.ts';
import { EpochAudit } from '../support/system/epochs.ts';

function write(replica: string, resource: string, name: string, version: number, rest: object = {}): AuditedWrite {
  const metadata = { name, uid: `uid-of-${name}`, resourceVersion: String(version) };
  const userAgent = `lcow-operator/1 (${replica})`;
  return {
    verb: 'update',
    userAgent,
    resource,
    subresource: 'status',
    name,
    code: 200,
    response: { metadata, ...rest },
  };
}

const lease = (replica: string, version: number) =>
  write(replica, 'leases', 'lcow-operator', version, { spec: { holderIdentity: replica } });
const epoch = (replica: string, version: number, number: number) =>
  write(replica, 'linuxutilityvmhosts', 'node-a', version, { status: { session: { replica, epoch: number } } });
const status = (replica: string, version: number, nodeName?: string) =>
  write(replica, 'linuxutilityvms', 'vm', version, { status: nodeName === undefined ? {} : { nodeName } });

describe('the checker of an audit log', () => {
  const log = [lease('old', 1), epoch('old', 2, 1), status('old', 3), status('old', 4, 'node-a'), lease('new', 5)];

  it('finds nothing in a normal takeover', () => {
    const after = [epoch('new', 6, 2), status('new', 7, 'node-a'), status('new', 8)];
    expect(new EpochAudit([...log, ...after]).outOfTurn).toEqual([]);
    expect(new EpochAudit([...log, ...after]).after('old')).toEqual([]);
  });

  it('finds a write with an epoch that is not the newest, and a write without the Lease', () => {
    const late = [epoch('new', 6, 2), status('old', 7, 'node-a')];
    expect(new EpochAudit([...log, ...late]).outOfTurn).toMatchObject([{ replica: 'old', version: 7, current: 'new' }]);
    const early = [status('new', 6, 'node-a')];
    expect(new EpochAudit([...log, ...early]).outOfTurn).toMatchObject([{ replica: 'new', current: 'old' }]);
    const unplaced = [status('old', 6)];
    const other = { ...status('old', 7), response: { metadata: { name: 'b', uid: 'b', resourceVersion: '7' } } };
    expect(new EpochAudit([...log, ...unplaced, other]).outOfTurn).toMatchObject([{ version: 7, current: 'new' }]);
    expect(new EpochAudit([...log, write('old', 'events', 'x', 9)]).after('old')).toHaveLength(1);
  });
});
