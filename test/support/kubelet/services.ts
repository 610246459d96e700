// Acts as kube-proxy: a connection to the address of a Service goes to one of its ready endpoints, which the control
// plane determines. The computer itself listens on the addresses as well, so that the API server reaches Services.
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import type { Reflector } from '../../../operator/kubernetes/reflector.ts';
import type { Api } from './api.ts';
import type { Network } from './network.ts';
import { type EndpointSlice, parseEndpointSlice, parseService, type Service } from './objects.ts';
import { join } from './sockets.ts';

const nameOfService = 'kubernetes.io/service-name';

export class Services {
  readonly #services: Reflector<Service>;
  readonly #slices: Reflector<EndpointSlice>;
  readonly #apiServer: URL;
  readonly #networks = new Map<Network, readonly number[]>();
  readonly #listeners = new Map<string, Server>();
  #turn = 0;

  constructor(api: Api, apiServer: string) {
    this.#apiServer = new URL(apiServer);
    this.#services = api.reflector('/api/v1/services', parseService);
    this.#slices = api.reflector('/apis/discovery.k8s.io/v1/endpointslices', parseEndpointSlice);
  }

  async start(): Promise<void> {
    this.#services.onChange(() => this.#publish());
    this.#services.start();
    this.#slices.start();
    await Promise.all([this.#services.waitForSync(), this.#slices.waitForSync()]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#services.stop(), this.#slices.stop()]);
    for (const listener of this.#listeners.values()) listener.close();
  }

  /** The environment variables of a pod in the namespace. */
  variables(namespace: string, links: boolean): Readonly<Record<string, string>> {
    const services = [...this.#services.values()].filter(
      (each) => isApiServer(each) || (links && each.metadata.namespace === namespace),
    );
    return Object.assign({}, ...services.map(variablesOf));
  }

  /** `ports` are used by the programs inside, and stay theirs. */
  attach(network: Network, ports: readonly number[]): void {
    this.#networks.set(network, ports);
    this.#publish();
  }

  detach(network: Network): void {
    this.#networks.delete(network);
  }

  readonly connect = (address: string, socket: Socket): void => {
    this.#open(address).then(
      (backend) => join(socket, backend),
      () => socket.destroy(),
    );
  };

  async #open(address: string): Promise<Socket> {
    const [clusterIP = '', port = ''] = address.split(':');
    const service = [...this.#services.values()].find((each) => each.spec.clusterIP === clusterIP);
    if (service === undefined) throw new Error(`no Service at ${address}`);
    if (isApiServer(service)) return connectTcp({ host: '127.0.0.1', port: Number(this.#apiServer.port) });
    const name = service.spec.ports.find((each) => each.port === Number(port))?.name ?? '';
    const endpoints = this.#endpoints(service, name);
    this.#turn += 1;
    const chosen = endpoints[this.#turn % Math.max(1, endpoints.length)];
    if (chosen === undefined) throw new Error(`no endpoint behind ${address}`);
    return await chosen.network.dial(chosen.port);
  }

  #endpoints({ metadata }: Service, portName: string) {
    const slices = [...this.#slices.values()].filter(
      (slice) =>
        slice.metadata.namespace === metadata.namespace && slice.metadata.labels?.[nameOfService] === metadata.name,
    );
    return slices.flatMap((slice) => {
      const port = slice.ports.find(({ name }) => name === portName)?.port;
      const ready = slice.endpoints.filter(({ conditions }) => conditions.ready).flatMap(({ addresses }) => addresses);
      const networks = [...this.#networks.keys()].filter(({ address }) => ready.includes(address));
      return port === undefined ? [] : networks.map((network) => ({ network, port }));
    });
  }

  #publish(): void {
    const addresses = [...this.#services.values()]
      .filter(({ spec }) => spec.clusterIP !== '' && spec.clusterIP !== 'None')
      .flatMap(({ spec }) => spec.ports.map(({ port }) => ({ text: `${spec.clusterIP}:${port}`, port })));
    for (const [network, ports] of this.#networks) {
      network.serve(addresses.filter(({ port }) => !ports.includes(port)).map(({ text }) => text));
    }
    this.#listenAt(new Set(addresses.map(({ text }) => text)));
  }

  #listenAt(wanted: ReadonlySet<string>): void {
    for (const [address, listener] of this.#listeners) {
      if (wanted.has(address)) continue;
      listener.close();
      this.#listeners.delete(address);
    }
    for (const address of wanted) {
      if (this.#listeners.has(address)) continue;
      const [host = '', port = ''] = address.split(':');
      const listener = createServer({ allowHalfOpen: true }, (socket) => this.connect(address, socket));
      // Low ports may be refused. Then the API server cannot reach the Service, and the APIService shows it.
      listener.on('error', () => this.#listeners.delete(address)).listen(Number(port), host);
      listener.unref();
      this.#listeners.set(address, listener);
    }
  }
}

const isApiServer = ({ metadata }: Service) => metadata.namespace === 'default' && metadata.name === 'kubernetes';

function variablesOf({ metadata, spec }: Service): Readonly<Record<string, string>> {
  const [first] = spec.ports;
  if (first === undefined || spec.clusterIP === '' || spec.clusterIP === 'None') return {};
  const upper = (text: string) => text.toUpperCase().replaceAll('-', '_');
  const prefix = `${upper(metadata.name)}_SERVICE`;
  const named = spec.ports.filter(({ name }) => name !== '');
  return {
    [`${prefix}_HOST`]: spec.clusterIP,
    [`${prefix}_PORT`]: String(first.port),
    ...Object.fromEntries(named.map(({ name, port }) => [`${prefix}_PORT_${upper(name)}`, String(port)])),
  };
}
