// A namespace editor names the console pipe of another team's VM, in order to read its console or to break it.
import type { Attack } from '../attack.ts';
import { contest } from '../contest.ts';

const name = 'pipe-of-another-tenant';

export const pipeOfAnotherTenant: Attack = {
  name,
  party: 'namespace editor',
  promise: 'A console pipe belongs to one VM of a host, also while that VM restarts; another one waits.',
  short: true,
  run: (target) =>
    contest(target, {
      name,
      owned: { console: { pipe: String.raw`\\.\pipe\contested` } },
      wanted: [
        String.raw`\\.\pipe\contested`,
        String.raw`\\.\pipe\CONTESTED`,
        String.raw`\\.\PIPE\contested`,
        String.raw`\\.\pipe\LOCAL\contested`,
        String.raw`\\.\pipe\other\..\contested`,
        String.raw`\\.\pipe\contested.`,
        String.raw`\\.\pipe\contested `,
        String.raw`\\?\pipe\contested`,
        String.raw`\\localhost\pipe\contested`,
        '//./pipe/contested',
        String.raw`\\.\GLOBALROOT\Device\NamedPipe\contested`,
      ].map((pipe) => ({ console: { pipe } })),
      reason: 'PipeInUse',
    }),
};
