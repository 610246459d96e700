// Lines in the format of the guest service (hcs-runtime D.3): JSON with sorted keys, one object a line.

type Fields = Readonly<Record<string, string | number | boolean>>;

export function logLine(time: number, message: string, fields: Fields = {}, level = 'info'): string {
  const members = { ...fields, level, msg: message, time: `${new Date(time).toISOString().slice(0, -1)}456789Z` };
  const sorted = Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify(Object.fromEntries(sorted))}\n`;
}

/** Kernel messages from before the service could read them. */
const kernelMessages: readonly string[] = [
  'Linux version 6.6.96 (lcow) (gcc 13.2.0, GNU ld 2.41) #1 SMP PREEMPT_DYNAMIC',
  'Hyper-V: privilege flags low 0xae7f, high 0x3b8030, hints 0xc2c, misc 0xe0bed7b2',
  'hv_vmbus: Vmbus version:5.3',
  'NET: Registered PF_VSOCK protocol family',
  'Run /init as init process',
];

export function kernelLines(time: number): readonly string[] {
  return kernelMessages.map((message, index) =>
    logLine(time, 'kmsg read', {
      facility: 0,
      flags: '-',
      message: `${message}\\x0a`,
      priority: 'Info',
      seq: 100 + index,
      timesincebootmicro: 20_000 * (index + 1),
    }),
  );
}

export function startedLine(time: number): string {
  return logLine(time, 'GCS started', { branch: 'main', commit: '0000000', version: '0.15.0' });
}

/** The output of a Go program that panics. */
export const panicText =
  'panic: runtime error: invalid memory address or nil pointer dereference\n' +
  '[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a1b2c]\n\n' +
  'goroutine 1 [running]:\nmain.main()\n\t/src/cmd/gcs/main.go:312 +0x1d\nexit status 2\n';
