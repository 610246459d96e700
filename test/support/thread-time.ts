/** Milliseconds of processor time that this thread has used: other programs on a busy machine do not count. */
export function threadTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
