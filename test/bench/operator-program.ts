// The operator in its own process, with the development tokens and the certificate in `directory`.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ManagedProcess } from '../../simulator/playground/managed-process.ts';

export interface OperatorProgramSettings {
  readonly directory: string;
  readonly kubeconfigPath: string;
  readonly logFile: string;
  readonly nodeFlags?: readonly string[];
}

export function operatorProgram({ directory, kubeconfigPath, ...process }: OperatorProgramSettings): ManagedProcess {
  const flags = [
    ['--kubeconfig', kubeconfigPath],
    ['--bind-address', '127.0.0.1', '--agents-port', '0', '--health-port', '0', '--api-port', '0'],
    ['--agent-tokens', join(directory, 'tokens.json')],
    ['--tls-certificate', join(directory, 'tls.crt'), '--tls-key', join(directory, 'tls.key')],
  ];
  const script = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));
  return new ManagedProcess({ name: 'operator', script, arguments: flags.flat(), ...process });
}
