// The process section of a spec: a program that the agent starts in the guest. The end of the program ends the VM.
import { z } from 'zod';
import { count, listAtomic, listMap, rules } from '../fields.ts';

const maxArguments = 64;
const maxCommandCharacters = 16_384;
/** The default of `gracePeriodSeconds`, as that of a Pod. */
const defaultGracePeriod = 30;

const noZero = {
  rule: String.raw`self.matches(r'''^[^\x00]*$''')`,
  message: 'must not contain the character 0, which ends a text in Linux: leave it out',
};

const variable = z.object({
  name: z
    .string()
    .min(1)
    .max(256)
    .meta({
      description: 'The name of the variable.',
      ...rules({
        rule: "self.matches('^[A-Za-z_][A-Za-z0-9_.-]*$')",
        message: 'must be letters, digits, _, - and ., with a letter or _ first',
      }),
    }),
  value: z
    .string()
    .min(1)
    .max(4096)
    .meta({ description: 'The value of the variable. It must not be empty.', ...rules(noZero) }),
});

export const process = z
  .object({
    command: z
      .array(z.string().max(maxCommandCharacters).meta(rules(noZero)))
      .min(1)
      .max(maxArguments)
      .meta({
        description:
          'The program and its arguments. No shell reads them: for a script, write ["/bin/sh", "-c", "…"]. A program without / is looked up in PATH.',
        ...listAtomic,
        ...rules(
          { rule: "self[0] != ''", message: 'must begin with the name or path of a program, such as /bin/sh' },
          {
            rule: `self.map(argument, argument.size()).sum() <= ${maxCommandCharacters}`,
            message: `must have at most ${maxCommandCharacters} characters in all: put a longer script on a disk`,
          },
        ),
      }),
    env: z
      .array(variable)
      .max(64)
      .meta({
        description:
          'The environment of the program: these variables, and PATH with a default unless it is one of them. Nothing else.',
        ...listMap('name'),
      })
      .optional(),
    workingDirectory: z
      .string()
      .min(1)
      .max(1024)
      .meta({
        description: 'The folder in the guest in which the program starts. Absent means /.',
        ...rules({
          rule: String.raw`self.matches(r'''^/[^\x00-\x1f\x7f]*$''')`,
          message: 'must be an absolute guest path such as /mnt/data',
        }),
      })
      .optional(),
    gracePeriodSeconds: count(
      'Seconds from TERM to KILL when the VM is stopped while the program runs. At the end of the agent they are at most 6.',
      0,
      3600,
    ).default(defaultGracePeriod),
  })
  .meta({
    description:
      'A program that runs in the guest as root, once all disks are there. Its output joins the guest’s log, and it has no standard input. Its end ends the VM: with exit code 0 the VM ended well, with any other one it failed; runStrategy decides what follows. Absent: the VM runs until it is stopped or its guest ends. The guest image needs the program. With confidential, the security policy must allow it.',
  })
  .optional();
