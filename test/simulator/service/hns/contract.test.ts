import { randomUUID } from 'node:crypto';
import { SimulatedHns } from '../../../../simulator/service/hns/hns.ts';
import { simulatedNetwork } from '../../../../simulator/wire/network.ts';
import { describeNetworks, testNetworks } from '../../../support/agent/networks-contract.ts';

describeNetworks('the simulated HNS', async () => {
  const hns = new SimulatedHns({
    version: { major: 13, minor: 2 },
    isInstalled: true,
    networks: testNetworks.map((each) => simulatedNetwork.parse(each)),
    script: { visit: async () => ({ kind: 'proceed' }) },
    randomUUID,
  });
  return {
    service: hns,
    restart: async () => hns.restart(),
    reboot: async () => hns.reboot(),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
