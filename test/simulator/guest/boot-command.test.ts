import { describe, expect, it } from 'vitest';
import { readBootCommand } from '../../../simulator/guest/boot-command.ts';

const kernel = ' initcall_blacklist=virtio_vsock_init panic=-1 quiet nr_cpus=2 brd.rd_nr=0 pmtmr=0';
const ordinary = { relaysLog: false, isInBackground: false, runsGuestService: true };

describe('the command line of a guest', () => {
  it.each([
    ['-e 1 /bin/vsockexec -e 109 /bin/gcs -v4', { ...ordinary, entropyPort: 1, logPort: 109 }],
    ['-e 1 -w /bin/vsockexec -o 109 -e 109 /bin/gcs', { ...ordinary, entropyPort: 1, logPort: 109 }],
    ['-e 1 /bin/vsockexec /bin/gcs -v4', { ...ordinary, entropyPort: 1 }],
    ['-e 1 /bin/vsockexec -r -e 109 /bin/gcs', { ...ordinary, entropyPort: 1, logPort: 109, relaysLog: true }],
    [
      '-e 1 sh -c "/bin/vsockexec -e 109 /bin/gcs -v4 & exec sh"',
      { ...ordinary, entropyPort: 1, logPort: 109, isInBackground: true },
    ],
    ['-e 1 /bin/sleep 100', { ...ordinary, entropyPort: 1, runsGuestService: false }],
    ['/bin/gcs -v4', ordinary],
  ])('%s', (command, expected) => {
    expect(readBootCommand(`${kernel} -- ${command}`)).toEqual(expected);
  });

  it('can make the guest power itself off, by a parameter that real kernels ignore', () => {
    const parameter = ' simulated_guest.poweroff_after_ms=250';
    expect(readBootCommand(`${kernel}${parameter} -- /bin/gcs`)).toEqual({
      ...ordinary,
      powerOffAfterMilliseconds: 250,
    });
    expect(readBootCommand(`${kernel} x${parameter.trim()} -- /bin/gcs`)).toEqual(ordinary);
  });

  it.each([
    ['-e 0 /bin/vsockexec /bin/gcs', 'init'],
    ['-e x /bin/vsockexec /bin/gcs', 'init'],
    ['-e 1 /bin/vsockexec -e 109', 'vsockexec'],
    ['-e 1 /bin/vsockexec -e none /bin/gcs', 'vsockexec'],
    ['-e 1 /bin/vsockexec -r /bin/gcs', 'vsockexec'],
  ])('%s ends its guest', (command, culprit) => {
    expect(readBootCommand(`${kernel} -- ${command}`).fatal).toContain(culprit);
  });

  it('ends at the point where the kernel stops reading', () => {
    const command = ' -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4';
    const filled = (bytes: number) => `${kernel} x=${'é'.repeat((bytes - kernel.length - command.length - 3) / 2)}`;
    expect(readBootCommand(filled(2_047) + command)).toMatchObject({ entropyPort: 1, logPort: 109 });
    expect(readBootCommand(filled(2_047 + command.length + 1) + command)).toEqual(ordinary);
  });

  it.each([
    ['debug -- single', 'a word that ends the parameters', { fatal: 'init: no such program' }],
    ['debug "--" single', 'that word in quotation marks', { fatal: 'init: no such program' }],
    ['dyndbg="a -- b"', 'the word inside of a value', { entropyPort: 1 }],
  ])('%s: %s', (options, _what, expected) => {
    expect(readBootCommand(`${kernel} ${options} -- -e 1 /bin/vsockexec /bin/gcs`)).toMatchObject(expected);
  });

  it('has no command after an unclosed quotation mark', () => {
    expect(readBootCommand(`${kernel} dyndbg="file a.c -- -e 1 /bin/vsockexec /bin/gcs`)).toEqual(ordinary);
  });

  it('does not include what follows a second end of the parameters', () => {
    expect(readBootCommand(`${kernel} -- -e 1 /bin/vsockexec -o 110 -- /bin/gcs`).fatal).toContain('vsockexec');
  });

  it('panics with more arguments for init than the kernel takes', () => {
    const command = (words: number) => `${kernel} -- -e 1 /bin/vsockexec /bin/gcs${' x'.repeat(words - 4)}`;
    expect(readBootCommand(command(32))).toEqual({ ...ordinary, entropyPort: 1 });
    expect(readBootCommand(command(33)).fatal).toContain('Too many boot init vars');
  });

  it('starts the service by default', () => {
    expect(readBootCommand(kernel)).toEqual(ordinary);
  });
});
