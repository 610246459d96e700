// The latest line of each guest, read from the agents' log files as a log collector would, because the status of a VM
// does not change with every line.
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';

const guestLine = z.object({
  source: z.literal('guest'),
  namespace: z.string(),
  name: z.string(),
  level: z.string(),
  msg: z.string(),
  fields: z.record(z.string(), z.unknown()).catch({}),
});
type GuestLine = z.infer<typeof guestLine>;

function shownOf({ fields, level, msg }: GuestLine): string {
  const rest = Object.entries(fields).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${level} ${msg}${rest.join('')}`;
}

export class GuestLines {
  readonly #latest = new Map<string, string>();
  readonly #files: readonly LogFile[];

  constructor(paths: readonly string[]) {
    this.#files = paths.map((path) => new LogFile(path));
  }

  /** The latest line of the VM `<namespace>/<name>`. */
  of(vm: string): string | undefined {
    return this.#latest.get(vm);
  }

  async read(): Promise<void> {
    for (const file of this.#files) {
      for (const line of await file.newLines()) {
        const parsed = line.includes('"source":"guest"') ? guestLine.safeParse(JSON.parse(line)) : undefined;
        if (parsed?.success !== true) continue;
        const { namespace, name } = parsed.data;
        this.#latest.set(`${namespace}/${name}`, shownOf(parsed.data));
      }
    }
  }
}

class LogFile {
  readonly #path: string;
  #handle: FileHandle | undefined;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** The complete lines since the last call; none while the file does not exist. */
  async newLines(): Promise<string[]> {
    this.#handle ??= await open(this.#path).catch(() => undefined);
    if (this.#handle === undefined) return [];
    const buffer = Buffer.alloc(256 * 1024);
    const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length);
    const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines;
  }
}
