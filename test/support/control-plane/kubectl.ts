// Runs kubectl against a cluster, as a user would.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KubectlTarget {
  readonly kubectl: string;
  readonly kubeconfigPath: string;
}

/** Runs `kubectl <args>`, with `input` on its standard input; a failure is a result like any other. */
export async function runKubectl(
  { kubectl, kubeconfigPath }: KubectlTarget,
  args: readonly string[],
  input = '',
): Promise<KubectlResult> {
  const child = spawn(kubectl, ['--kubeconfig', kubeconfigPath, ...args], { stdio: 'pipe' });
  // kubectl may end without reading its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: Number(code ?? 1), stdout, stderr };
}

/** Runs a command that must succeed. Returns its output. */
export async function kubectl(target: KubectlTarget, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await runKubectl(target, args, input);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')} failed (${code}): ${stderr}`);
  return stdout;
}
