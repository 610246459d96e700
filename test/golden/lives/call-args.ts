// What the caller of a life says with its calls. Members that are not known here are let be.
import { z } from 'zod';
import { endpoint } from './endpoint.ts';

const nothing = z.object({});
const text = z.string();
const flag = z.boolean().default(false);
const texts = z.array(text).default([]);
const named = z.object({ id: text });
const namespace = z.object({ namespace: text.optional() });

export const callArgs = {
  create: nothing,
  start: nothing,
  wait: nothing,
  terminate: nothing,
  close: nothing,
  exec: z.object({ args: z.array(text).min(1), stdin: text.default(''), terminal: flag }),
  kill: nothing,
  resize: nothing,
  dumpStacks: nothing,
  statistics: nothing,
  update: z.object({
    cpuGroup: text.optional(),
    memoryBytes: z.int().optional(),
    quota: z.int().optional(),
    shares: z.int().optional(),
  }),
  updateMemory: z.object({ mib: z.int() }),
  updateCPU: z.object({ limit: z.int().optional(), weight: z.int().optional() }),
  setCPUGroup: named,
  releaseCPUGroup: nothing,
  addDisk: z.object({
    guestPath: text.default(''),
    hostPath: text,
    readOnly: flag,
    ensureFilesystem: flag,
    filesystem: text.default(''),
    encrypted: flag,
    blockDev: flag,
    partition: z.int().default(0),
    options: texts,
  }),
  removeDisk: nothing,
  addPlan9: z.object({
    guestPath: text,
    hostPath: text,
    readOnly: flag,
    restrict: flag,
    allowed: z.array(text).nullish(),
  }),
  removePlan9: nothing,
  addVPMem: z.object({ hostPath: text }),
  removeVPMem: nothing,
  addNetwork: z.object({ endpoints: z.array(endpoint) }),
  removeNetwork: namespace,
  setUpNetwork: namespace,
  tearDownNetwork: namespace,
  assignDevice: z.object({ function: z.int().default(0), instance: text }),
  removeDevice: nothing,
  setSocketService: named,
  removeSocketService: named,
  policyFragment: z.object({ fragment: text, mediaType: text.optional() }),
} as const;
export type CallName = keyof typeof callArgs;
export type ArgsOf<Name extends CallName> = z.output<(typeof callArgs)[Name]>;

export function isCallName(name: string): name is CallName {
  return Object.hasOwn(callArgs, name);
}
