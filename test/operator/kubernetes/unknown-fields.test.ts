import { expect, it } from 'vitest';
import { parseHost, parseVirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { unknownFields } from '../../../operator/kubernetes/unknown-fields.ts';

const metadata = { name: 'x', namespace: 'default', uid: 'u', resourceVersion: '1', generation: 1 };

it('unknown fields are named at any depth', () => {
  const raw = { a: 1, b: { c: [{ d: 1 }, { d: 1, e: 2 }] }, f: null };
  expect(unknownFields(raw, { a: 1, b: { c: [{ d: 1 }, { d: 1 }] }, g: 'a default' })).toEqual(['b.c[1].e', 'f']);
});

it('the list of unknown fields is bounded, and includes names of properties that every object has', () => {
  const raw = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`x${index}`, 1]));
  expect(unknownFields(raw, {})).toHaveLength(64);
  expect(unknownFields({ constructor: 1 }, {})).toEqual(['constructor']);
});

it.each([
  [{ future: 1 }, 'spec.future'],
  [{ confidential: { securityPolicy: 'eA==', future: true } }, 'spec.confidential.future'],
  [{ storage: { disks: [{ name: 'a', path: 'C:\\a.vhd', future: 1 }] } }, 'spec.storage.disks[0].future'],
  [{ tolerations: [{ operator: 'Exists', future: 1 }] }, 'spec.tolerations[0].future'],
])('a spec with unknown values is unreadable: %j', (spec, field) => {
  const object = parseVirtualMachine({ metadata, spec });
  expect(object?.spec.ok === false && object.spec.message).toContain(field);
});

it('whether and where a VM runs is still read', () => {
  const tolerations = [{ key: 'a', operator: 'Exists', future: 1 }, 'nonsense'];
  const spec = { runStrategy: 'Halted', nodeName: 'here', memory: 'much', tolerations };
  const object = parseVirtualMachine({ metadata, spec });
  expect(object?.spec).toMatchObject({
    ok: false,
    essentials: { runStrategy: 'Halted', nodeName: 'here', tolerations: [{ key: 'a', operator: 'Exists' }] },
  });
  const newer = parseVirtualMachine({ metadata, spec: { runStrategy: 'Hibernate' } });
  expect(newer?.spec.ok === false && newer.spec.essentials.runStrategy).toBeUndefined();
});

it('a host with unknown limits gets no VMs', () => {
  const host = parseHost({ metadata: { ...metadata, name: 'host' }, spec: { maxProcessors: 4 } });
  expect(host?.spec.unschedulable).toBe(true);
});
