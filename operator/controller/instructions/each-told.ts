// Yields what is sent to a host about its VMs, one after the other. An internal error about one VM must not end the
// session of the host, on which other users' VMs run: that VM is left out, so that its host keeps it unchanged, and the
// error is logged.
import type { Logger } from 'pino';
import type { Told } from './agents.ts';

/** @param tell returns undefined for a VM about which nothing is sent now */
export async function* eachTold(
  keys: readonly string[],
  tell: (key: string) => Promise<Told | undefined>,
  logger: Pick<Logger, 'error'>,
): AsyncGenerator<Told> {
  for (const key of keys) {
    const told = await tell(key).catch((error: unknown) => {
      logger.error({ vm: key, err: error }, 'a VM is left out of the desired state of its host because of an error');
      return undefined;
    });
    if (told !== undefined) yield told;
  }
}
