// A real control plane on this computer, in a temporary folder: etcd, kube-apiserver and, if requested,
// kube-controller-manager, with RBAC. There is no kubelet and no scheduler: a test creates Node objects itself, and a
// Pod stays Pending.
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Certificates, frontProxyName, makeCertificates } from '../certificates.ts';
import { ApiServerProbe } from './api-server-probe.ts';
import { AuditLog } from './audit-log.ts';
import { type Binaries, findBinaries } from './binaries.ts';
import { serverOf, writeKubeconfig } from './kubeconfig.ts';
import { runKubectl } from './kubectl.ts';
import { ServerProcess } from './server-process.ts';

/** A cluster for tests, of any origin. */
export interface Cluster {
  readonly kubeconfigPath: string;
  /** Address of the API server. */
  readonly server: string;
  /** Path of a kubectl. */
  readonly kubectl: string;
  /** Ends the cluster and removes its files, if it is ours. */
  stop(): Promise<void>;
}

/** The API server for tests of outages. It keeps its address. */
export interface ApiServer {
  start(): Promise<void>;
  /** Shuts it down cleanly. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** Freezes it: connections stay open, nothing is answered. */
  pause(): void;
  resume(): void;
}

export interface ControlPlane extends Cluster {
  /** Holds data, keys and logs; removed by `stop`. */
  readonly directory: string;
  readonly apiServer: ApiServer;
  /** The API server's record of writes, if it was started with an audit log. */
  readonly audit: AuditLog | undefined;
  /** Backs up etcd. Returns a function that restores this state. The API server is down during both. */
  backUp(): Promise<() => Promise<void>>;
}

export interface ControlPlaneOptions {
  /** Must not exist or be empty. */
  readonly directory?: string;
  /** Whether to start a controller manager. It deletes namespaces, counts quotas and creates pods. */
  readonly controllers?: boolean;
  /** Whether the API server logs every write (`ControlPlane.audit`). */
  readonly audited?: boolean;
  /** Range of the addresses of Services. Addresses on the loopback interface can be listened on. */
  readonly serviceAddresses?: string;
}

const serviceAddressesDefault = '10.0.0.0/24';

const startAttempts = 3;

/** Starts a control plane and waits until it is usable. */
export async function startControlPlane({
  directory,
  controllers = true,
  audited = false,
  serviceAddresses = serviceAddressesDefault,
}: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const binaries = await findBinaries({ controllers });
  for (let attempt = 1; ; attempt += 1) {
    const controlPlane = await LocalControlPlane.prepare(
      binaries,
      directory ?? (await mkdtemp(join(tmpdir(), 'lcow-controlplane-'))),
      { controllers, audited, serviceAddresses },
    );
    try {
      await controlPlane.start();
      return controlPlane;
    } catch (error) {
      await controlPlane.stop();
      // Ports are found first and bound later; another process may have taken one meanwhile.
      if (attempt === startAttempts || !String(error).includes('address already in use')) throw error;
    }
  }
}

/** Uses an existing cluster. */
export async function useCluster(kubeconfigPath: string): Promise<Cluster> {
  return {
    kubeconfigPath,
    server: await serverOf(kubeconfigPath),
    kubectl: await findKubectl(kubeconfigPath),
    stop: async () => undefined,
  };
}

/** The user's kubectl. Ours only if there is none, because it may have to be built first. */
async function findKubectl(kubeconfigPath: string): Promise<string> {
  const present = await runKubectl({ kubectl: 'kubectl', kubeconfigPath }, ['version', '--client']).then(
    ({ code }) => code === 0,
    () => false,
  );
  return present ? 'kubectl' : (await findBinaries({ controllers: false })).kubectl;
}

interface Ports {
  readonly etcd: number;
  readonly etcdPeers: number;
  readonly apiServer: number;
}

type Settings = Required<Omit<ControlPlaneOptions, 'directory'>>;

/** The API server's own Service address, as programs in the cluster use it. */
function firstAddressOf(range: string): string {
  return range.replace(/\.0\/\d+$/, '.1');
}

class LocalControlPlane implements ControlPlane {
  readonly apiServer: ApiServer = {
    start: () => this.#startApiServer(),
    stop: async () => this.#apiServer?.stop(),
    kill: async () => this.#apiServer?.kill(),
    pause: () => this.#apiServer?.pause(),
    resume: () => this.#apiServer?.resume(),
  };
  readonly directory: string;
  readonly kubeconfigPath: string;
  readonly server: string;
  readonly kubectl: string;
  readonly audit: AuditLog | undefined;
  readonly #binaries: Binaries;
  readonly #hasControllers: boolean;
  readonly #ports: Ports;
  readonly #serviceAddresses: string;
  readonly #probe: ApiServerProbe;
  readonly #janitor: Janitor;
  #etcd: ServerProcess | undefined;
  #apiServer: ServerProcess | undefined;
  #controllerManager: ServerProcess | undefined;

