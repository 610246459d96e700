// A user with the right to read the logs of one namespace sends paths that the API server authorises as such a log, and
// that lead to a VM of another namespace if they are normalised.
import { subresourcePath } from '../../../protocol/subresources.ts';
import { plainHeaders, tally, webSocketHeaders } from '../../support/system/raw-request.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { ClusterUser } from '../cluster-user.ts';
import { withVictim } from '../victim.ts';

const name = 'path-traversal';
const own = subresourcePath(name, 'x', 'log');
const root = own.slice(0, own.indexOf('/namespaces/'));

/**
 * Codes which say that nothing was found, understood or allowed. Any other code means that another user's VM was asked.
 */
const refusals: ReadonlySet<number> = new Set([400, 403, 404]);

/** Paths from the user's own log to another user's resources. */
function spellings(subresource: string): readonly string[] {
  const wanted = `default/linuxutilityvms/${name}/${subresource}`;
  const ups = ['..', '%2e%2e', '.%2e', '%2E.', '..%00', '..;', '%252e%252e', '..%09', '..%20', '%c0%ae%c0%ae', '。。'];
  const slashes = ['/', '%2f', '//', '/./', '/%2e/', '\\', '%5c', '%252f', ';/'];
  const ways = ups.flatMap((up) => slashes.map((slash) => `${own}${slash}${[up, up, up, up, wanted].join(slash)}`));
  return [
    ...ways,
    ...ways.slice(0, 3).map((way) => `${way}/`),
    `${own}/../../../../default/linuxutilityvms/${name}/log/../${subresource}`,
    `${own}/../../../..\\default\\linuxutilityvms\\${name}\\${subresource}`,
    `${own}#/../../../../${wanted}`,
    `${own}%23/../../../../${wanted}`,
    `${own}%3f/../../../../${wanted}`,
    `${own};/../../../../${wanted}`,
    `${own}/${root}/namespaces/${wanted}`,
    `${root}/namespaces/${name}/../${wanted}`,
    `${root}/namespaces/${name}%2f..%2f${wanted}`,
    `${root}/namespaces/${name}/linuxutilityvms/../../${wanted}/../log`,
    `${root}/namespaces/${name}/linuxutilityvms/x%2flog%2f..%2f..%2f..%2f..%2f${encodeURIComponent(wanted)}/log`,
    `${root}/../v1alpha1/namespaces/${name}/linuxutilityvms/x/log/../../../../${wanted}`,
    `https://kubernetes.default${own}/../../../../${wanted}`,
    `//kubernetes.default${own}/../../../../${wanted}`,
  ];
}

async function attack(target: RunningSystem): Promise<Finding> {
  const rules = [{ apiGroups: ['subresources.lcow.dev'], resources: ['linuxutilityvms/log'], verbs: ['get'] }];
  await using user = await ClusterUser.create(target, { name, rules });
  return await withVictim(target, name, async () => {
    // The permitted use: a log in the user's own namespace. That VM does not exist.
    await user.untilAnswered(404, own);
    const [exec, log] = [`/exec?command=true&stdout=true`, '/log?tailLines=1'];
    const asked = [
      ...spellings('exec').map((path) => [`${path}?command=true&stdout=true`, webSocketHeaders()] as const),
      ...spellings('console').map((path) => [path, webSocketHeaders()] as const),
      ...spellings('log').map((path) => [`${path}?tailLines=1`, plainHeaders] as const),
      ...spellings('document').map((path) => [path, plainHeaders] as const),
      [`${own}?/../../../../default/linuxutilityvms/${name}${exec}`, webSocketHeaders()] as const,
      [`${own}?/../../../../default/linuxutilityvms/${name}${log}`, plainHeaders] as const,
    ];
    const codes: number[] = [];
    for (const [path, headers] of asked) {
      const { code } = await user.send(path, headers);
      if (!refusals.has(code)) return broken(`${path} was answered with ${code}`);
      codes.push(code);
    }
    return held(`${codes.length} spellings: ${tally(codes)}`);
  });
}

export const pathTraversal: Attack = {
  name,
  party: 'namespace editor',
  promise: 'A user who can read the logs of one namespace reaches no VM of another, however the path is written.',
  short: true,
  run: attack,
};
