// Helm, run as a user would.
import { fileURLToPath } from 'node:url';
import { GoTool, type ToolOptions, type ToolResult } from './go-tool.ts';

export const helm4 = new GoTool('helm', 'helm.sh/helm/v4/cmd/helm', 'v4.3.1');
/** Many clusters and tools still use Helm 3. */
export const helm3 = new GoTool('helm', 'helm.sh/helm/v3/cmd/helm', 'v3.22.0');

export const chartFolder = (name: string) => fileURLToPath(new URL(`../../../charts/${name}`, import.meta.url));

/** Runs `helm <args>` of Helm 4; a failure is a result like any other. */
export function runHelm(args: readonly string[], options: ToolOptions = {}): Promise<ToolResult> {
  return helm4.run(args, options);
}

/** Runs a command that must succeed. Returns its output. */
export async function helm(...[args, options]: Parameters<typeof runHelm>): Promise<string> {
  const { code, stdout, stderr } = await runHelm(args, options);
  if (code !== 0) throw new Error(`helm ${args.join(' ')} failed (${code}): ${stderr}`);
  return stdout;
}