  private constructor(
    binaries: Binaries,
    directory: string,
    ports: Ports,
    certificates: Certificates,
    { controllers, audited, serviceAddresses }: Settings,
  ) {
    this.#hasControllers = controllers;
    this.#serviceAddresses = serviceAddresses;
    this.audit = audited ? new AuditLog(directory) : undefined;
    this.directory = directory;
    this.kubeconfigPath = join(directory, 'kubeconfig');
    this.server = `https://127.0.0.1:${ports.apiServer}`;
    this.kubectl = binaries.kubectl;
    this.#binaries = binaries;
    this.#ports = ports;
    this.#probe = new ApiServerProbe(this.server, certificates.authority, certificates.admin);
    this.#janitor = new Janitor(directory);
  }

  static async prepare(binaries: Binaries, directory: string, settings: Settings): Promise<LocalControlPlane> {
    const [ports, certificates] = await Promise.all([
      freePorts(),
      makeCertificates(firstAddressOf(settings.serviceAddresses)),
    ]);
    await mkdir(directory, { recursive: true });
    const controlPlane = new LocalControlPlane(binaries, directory, ports, certificates, settings);
    await controlPlane.#writeFiles(certificates);
    await controlPlane.audit?.writePolicy();
    return controlPlane;
  }

  async start(): Promise<void> {
    this.#etcd = await this.#startEtcd();
    await this.#startApiServer();
    await this.#until(['/api/v1/namespaces/default']);
    const { controllerManager } = this.#binaries;
    if (!this.#hasControllers || controllerManager === undefined) return;
    this.#controllerManager = await this.#spawn(controllerManager, controllerManagerFlags(this.directory));
    await this.#until(['/api/v1/namespaces/default/serviceaccounts/default']);
  }

  async stop(): Promise<void> {
    // Nobody reads what they would still write, and an API server with watchers takes seconds to shut down.
    await Promise.all([this.#controllerManager, this.#apiServer, this.#etcd].map((server) => server?.kill()));
    await rm(this.directory, { recursive: true, force: true });
    this.#janitor.dismiss();
  }

  async backUp(): Promise<() => Promise<void>> {
    const [data, backup] = [join(this.directory, 'etcd'), join(this.directory, 'etcd-backup')];
    await this.#withoutEtcd(() => cp(data, backup, { recursive: true }));
    return () =>
      this.#withoutEtcd(async () => {
        await rm(data, { recursive: true });
        await cp(backup, data, { recursive: true });
      });
  }

  async #withoutEtcd(work: () => Promise<void>): Promise<void> {
    await this.#apiServer?.kill();
    await this.#etcd?.stop();
    await work();
    this.#etcd = await this.#startEtcd();
    await this.#startApiServer();
  }

  #startEtcd(): Promise<ServerProcess> {
    return this.#spawn(this.#binaries.etcd, etcdFlags(this.directory, this.#ports));
  }

  async #startApiServer(): Promise<void> {
    if (this.#apiServer?.running === true) return;
    this.#apiServer = await this.#spawn(this.#binaries.apiServer, {
      ...apiServerFlags(this.directory, this.#ports, this.#serviceAddresses),
      ...this.audit?.flags,
    });
    await this.#until(['/readyz']);
  }

  #until(paths: readonly string[]): Promise<void> {
    const servers = [this.#etcd, this.#apiServer, this.#controllerManager];
    return this.#probe.untilAnswered(paths, () => Promise.all(servers.map((server) => server?.requireRunning())));
  }

  #spawn(program: string, flags: Readonly<Record<string, string | number | boolean>>): Promise<ServerProcess> {
    const arguments_ = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    return ServerProcess.start([program, ...arguments_], join(this.directory, `${basename(program)}.log`));
  }

  async #writeFiles(certificates: Certificates): Promise<void> {
    const { authority, serving, admin, controllerManager, frontProxy, serviceAccounts } = certificates;
    const files = {
      'ca.crt': authority,
      'serving.crt': serving.certificate,
      'serving.key': serving.key,
      'front-proxy.crt': frontProxy.certificate,
      'front-proxy.key': frontProxy.key,
      'service-accounts.pub': serviceAccounts.publicKey,
      'service-accounts.key': serviceAccounts.key,
    };
    await Promise.all(
      Object.entries(files).map(([name, text]) => writeFile(join(this.directory, name), text, { mode: 0o600 })),
    );
    await writeKubeconfig(this.kubeconfigPath, this.server, authority, admin);
    await writeKubeconfig(
      join(this.directory, 'controller-manager.kubeconfig'),
      this.server,
      authority,
      controllerManager,
    );
  }
}

