// How long the VM of one namespace waits for its placement beside a crowd of pending VMs of another namespace: during
// their creation, at a change of a taint, and after a failover.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificates } from '../support/certificates.ts';
import { startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';
import { PendingCrowd } from '../support/system/pending-crowd-bed.ts';
import { SimulatedAgents } from './converge-agents.ts';
import { operatorProgram } from './operator-program.ts';

export interface FairnessFigure {
  readonly moment: string;
  readonly milliseconds: number;
}

export async function benchFairness(pending: number, hosts: number): Promise<readonly FairnessFigure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'fairness-'));
  const controlPlane = await startControlPlane();
  const names = Array.from({ length: hosts }, (_, index) => `win-${index}`);
  const tokens = new Map(names.map((name) => [name, `token-of-node-${name}`]));
  const certificates = await makeCertificates();
  const agents = new SimulatedAgents();
  const program = operatorProgram({
    directory,
    kubeconfigPath: controlPlane.kubeconfigPath,
    logFile: join(directory, 'operator.log'),
  });
  try {
    await installCustomResources(controlPlane);
    const files = {
      'tls.crt': certificates.serving.certificate,
      'tls.key': certificates.serving.key,
      'tokens.json': JSON.stringify(Object.fromEntries([...tokens].map(([node, token]) => [token, node]))),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    const nodes = names.map((name) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } }));
    await kubectl(
      controlPlane,
      ['create', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: nodes }),
    );
    const authority = certificates.authority;
    await program.start();
    await agents.connect({ port: await agentsPort(directory, 1), authority, tokens });
    // Its objects are removed with the control plane.
    const crowd = await PendingCrowd.open(controlPlane.kubeconfigPath);
    const figures: FairnessFigure[] = [];
    const note = (moment: string, milliseconds: number) => figures.push({ moment, milliseconds });
    note('while they are created', await crowd.worstPlacement(crowd.create(pending)));
    await crowd.taint('win-0', [{ key: 'example.com/bench', effect: 'NoSchedule' }]);
    note('at a new taint', await crowd.worstPlacement(sleep(5_000)));
    await crowd.taint('win-0', []);
    note('when it is gone', await crowd.worstPlacement(sleep(5_000)));
    await agents.close();
    await program.stop();
    await program.start();
    await agents.connect({ port: await agentsPort(directory, 2), authority, tokens });
    note('after a failover', await crowd.worstPlacement(sleep(5_000)));
    return figures;
  } finally {
    await agents.close();
    await program.stop();
    await controlPlane.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Resolves once the program leads for the `term`-th time, according to its log. */
async function agentsPort(directory: string, term: number): Promise<number> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    const log = await readFile(join(directory, 'operator.log'), 'utf8').catch(() => '');
    const ports = [...log.matchAll(/"agents":(\d+)/g)];
    const leads = log.split('"msg":"leads"').length - 1;
    if (ports.length >= term && leads >= term) return Number(ports.at(-1)?.[1]);
    await sleep(100);
  }
  throw new Error('the operator did not come to lead');
}
