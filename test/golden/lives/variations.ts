// Lives that were not recorded, made of recorded ones: for points of the documentation that no recorded life comes to. What the
// original would have done in them follows from what it did.
import { guestPorts } from '../../../agent/node/guest-sockets.ts';
import { type CallerReturn, isCall, type Life, type Step } from './life.ts';

/** By the point that each comes to. */
export function variations(lives: readonly Life[]): ReadonlyMap<string, Life> {
  const recorded = (name: string): Life => {
    const found = lives.find((life) => life.name === name);
    if (found === undefined) throw new Error(`no life is called ${name}`);
    return found;
  };
  const refused = recorded('terminate is refused');
  const redialled = recorded('bridge lost, guest dials again');
  const withoutRedial = without(redialled, (step) => step.by === 'guest' && 'call' in step && step.call === 'dials');
  return new Map([
    ['leftover-ids', replaced(recorded('create fails, no hypervisor'), [['0x80370102', '0x8037010f']])],
    [
      'stopped-is-done',
      replaced(refused, [
        ['0x80070005', '0x80370110'],
        ['0x00000005', '0x80370110'],
      ]),
    ],
    ['stop-again', upTo(refused, 'close')],
    ['log-listener', withOwnCommand(recorded('no output forwarding'))],
    ['exec-without-bridge', withoutRedial],
    ['disks-need-bridge', withDisk(upTo(withoutRedial, 'addPlan9'), recorded('disk: add with mount, remove'))],
    ['stream-limit', withoutStreams(recorded('initrd boot, one process, terminate, close'))],
    ['nothing-to-change', twice(recorded('controller: memory and processors'), 'updateMemory')],
  ]);
}

function replaced(life: Life, texts: readonly (readonly [from: string, to: string])[]): Life {
  const text = texts.reduce((all, [from, to]) => all.replaceAll(from, to), JSON.stringify(life));
  return JSON.parse(text);
}

function without(life: Life, isGone: (step: Step) => boolean): Life {
  return { ...life, steps: life.steps.filter((step) => !isGone(step)), unordered: [] };
}

/** To where the caller asks for that. */
function upTo(life: Life, call: string): Life {
  const end = placeOf(life, call);
  return { ...life, steps: life.steps.slice(0, end), unordered: [] };
}

function placeOf({ steps }: Life, call: string): number {
  return steps.findIndex((step) => step.by === 'caller' && 'call' in step && step.call === call);
}

/** The caller asks for the same once more. */
function twice(life: Life, call: string): Life {
  const begin = placeOf(life, call);
  const end = life.steps.findIndex((step) => step.by === 'caller' && 'returned' in step && step.returned === call) + 1;
  return { ...life, steps: [...life.steps.slice(0, end), ...life.steps.slice(begin)], unordered: [] };
}

function withOwnCommand(life: Life): Life {
  const ExecCommandLine = '/bin/mine';
  const renamed = replaced(life, [['/bin/gcs -v4 -log-format json -loglevel info', ExecCommandLine]]);
  return { ...renamed, options: { ...life.options, ExecCommandLine } };
}

/** The host adds it and then finds no guest to mount it. */
function withDisk(life: Life, { files, steps }: Life): Life {
  const begin = steps.findIndex((step) => step.by === 'caller' && 'call' in step && step.call === 'addDisk');
  const added = steps.slice(begin, begin + 3);
  const came: CallerReturn = { by: 'caller', returned: 'addDisk', ok: false, error: { kind: 'bridge closed' } };
  return { ...life, files, steps: [...life.steps, ...added, came] };
}

/** The guest answers that the process runs, and that is all. */
function withoutStreams(life: Life): Life {
  const isOfStream = (step: Step) =>
    (isCall(step) || (step.by === 'guest' && 'call' in step)) &&
    step.call !== 'listen' &&
    Number(step.args['port']) > guestPorts.bridge;
  const silent = without(life, isOfStream);
  const isOver = (step: Step) => 'got' in step || ('frame' in step && step.frame === 'WaitForProcess answer');
  const steps = silent.steps
    .filter((step) => !isOver(step))
    .map((step): Step => {
      const isReturn = step.by === 'caller' && 'returned' in step && step.returned === 'exec';
      return isReturn ? { by: 'caller', returned: 'exec', hangs: true } : step;
    });
  return { ...silent, steps };
}
