// How a user names an object: `NAME`, or `TYPE/NAME` as kubectl writes it.
import { group, setLabel, setPlural, version, virtualMachinePlural } from '../crds/names.ts';

export interface ObjectType {
  /** As `kubectl get -o name` writes it. */
  readonly shown: string;
  readonly short: string;
  /** In words: one such object. */
  readonly noun: string;
  /** In lower case. */
  readonly words: ReadonlySet<string>;
}

function objectType(noun: string, singular: string, plural: string, short: string): ObjectType {
  const long = [singular, plural].flatMap((word) => [word, `${word}.${group}`, `${word}.${version}.${group}`]);
  return { shown: `${singular}.${group}`, short, noun, words: new Set([short, `${short}s`, ...long]) };
}

export const machineType = objectType('VM', 'linuxutilityvm', virtualMachinePlural, 'luvm');
export const setType = objectType('set', 'linuxutilityvmset', setPlural, 'luvmset');

/** The name of an object that is given as `NAME` or `TYPE/NAME`. */
export function objectName(text: string, type: ObjectType): string {
  const slash = text.indexOf('/');
  const word = text.slice(0, Math.max(0, slash)).toLowerCase();
  const name = text.slice(slash + 1);
  if (slash >= 0 && !type.words.has(word)) {
    const hint = type === machineType && setType.words.has(word) ? `; ${hintForSets(name)}` : '';
    throw new Error(
      `"${text}": this command takes ${type.noun}s: NAME, ${type.short}/NAME or ${type.shown}/NAME${hint}`,
    );
  }
  if (name === '' || name.includes('/')) throw new Error(`"${text}" is not the name of an object`);
  return name;
}

function hintForSets(name: string): string {
  return `"kubectl luvm rollout" acts on a set, and -l ${setLabel}=${name} selects its VMs`;
}
