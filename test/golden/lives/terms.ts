// What this agent did, in the terms of the recording: its own names for the VM and itself, and GUIDs that it drew.
import { ownerTag } from '../../../agent/node/system-id.ts';
import { type HostStep, isCall, type Life } from './life.ts';
import { systemID } from './life-agent.ts';
import type { Played } from './player.ts';

const owner = /"Owner":"((?:[^"\\]|\\.)*)"/;

export function inTermsOf(life: Life, { drawn, steps }: Played): readonly HostStep[] {
  const creation = life.steps.filter(isCall).find(({ call }) => call === 'HcsCreateComputeSystem');
  const theirOwner = owner.exec(String(creation?.args['configuration'] ?? ''))?.[1] ?? ownerTag;
  const theirId = String(creation?.args['id'] ?? systemID);
  const placeholders = placeholdersOf(drawn, steps);
  const translate = (text: string) => {
    const named = text.replaceAll(systemID, theirId).replaceAll(`"Owner":"${ownerTag}"`, `"Owner":"${theirOwner}"`);
    return drawn.reduce((all, guid) => all.replaceAll(guid, placeholders.get(guid) ?? guid), named);
  };
  return steps.map((step) => translated(step, translate));
}

/** Numbered in order of their first appearance. */
function placeholdersOf(drawn: readonly string[], steps: readonly HostStep[]): ReadonlyMap<string, string> {
  const text = JSON.stringify(steps);
  const seen = drawn.filter((guid) => text.includes(guid)).sort((a, b) => text.indexOf(a) - text.indexOf(b));
  return new Map(seen.map((guid, index) => [guid, `<guid-${index + 1}>`]));
}

function translated(step: HostStep, translate: (text: string) => string): HostStep {
  if ('frame' in step) return { ...step, payload: translate(step.payload) };
  const args = Object.entries(step.args).map(([name, value]) => [
    name,
    typeof value === 'string' ? translate(value) : value,
  ]);
  return { ...step, args: Object.fromEntries(args) };
}
