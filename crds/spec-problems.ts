// What is wrong with fields of a spec, without an API server: types and bounds, and the rules about a single text. Rules
// between fields are not checked, nor rules that do more than match the text.
import { z } from 'zod';
import { openApiSchema } from './custom-resource-definition.ts';
import { linuxUtilityVM } from './linux-utility-vm.ts';
import { linuxUtilityVMSpec } from './linux-utility-vm-spec.ts';
import { isObject } from './structural.ts';

/** In the words of the schema. Empty: nothing is wrong. */
export function specProblems(spec: unknown): readonly string[] {
  const parsed = linuxUtilityVMSpec.safeParse(spec);
  const typeProblems = parsed.success ? [] : parsed.error.issues.map(problemOf);
  return typeProblems.length > 0 ? typeProblems : [...textProblems(specSchema(), spec)];
}

const units: Readonly<Record<string, string>> = { string: ' characters', array: ' items' };

function problemOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'too_big') return `must ${amountOf(issue.origin, `at most ${issue.maximum}`)}`;
  if (issue.code === 'too_small') return `must ${amountOf(issue.origin, `at least ${issue.minimum}`)}`;
  return issue.message;
}

function amountOf(kind: string, bound: string): string {
  const unit = units[kind];
  if (unit !== undefined && bound === 'at least 1') return 'not be empty';
  return unit === undefined ? `be ${bound}` : `have ${bound}${unit}`;
}

const withSpec = z.looseObject({ spec: z.looseObject({}) });
let schema: unknown;

function specSchema(): unknown {
  schema ??= withSpec.parse(openApiSchema(linuxUtilityVM).properties).spec;
  return schema;
}

function* textProblems(schema: unknown, value: unknown): Generator<string> {
  if (!isObject(schema)) return;
  if (typeof value === 'string') {
    yield* brokenRules(schema['x-kubernetes-validations'], value);
  } else if (Array.isArray(value)) {
    for (const item of value) yield* textProblems(schema['items'], item);
  } else if (isObject(value)) {
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    for (const [name, member] of Object.entries(value)) {
      yield* textProblems(properties[name] ?? schema['additionalProperties'], member);
    }
  }
}

const rules = z.array(z.object({ rule: z.string(), message: z.string() })).default([]);
const matchRule = /^(!?)self\.matches\((?:r'''(.*)'''|'([^']*)')\)$/s;

function* brokenRules(given: unknown, text: string): Generator<string> {
  for (const { message, rule } of rules.parse(given)) {
    const found = matchRule.exec(rule);
    if (found === null) continue;
    const [, negated, raw, plain = ''] = found;
    if (patternOf(raw ?? plain).test(text) === (negated === '!')) yield message;
  }
}

const ignoreCase = '(?i)';

/** The patterns of the schema mean the same here and in the API server, except for how they ignore letter case. */
function patternOf(source: string): RegExp {
  return new RegExp(source.replace(ignoreCase, ''), source.startsWith(ignoreCase) ? 'i' : '');
}
