// The template of a set: a LinuxUtilityVM without what only one VM can have, or only the set decides.
import { z } from 'zod';
import { type Rule, rules } from '../fields.ts';
import { linuxUtilityVMSpec, specRules } from '../linux-utility-vm-spec.ts';
import { restartedAtAnnotation } from '../names.ts';
import { confidential } from '../spec/confidential.ts';

const { securityPolicyFrom, securityPolicy: _, ...confidentialShape } = confidential.unwrap().shape;

/** Each VM would carry a copy of a policy, so a template refers to it. */
const templateConfidential = z
  .object({ ...confidentialShape, securityPolicyFrom: securityPolicyFrom.unwrap() })
  .meta({ description: 'Makes the VMs confidential: the guest enforces a policy that says what is allowed.' })
  .optional();

const { nodeName: _nodeName, updateStrategy: _updateStrategy, ...specShape } = linuxUtilityVMSpec.shape;

const templateSpec = z
  .object({
    ...specShape,
    runStrategy: z
      .enum(['Always', 'Halted'])
      .meta({ description: 'Always: a VM is restarted whenever it ends. Halted: it stays stopped.' })
      .default('Always'),
    confidential: templateConfidential,
  })
  .meta({
    description:
      'The desired VM. console.pipe, storage.disks[].path, fileShares.shares[].path and process.env[].value may contain $(name) and $(ordinal), which stand for the name and the ordinal of the VM; $$( stands for $(.',
    ...rules(...specRules),
  });

const marks = (description: string, rule: Rule) =>
  z
    .record(z.string(), z.string().max(4096))
    .meta({ description, maxProperties: 64, ...rules(rule) })
    .optional();

export const template = z
  .object({
    metadata: z
      .object({
        labels: marks('Labels of the VMs.', {
          rule: "self.all(key, !key.startsWith('lcow.dev/'))",
          message: 'labels of lcow.dev/ are set by the operator: leave them out',
        }),
        annotations: marks(
          `Annotations of the VMs. A new value of ${restartedAtAnnotation} restarts them, within the budget.`,
          {
            rule: `self.all(key, !key.startsWith('lcow.dev/') || key == '${restartedAtAnnotation}')`,
            message: `of the annotations of lcow.dev/, a template can have ${restartedAtAnnotation} only: set the others on single VMs`,
          },
        ),
      })
      .meta({ description: 'Labels and annotations of the VMs.' })
      .optional(),
    spec: templateSpec,
  })
  .meta({ description: 'What each VM is made from.' });

export type SetTemplate = z.infer<typeof template>;