function etcdFlags(directory: string, { etcd, etcdPeers }: Ports) {
  return {
    'data-dir': join(directory, 'etcd'),
    'listen-client-urls': `http://127.0.0.1:${etcd}`,
    'advertise-client-urls': `http://127.0.0.1:${etcd}`,
    'listen-peer-urls': `http://127.0.0.1:${etcdPeers}`,
    'initial-advertise-peer-urls': `http://127.0.0.1:${etcdPeers}`,
    'initial-cluster': `default=http://127.0.0.1:${etcdPeers}`,
    // The data need not survive a crash of the computer.
    'unsafe-no-fsync': true,
    'log-level': 'warn',
  };
}

function apiServerFlags(directory: string, { etcd, apiServer }: Ports, serviceAddresses: string) {
  return {
    'etcd-servers': `http://127.0.0.1:${etcd}`,
    'secure-port': apiServer,
    'bind-address': '127.0.0.1',
    // Otherwise it would refuse to advertise a loopback address.
    'endpoint-reconciler-type': 'none',
    'service-cluster-ip-range': serviceAddresses,
    'authorization-mode': 'RBAC',
    // HostProcess pods are privileged.
    'allow-privileged': true,
    'cert-dir': directory,
    'client-ca-file': join(directory, 'ca.crt'),
    'tls-cert-file': join(directory, 'serving.crt'),
    'tls-private-key-file': join(directory, 'serving.key'),
    'service-account-issuer': 'https://kubernetes.default.svc',
    'api-audiences': 'https://kubernetes.default.svc',
    'service-account-key-file': join(directory, 'service-accounts.pub'),
    'service-account-signing-key-file': join(directory, 'service-accounts.key'),
    'requestheader-client-ca-file': join(directory, 'ca.crt'),
    // The authority signs all clients, so the front proxy is identified by its name.
    'requestheader-allowed-names': frontProxyName,
    'requestheader-username-headers': 'X-Remote-User',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'proxy-client-cert-file': join(directory, 'front-proxy.crt'),
    'proxy-client-key-file': join(directory, 'front-proxy.key'),
  };
}

function controllerManagerFlags(directory: string) {
  const kubeconfig = join(directory, 'controller-manager.kubeconfig');
  return {
    kubeconfig,
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'secure-port': 0,
    'cert-dir': directory,
    'leader-elect': false,
    'use-service-account-credentials': true,
    // At the default rate it takes seconds to create the service accounts of all its controllers.
    'kube-api-qps': 500,
    'kube-api-burst': 500,
    // A quota for a newly installed kind counts from the next sync: by default after 5 minutes.
    'resource-quota-sync-period': '5s',
    // Otherwise autoscalers look every 15 s.
    'horizontal-pod-autoscaler-sync-period': '1s',
    'root-ca-file': join(directory, 'ca.crt'),
    'service-account-private-key-file': join(directory, 'service-accounts.key'),
  };
}

async function freePorts(): Promise<Ports> {
  // All ports are held until all are found. Otherwise one could be chosen twice.
  const servers = await Promise.all([listenAnywhere(), listenAnywhere(), listenAnywhere()]);
  const [etcd, etcdPeers, apiServer] = await Promise.all(servers.map(release));
  if (etcd === undefined || etcdPeers === undefined || apiServer === undefined) throw new Error('no free port');
  return { etcd, etcdPeers, apiServer };
}

type Listener = ReturnType<typeof createServer>;

function listenAnywhere(): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function release(server: Listener): Promise<number | undefined> {
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return new Promise((resolve) => server.close(() => resolve(port)));
}

/** Removes the folder if this process is killed: a shell that waits for the end of its input. */
class Janitor {
  readonly #child;

  constructor(directory: string) {
    // The servers end at the same time and may write a little longer.
    const script = 'read -r done && exit; for i in 1 2 3 4 5 6; do rm -rf "$1"; sleep 1; done';
    this.#child = spawn('sh', ['-c', script, 'janitor', directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#child.stdin.on('error', () => undefined);
    this.#child.unref();
  }

  dismiss(): void {
    this.#child.stdin.end('done\n');
  }
}
