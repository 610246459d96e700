import { describe, expect, it } from 'vitest';
import { padded, shortened, widthOf, wrapped } from '../../../kubectl/dashboard/cells.ts';
import type { Fleet } from '../../../kubectl/dashboard/fleet.ts';
import { hostRow, machineRow, setRow } from '../../../kubectl/dashboard/rows.ts';
import { linesOf, rowsIn } from '../../../kubectl/dashboard/screen.ts';
import { firstState, type State } from '../../../kubectl/dashboard/state.ts';
import { emptyFleet, now, sampleFleet } from './sample-fleet.ts';

const size = { height: 24, width: 80 };
const show = (changes: Partial<State> = {}, fleet: Fleet = sampleFleet, on = size) =>
  linesOf({ state: { ...firstState, ...changes }, fleet, scope: 'namespace default', now }, on);
const text = (...parameters: Parameters<typeof show>) =>
  `\n${show(...parameters)
    .map((line) => line.text)
    .join('\n')
    .replaceAll(/ +$/gm, '')}\n`;

describe('the screen', () => {
  it('shows VMs, what is wrong first, with the reason of the chosen one', () => {
    expect(text()).toMatchInlineSnapshot(`
      "
      lcow  namespace default   1 wrong, 1 unknown, 1 changing, 2 running, 1 at rest
      [1 VMs 6]  2 hosts 1/2   3 sets 1
          NAME    PHASE    HOST   RESTARTS  AGE  WHY
      >!  db      Failed   win-2  0         3h   InsufficientResources: the host has ~
       ?  lost    Unknown  win-2  0         3h   AgentDisconnected
       ~  new     Pending  -      0         3h   NoHostFits: 0/2 hosts fit
       -  batch   Stopped  win-1  0         3h   Completed
          web-2   Running  win-1  3         3h   Running: the VM is up
          web-10  Running  win-1  0         3h   Running: the VM is up










      default/db: InsufficientResources: the host has not enough memory for a VM of
      4096 MB, of which 1024 MB are left


      l logs e exec c console r restart / filter q quit
      "
    `);
  });

  it('shows hosts with a character for each of their VMs', () => {
    expect(text({ view: 'hosts', chosen: { ...firstState.chosen, hosts: 'win-1' } })).toMatchInlineSnapshot(`
      "
      lcow  namespace default   1 wrong, 1 unknown, 1 changing, 2 running, 1 at rest
       1 VMs 6  [2 hosts 1/2]  3 sets 1
          NAME   VMS  MEMORY   CPUS  BUILD  . runs ~ changes - rests ! wrong ? unknown
       !  win-2  2    128 GiB  32    26100  !?
      >   win-1  3    256 GiB  64    20348  ..-














      win-1: Connected



      l logs e exec c console r restart / filter q quit
      "
    `);
  });

  it('shows how far the rollouts of sets are', () => {
    expect(text({ view: 'sets' })).toMatchInlineSnapshot(`
      "
      lcow  namespace default   1 wrong, 1 unknown, 1 changing, 2 running, 1 at rest
       1 VMs 6   2 hosts 1/2  [3 sets 1]
          NAME  READY  UPDATED  AVAILABLE  AGE  ROLLOUT
      >~  web   3/4    2        3          3h   2 of 4 VMs are rolled out (Restart): ~















      default/web: 2 of 4 VMs are rolled out (Restart): waits for web-3



      l logs e exec c console r restart / filter q quit
      "
    `);
  });

  it('says that it reads, what it cannot read, and what nothing was found for', () => {
    expect(text({}, emptyFleet)).toContain('reading VMs ...');
    expect(text({ view: 'hosts' }, emptyFleet)).toContain('hosts cannot be read: hosts is forbidden');
    expect(text({ view: 'sets' }, emptyFleet)).toContain('no sets');
    expect(text({ filter: 'nothing' })).toContain('no VMs with "nothing"');
    expect(text({ view: 'sets' }, emptyFleet)).toContain('hosts are out of date: hosts is forbidden');
  });

  it('lets no text steer the terminal: reasons, errors of the API server, what was typed or pasted', () => {
    const steering = 'a\x1b[2Jb\u009bc\u202ed';
    const [machine] = sampleFleet.machines;
    const knowledge = { ...emptyFleet.knowledge, VMs: { kind: 'Stale', why: steering } } as const;
    const fleet = {
      ...emptyFleet,
      knowledge,
      machines: machine ? [{ ...machine, why: steering, phase: steering }] : [],
    };
    for (const state of [
      {},
      { filter: steering },
      { notice: steering },
      { mode: 'Filter', filter: steering },
    ] as const) {
      for (const each of [fleet, { ...fleet, machines: [] }]) {
        const shown = show(state, each).map((line) => line.text);
        expect(shown.join('')).not.toMatch(/[\p{Cc}\u202a-\u202e]/u);
        expect(Math.max(...shown.map(widthOf))).toBeLessThanOrEqual(80);
      }
    }
  });

  it('keeps only rows that the filter describes: name, host, phase or reason', () => {
    for (const filter of ['DB', 'insufficient', 'failed']) expect(text({ filter })).toMatch(/filter: \w+ \(1\)/);
    expect(text({ filter: 'win-2', mode: 'Filter' })).toContain('filter: win-2_ (2)');
  });

  it('asks before a restart', () => {
    const chosen = { ...firstState.chosen, VMs: 'default/db' };
    expect(text({ mode: 'Restart', chosen })).toContain('restart default/db? y: yes, any other key: no');
  });

  it('means the same without style: the chosen row and what is wrong have marks', () => {
    const lines = show({ chosen: { ...firstState.chosen, VMs: 'default/web-2' } });
    expect(lines.filter(({ style }) => style === 'chosen').map((line) => line.text.slice(0, 12))).toEqual([
      '>   web-2   ',
    ]);
    expect(lines.filter(({ style }) => style === 'wrong').map((line) => line.text.slice(0, 6))).toEqual([' !  db']);
  });

  it('fits terminals of all sizes, with names of all scripts and thousands of VMs', () => {
    const names = ['界'.repeat(200), 'x'.repeat(253), '👩‍👩‍👧'.repeat(40), 'a\u0301'.repeat(100)];
    const machines = Array.from({ length: 5_000 }, (_, index) =>
      machineRow({
        metadata: { namespace: 'n', name: `${names[index % names.length]}${index}` },
        status: { phase: 'Running', conditions: [condition('界面 \x1b[2J\n'.repeat(50))] },
      }),
    );
    const fleet = { ...sampleFleet, machines };
    for (const [height, width] of [
      [10, 40],
      [24, 80],
      [50, 200],
      [11, 41],
    ] as const) {
      const lines = show({ chosen: { ...firstState.chosen, VMs: `n/${names[0]}2500` } }, fleet, { height, width });
      expect(lines).toHaveLength(height);
      expect(Math.max(...lines.map((line) => widthOf(line.text)))).toBeLessThanOrEqual(width);
      expect(lines.every((line) => !line.text.includes('\x1b'))).toBe(true);
    }
    expect(show({}, fleet, { height: 5, width: 20 }).map((line) => line.text)).toEqual(['needs 40x10']);
    expect(rowsIn({ height: 24, width: 80 })).toBe(16);
  });
});

