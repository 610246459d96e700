// Where a VM may run, in the same terms as a Pod.
import { z } from 'zod';
import { count, listAtomic, mapAtomic, objectName, rules } from './fields.ts';

const labelValue = '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$';
/** The name of a label, with at most 317 characters. */
export const labelKey = '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$';

export const nodeName = objectName(
  'The Node that runs the VM. If it is absent, the operator chooses a Node. It can change only while status.nodeName is absent.',
).optional();

export const nodeSelector = z
  .record(z.string(), z.string().max(63))
  .meta({
    description: 'Labels that the Node must have. They are checked when the VM is placed; a placed VM stays.',
    maxProperties: 64,
    ...mapAtomic,
    ...rules(
      {
        rule: `self.all(key, size(key) <= 317 && key.matches('${labelKey}'))`,
        message: 'every key must be a label key such as kubernetes.io/os or rack',
      },
      {
        rule: `self.all(key, self[key].matches('${labelValue}'))`,
        message:
          'every value must be a label value: at most 63 letters, digits, -, _ and ., no punctuation at either end',
      },
    ),
  })
  .optional();

export const toleration = z
  .object({
    key: z
      .string()
      .max(317)
      .meta({ description: 'Key of the taint to tolerate. Empty tolerates all taints.' })
      .optional(),
    operator: z
      .enum(['Exists', 'Equal'])
      .meta({ description: 'Equal (the default) compares the value; Exists does not.' })
      .optional(),
    value: z.string().max(63).meta({ description: 'The value of the taint, for Equal.' }).optional(),
    effect: z
      .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
      .meta({ description: 'Effect of the taint. Absent means all effects.' })
      .optional(),
    tolerationSeconds: count(
      'How long a NoExecute taint is tolerated, in seconds. Absent means indefinitely.',
    ).optional(),
  })
  .meta({
    description: 'A taint that does not keep the VM away.',
    ...rules(
      {
        rule: "self.?key.orValue('') != '' || self.?operator.orValue('Equal') == 'Exists'",
        message: 'key is empty: name a taint, or set operator to Exists to tolerate all taints',
        fieldPath: '.key',
      },
      {
        rule: "self.?operator.orValue('Equal') != 'Exists' || self.?value.orValue('') == ''",
        message: 'value must be left out when operator is Exists',
        fieldPath: '.value',
      },
      {
        rule: "!has(self.tolerationSeconds) || self.?effect.orValue('') == 'NoExecute'",
        message: 'effect must be NoExecute when tolerationSeconds is set',
        fieldPath: '.effect',
      },
    ),
  });

export type Toleration = z.infer<typeof toleration>;

export const tolerations = z
  .array(toleration)
  .max(64)
  .meta({
    description:
      'Taints that do not keep the VM away. Taints of node.kubernetes.io/ are always tolerated, except out-of-service.',
    ...listAtomic,
  })
  .optional();
