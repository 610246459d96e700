// An auditor with the verbs get, list and watch on everything in the cluster tries to start something in a guest.
import { type Subresource, subresourcePath } from '../../../protocol/subresources.ts';
import { plainHeaders, tally, webSocketHeaders } from '../../support/system/raw-request.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { ClusterUser } from '../cluster-user.ts';
import { withVictim } from '../victim.ts';

const name = 'get-is-not-exec';
const read = { apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list', 'watch'] };
const start = { apiGroups: ['subresources.lcow.dev'], resources: ['linuxutilityvms/exec'], verbs: ['get', 'create'] };

const pathOf = (subresource: Subresource) => subresourcePath('default', name, subresource);
const exec = `${pathOf('exec')}?command=true&stdout=true`;
const forward = `${pathOf('portforward')}?port=80`;

/** Headers that the user adds, in the hope that the operator attributes them to the API server. */
const claims: readonly (readonly string[])[] = [
  [],
  ['X-Remote-User: admin', 'X-Remote-Group: system:masters'],
  ['X-Remote-Group: system:masters'],
  ['X_Remote_Group: system:masters'],
  ['X-Remote-Extra-Groups: system:masters', 'X-Remote-Uid: 0'],
  ['Impersonate-Uid: 0'],
  ['Connection: Upgrade, X-Remote-User'],
];

const wishes = [exec, pathOf('console'), forward].flatMap((path): Parameters<ClusterUser['send']>[] => {
  const [bare = ''] = path.split('?');
  return [
    ...claims.map((claim): [string, readonly string[]] => [path, [...webSocketHeaders(), ...claim]]),
    ...['watch=true', 'verb=get', 'dryRun=All'].map((query): [string, readonly string[]] => [
      `${bare}?${query}&command=true&port=80`,
      webSocketHeaders(),
    ]),
    ...['POST', 'PUT', 'HEAD', 'OPTIONS'].map((method): [string, readonly string[], string] => [
      path,
      webSocketHeaders(),
      method,
    ]),
    [path, plainHeaders],
  ];
});

async function attack(target: RunningSystem): Promise<Finding> {
  return await withVictim(target, name, async () => {
    await using auditor = await ClusterUser.create(target, { name, rules: [read], everywhere: true });
    await using starter = await ClusterUser.create(target, {
      name: `${name}-but-create`,
      rules: [start],
      everywhere: true,
    });
    // The permitted use.
    await auditor.untilAnswered(200, `${pathOf('log')}?tailLines=1`);
    await starter.untilAnswered(101, exec, webSocketHeaders());
    const codes: number[] = [];
    for (const wish of wishes) codes.push((await auditor.send(...wish)).code);
    const figure = `${codes.length} ways to ask: ${tally(codes)}; with create: 101`;
    return codes.every((code) => code === 400 || code === 403) ? held(figure) : broken(figure);
  });
}

export const getIsNotExec: Attack = {
  name,
  party: 'namespace editor',
  promise: 'A user who can get everything in the cluster can start no process, open no console and connect to no port.',
  short: true,
  run: attack,
};
