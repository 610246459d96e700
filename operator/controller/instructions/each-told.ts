// What a host is told of its VMs, one after the other. An error of ours about one of them must not end the session of the
// host, on which the VMs of others run: that VM is left out, so that its host keeps it as it is, and the log says so.
import type { Logger } from 'pino';
import type { Told } from './agents.ts';

/** @param tell undefined for a VM that is not to be told of now */
export async function* eachTold(
  keys: readonly string[],
  tell: (key: string) => Promise<Told | undefined>,
  logger: Pick<Logger, 'error'>,
): AsyncGenerator<Told> {
  for (const key of keys) {
    const told = await tell(key).catch((error: unknown) => {
      logger.error({ vm: key, err: error }, 'the host is not told of this VM, since that failed');
      return undefined;
    });
    if (told !== undefined) yield told;
  }
}
