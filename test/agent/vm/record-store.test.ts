import { pino } from 'pino';
import { expect, it } from 'vitest';
import { type MachineRecord, newRecord } from '../../../agent/vm/record.ts';
import { RecordStore } from '../../../agent/vm/record-store.ts';
import { someUid } from '../../support/agent/assignments.ts';

function openStore(write: (record: MachineRecord) => Promise<void> = async () => undefined) {
  const told: (string | undefined)[] = [];
  const store: RecordStore = new RecordStore(newRecord(someUid, '11111111-2222-4333-8444-555555555555'), {
    journal: { write },
    logger: pino({ level: 'silent' }),
    troubleChanged: () => told.push(store.record.trouble?.reason),
  });
  return { store, told };
}

it('the store writes a record with its current trouble', async () => {
  const written: MachineRecord[] = [];
  const { store, told } = openStore(async (record) => void written.push(record));
  store.change((record, boot: number) => ({ ...record, boot }), 3);
  store.setTrouble({ reason: 'CreateFailed', message: 'no', isLasting: true });
  await store.write();
  expect(told).toEqual(['CreateFailed']);
  expect(written).toEqual([{ ...written[0], boot: 3, trouble: { reason: 'CreateFailed', message: 'no' } }]);
});

it('the store forgets a trouble when it is over, and keeps others', () => {
  const { store } = openStore();
  store.setTrouble({ reason: 'CreateFailed', message: 'no' });
  store.clearTrouble('StopFailed', 'CleanUpFailed');
  expect(store.record.trouble?.reason).toBe('CreateFailed');
  store.clearTrouble('CreateFailed');
  expect(store.record).not.toHaveProperty('trouble');
  store.setTrouble({ reason: 'StopFailed', message: 'no' });
  store.clearTrouble();
  expect(store.record).not.toHaveProperty('trouble');
});

it('the store reports why it cannot write, unless the caller must not be delayed', async () => {
  const { store } = openStore(() => Promise.reject(new Error('disk full')));
  await expect(store.write()).rejects.toMatchObject({ reason: 'JournalUnwritable' });
  await expect(store.tryWrite()).resolves.toBeUndefined();
});