const condition = (message: string) => ({
  type: 'Ready',
  status: 'False',
  reason: 'Starting',
  message,
  lastTransitionTime: '2026-11-30T12:00:00Z',
});

describe('cells', () => {
  it('count what the terminal shows', () => {
    expect(shortened('abcdef', 4)).toBe('abc~');
    expect(shortened('界界界', 4)).toBe('界~');
    expect(padded('界', 4)).toBe('界  ');
    expect(wrapped('one two three four', 8, 2)).toEqual(['one two', 'three']);
    expect(wrapped('nospaceshere', 5, 5)).toEqual(['nospa', 'ceshe', 're']);
    expect(wrapped('界', 1, 3)).toEqual([]);
  });
});

describe('a row', () => {
  const row = (status: object, metadata: object = {}) =>
    machineRow({ metadata: { namespace: 'default', name: 'vm', ...metadata }, status });
  const ready = (status: string, reason: string, message = '') => ({ ...condition(message), status, reason });

  it.each([
    ['has not been seen', {}, 'Unknown', 'no operator has seen it yet'],
    ['runs', { phase: 'Running', conditions: [ready('True', 'Running')] }, 'Good', 'Running'],
    ['is halted', { phase: 'Stopped', conditions: [ready('True', 'Halted')] }, 'Resting', 'Halted'],
    ['starts', { phase: 'Starting', conditions: [ready('False', 'Starting', 'boots')] }, 'Moving', 'Starting: boots'],
    ['has failed', { phase: 'Failed', conditions: [ready('False', 'BootTimeout')] }, 'Wrong', 'BootTimeout'],
    [
      'is away',
      { phase: 'Unknown', conditions: [ready('Unknown', 'AgentDisconnected')] },
      'Unknown',
      'AgentDisconnected',
    ],
    [
      'is stalled',
      {
        phase: 'Pending',
        conditions: [
          ready('False', 'Pending'),
          { ...ready('True', 'BootFileNotFound', 'no vmlinux'), type: 'Stalled' },
        ],
      },
      'Wrong',
      'BootFileNotFound: no vmlinux',
    ],
    [
      'needs a restart',
      {
        phase: 'Running',
        conditions: [ready('True', 'Running'), { ...ready('True', 'Changed', 'boot'), type: 'RestartRequired' }],
      },
      'Good',
      'restart required: boot',
    ],
    ['is from the future', { phase: 'Dreaming', conditions: 'none' }, 'Unknown', 'no operator has seen it yet'],
    ['cannot be read', { phase: 7 }, 'Unknown', expect.stringContaining('it cannot be read')],
  ])('says how a VM is that %s', (_, status, health, why) => {
    expect(row(status)).toMatchObject({ health, why });
  });

  it('of a host or set that cannot be read says so', () => {
    const unreadable = { health: 'Unknown', name: 'x', why: expect.stringContaining('it cannot be read') };
    expect(hostRow({ metadata: { name: 'x' }, status: { memoryInMB: 'much' } })).toMatchObject(unreadable);
    const about = { name: 'x', namespace: 'default', uid: 'u' };
    expect(setRow({ metadata: about, spec: { update: { method: 'Magic' } } })).toMatchObject(unreadable);
  });

  it('of a host that is well names its networks', () => {
    const connected = { ...ready('True', 'Connected', 'the agent is connected'), type: 'Connected' };
    const networks = [
      { name: 'nat', type: 'NAT', id: '1' },
      { name: 'vms', type: 'L2Bridge', id: '2', subnets: ['10.0.0.0/8'] },
    ];
    const rowOf = (status: object) =>
      hostRow({ metadata: { name: 'x' }, status: { conditions: [connected], ...status } });
    expect(rowOf({ networks }).why).toMatch(/the agent is connected; networks: nat \(NAT\), vms \(L2Bridge\)$/);
    for (const none of [{}, { networks: [] }, { networks: [7] }]) expect(rowOf(none).why).toMatch(/is connected$/);
  });

  it('says since when a VM is being deleted', () => {
    const deletionTimestamp = '2026-11-30T11:00:00Z';
    expect(row({}, { deletionTimestamp })).toMatchObject({
      health: 'Moving',
      why: `being deleted since ${deletionTimestamp}`,
    });
  });
});
