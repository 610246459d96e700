// Waits for what must become true, not for time to pass.

/** Far more than two busy cores need. */
const boundMilliseconds = 30_000;
const intervalMilliseconds = 5;

export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + boundMilliseconds;
  while (Date.now() < deadline) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, intervalMilliseconds));
  }
  throw new Error(`not within ${boundMilliseconds} ms: ${what}`);
}
