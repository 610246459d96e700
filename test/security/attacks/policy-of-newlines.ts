// A namespace editor gives a confidential VM a policy of nothing but line ends, and starts processes in it again and
// again: each start could search the policy for its rules. It uses a separate agent on a host with SNP, because the
// hosts of the shared system have no SNP.
import { AgentProcess } from '../../support/system/agent-process.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';

const policies = ['\n', ' ', '\r\n', '\u2028', '\nexec_external', 'exec_external :=\n', '{"allow_all":', '[', '0'];
/** The longest policy that an agent can be sent. */
const policyCharacters = 256 * 1024;
const processes = 6;
const allowedMilliseconds = 1_000;

async function attack(): Promise<Finding> {
  await using agent = await AgentProcess.start();
  let slowest = 0;
  let health = 0;
  for (const unit of policies) {
    const text = unit.repeat(Math.ceil(policyCharacters / Buffer.byteLength(unit)));
    const policy = Buffer.from(text).subarray(0, (policyCharacters / 4) * 3);
    const options = { SecurityPolicyEnabled: true, SecurityPolicy: policy.toString('base64') };
    const uid = await agent.operator.runWith(options);
    const begun = performance.now();
    const asked = Array.from({ length: processes }, () => agent.operator.startProcess(uid, ['true']));
    health = Math.max(health, await agent.healthMilliseconds());
    const problems = await Promise.all(asked);
    slowest = Math.max(slowest, performance.now() - begun);
    if (problems.some((problem) => problem !== 'ExecNotAllowed')) return broken(`exec: ${problems.join(', ')}`);
    await agent.operator.releaseAll();
  }
  const figure = `${processes} processes at once were refused after at most ${slowest.toFixed(0)} ms, /healthz answered after ${health.toFixed(0)} ms`;
  return slowest < allowedMilliseconds && health < allowedMilliseconds ? held(figure) : broken(figure);
}

export const policyOfNewlines: Attack = {
  name: 'policy-of-newlines',
  party: 'namespace editor',
  promise: 'No policy, whatever its text, delays the agent when processes are started.',
  short: false,
  run: attack,
};
