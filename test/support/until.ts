// Waits for a condition, not for time to pass.

/** Far longer than two busy cores need. */
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
