// What the guest's note about the process of a VM means, and the command that leaves the note.
import { expect, it } from 'vitest';
import { parseNote, relayedCommand } from '../../../../agent/guest/bridge/process-scripts.ts';

it.each([
  ['ids= code=\n', { pid: undefined, exitCode: undefined }],
  ['ids=12 34 code=\n', { pid: 12, exitCode: undefined }],
  ['ids=12 34 code=0\n', { pid: 12, exitCode: 0 }],
  ['ids=12 34 code=143\n', { pid: 12, exitCode: 143 }],
  // The program could not be noted, and so was not begun.
  ['ids= code=126\n', { pid: undefined, exitCode: 126 }],
])('%j', (text, note) => {
  expect(parseNote(text)).toEqual(note);
});

it.each([
  '',
  '\n',
  'ids=12 code=\n',
  'ids=12 34 code=-1\n',
  'ids=12 34 code=0',
  'ids=12 34 code=0\n\n',
  'ids=a b code=',
])('%j is no note', (text) => {
  expect(parseNote(text)).toBeUndefined();
});

it('the command of the manifest is never a part of a script', () => {
  const { args, ...rest } = relayedCommand({ args: ['/bin/job', '$(reboot)'], workingDirectory: '/work' }, 7);
  expect(args.slice(0, 2)).toEqual(['/bin/sh', '-c']);
  expect(args.slice(-3)).toEqual(['7', '/bin/job', '$(reboot)']);
  expect(args.slice(2, -3).join('')).not.toContain('reboot');
  expect(rest).toEqual({ workingDirectory: '/work' });
});
