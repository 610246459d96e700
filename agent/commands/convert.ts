// `lcow-agent convert --annotations FILE`: the manifest of a LinuxUtilityVM for the annotations of a pod on hcsshim.
// With --host it also builds both documents for that host, and says how they differ.
import { convert } from '../../annotations/convert.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { CommandIO } from './document.ts';
import { documentRemarks } from './document-comparison.ts';
import { parsePreviewHost } from './preview-host.ts';

export interface ConvertCommandOptions {
  /** `-` is standard input. */
  readonly annotations: string;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  /** Path of the description of a host. */
  readonly host?: string | undefined;
  /** The owner in hcsshim's document. */
  readonly owner?: string | undefined;
}

/** Returns the exit code. */
export async function convertCommand(options: ConvertCommandOptions, io: CommandIO): Promise<number> {
  const { annotations: file, host: hostFile, name, namespace, owner } = options;
  try {
    const host = hostFile === undefined ? undefined : parsePreviewHost(await io.read(hostFile));
    const ports = { out: (text: string) => io.out(text.trimEnd()), problem: io.problem };
    const conversion = convert(await io.read(file), { file, name, namespace }, ports);
    if (conversion === undefined) return 1;
    if (host !== undefined) for (const line of documentRemarks(conversion, host, owner)) io.problem(line);
    return 0;
  } catch (error) {
    io.problem(messageOf(error));
    return 1;
  }
}
