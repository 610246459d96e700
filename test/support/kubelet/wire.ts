// Connects pods and nodes: a bridge in its own network namespace, so that they reach each other by their addresses on
// every port, as in a cluster. There is no masquerading, no filtering, and no way out.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** Without root a user namespace gives the right to create the others. All of them are then inside it. */
const isRoot = process.getuid?.() === 0;
const bridge = 'pods';
/** Prefix length of the kubelet's address range. */
const prefixLength = 16;

export class Wire {
  readonly #child: ChildProcess;
  #ends = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async lay(): Promise<Wire> {
    const unshare = isRoot ? ['--net'] : ['--user', '--map-root-user', '--net'];
    const script = `ip link set lo up && ip link add name ${bridge} type bridge && ip link set ${bridge} up && echo laid`;
    const words = [...unshare, 'setpriv', '--pdeathsig', 'KILL', 'sh', '-c', `${script} && exec sleep infinity`];
    const child = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(() => {
      throw new Error(
        'pods cannot be connected: it takes root or user namespaces, iproute2, and bridge and veth in the kernel',
      );
    });
    await Promise.race([once(child.stdout, 'data'), ended]);
    ended.catch(() => {});
    return new Wire(child);
  }

  /** Words before a command that creates a network namespace to be connected. */
  get makeNamespace(): readonly string[] {
    return isRoot ? ['unshare', '--net'] : [...this.#enter(['--user']), 'unshare', '--net'];
  }

  /** Words before a command that runs in the namespace of this process. */
  enter(pid: number): readonly string[] {
    return namespacesOf(pid, isRoot ? ['--net'] : ['--net', '--user']);
  }

  /** Gives the namespace of this process an interface with the address. The interface disappears with the namespace. */
  async plugIn(pid: number, address: string): Promise<void> {
    this.#ends += 1;
    const end = `end${this.#ends}`;
    // The user namespace is already entered, and cannot be entered again.
    const inside = namespacesOf(pid, ['--net']).join(' ');
    const script = [
      `ip link add name ${end} type veth peer name eth0 netns ${pid}`,
      `ip link set ${end} master ${bridge} up`,
      `${inside} ip address add ${address}/${prefixLength} dev eth0`,
      `${inside} ip link set eth0 up`,
    ].join(' && ');
    const [program = '', ...rest] = [...this.#enter(isRoot ? ['--net'] : ['--net', '--user']), 'sh', '-c', script];
    const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    if (code !== 0) throw new Error(`${address} cannot be plugged in: ${said}`);
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  #enter(which: readonly string[]): readonly string[] {
    return namespacesOf(this.#child.pid ?? 0, which);
  }
}

function namespacesOf(pid: number, which: readonly string[]): readonly string[] {
  const kept = which.includes('--user') ? ['--preserve-credentials'] : [];
  return ['nsenter', '--target', String(pid), ...which, ...kept];
}
