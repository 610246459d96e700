import { expect, it } from 'vitest';
import type { Told } from '../../../operator/controller/instructions/agents.ts';
import { eachTold } from '../../../operator/controller/instructions/each-told.ts';
import { someUid as uid } from '../../support/agent/assignments.ts';

const good: Told = {
  intent: { uid, namespace: 'default', name: 'good', generation: 1, paused: false, remembered: { restarts: 0 } },
};

it('a listener that fails for one VM hides no other VM from its host, and is logged', async () => {
  const logged: unknown[] = [];
  const logger = { error: (fields: unknown) => logged.push(fields) };
  const tell = async (key: string) => {
    if (key === 'default/broken') throw new TypeError('a fault of ours');
    return key === 'default/unknown' ? undefined : good;
  };
  const told: Told[] = [];
  for await (const each of eachTold(['default/broken', 'default/unknown', 'default/good'], tell, logger)) {
    told.push(each);
  }
  expect(told).toEqual([good]);
  expect(logged).toMatchObject([{ vm: 'default/broken' }]);
});
