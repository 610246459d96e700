import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogLimiter } from '../../../../agent/guest/log/limiter.ts';
import type { GuestLogRecord } from '../../../../agent/guest/log/record.ts';
import { scrubRecord } from '../../../../agent/guest/log/scrubber.ts';
import { FakeClock } from '../../../support/clocks/fake-clock.ts';
import { threadTime } from '../../../support/thread-time.ts';

const record = (message: string, fields: GuestLogRecord['fields'] = {}): GuestLogRecord => ({
  level: 'info',
  message,
  fields: { 'uvm-id': 'token-vm', ...fields },
});

describe('scrubbing', () => {
  it('removes secrets by their names at any depth, and keeps the rest', () => {
    const fields = {
      cid: 'c1',
      dbPassword: 'hunter2',
      env: ['A=b'],
      process: { args: ['run', '--token=abc'], 'api-key': 5, Environment: { A: 'b' }, cwd: '/' },
    };
    expect(scrubRecord(record('start', fields)).fields).toEqual({
      'uvm-id': 'token-vm',
      cid: 'c1',
      dbPassword: '<scrubbed>',
      env: '<scrubbed>',
      process: { args: ['run', '--token=<scrubbed>'], 'api-key': '<scrubbed>', Environment: '<scrubbed>', cwd: '/' },
    });
  });

  it.each([
    ['MYSQL_PASSWORD=x y', 'MYSQL_PASSWORD=<scrubbed> y'],
    ['{"clientSecret": "a b", "n":1}', '{"clientSecret": <scrubbed>, "n":1}'],
    ['Authorization: Bearer abcdefgh.ijk', 'Authorization: <scrubbed> <scrubbed>'],
    ['header Bearer abcdefgh.ijk ok', 'header Bearer <scrubbed> ok'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- end', '<scrubbed> end'],
    ['-----BEGIN PRIVATE KEY-----\ncut', '<scrubbed>'],
    ['no secrets in here', 'no secrets in here'],
  ])('turns the text %s into %s', (text, expected) => {
    expect(scrubRecord(record(text)).message).toBe(expected);
  });

  it('takes time in proportion to the length of the text', () => {
    for (const unit of ['secret', 'secret=', '-----BEGIN PRIVATE KEY-----', 'token ', '"', 'Bearer ']) {
      const begun = threadTime();
      scrubRecord(record(unit.repeat(20_000)));
      expect(threadTime() - begun).toBeLessThan(2000);
    }
  });
});

describe('the rate of a log', () => {
  const limiter = (clock: FakeClock) => new LogLimiter({ recordsPerSecond: 10, burst: 3 }, clock, 'vm');
  const many = (count: number) => Array.from({ length: count }, (_, index) => record(`m${index}`));

  it('drops lines beyond it, counts them and reports them', () => {
    const clock = new FakeClock();
    const rate = limiter(clock);
    expect(rate.admit(many(5)).map(({ message }) => message)).toEqual(['m0', 'm1', 'm2']);
    expect(rate.admit(many(1))).toEqual([]);
    clock.advance(100);
    const [notice, next] = rate.admit(many(1));
    expect(notice).toMatchObject({ level: 'warning', fields: { 'uvm-id': 'vm', dropped: 3 } });
    expect(next?.message).toBe('m0');
    expect(rate.dropped).toBe(3);
    expect(rate.end()).toEqual([]);
  });

  it('loses no line uncounted', () => {
    const steps = fc.array(fc.record({ pause: fc.nat(500), count: fc.nat(8) }), { maxLength: 30 });
    fc.assert(
      fc.property(steps, (schedule) => {
        const clock = new FakeClock();
        const rate = limiter(clock);
        let sent = 0;
        const got: GuestLogRecord[] = [];
        for (const { pause, count } of schedule) {
          clock.advance(pause);
          sent += count;
          got.push(...rate.admit(many(count)));
        }
        got.push(...rate.end());
        const told = got.reduce((sum, { fields }) => sum + Number(fields['dropped'] ?? 0), 0);
        const admitted = got.filter(({ fields }) => fields['dropped'] === undefined).length;
        expect(told).toBe(rate.dropped);
        expect(admitted + told).toBe(sent);
      }),
    );
  });
});
