// The disk of a simulated host. Each process reaches it through a `FileSystem` of its own. Data that a process wrote
// stays when the process dies; data that it did not sync can be lost when the host loses power (`crashOfHost`).
import type { FileHandle, FileSystem } from '../../../agent/node/file-system.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';
import { type DiskFaults, DrawnFaults } from './faults.ts';
import { FileError } from './file-error.ts';
import type { FileInode } from './inode.ts';
import { Volume } from './volume.ts';

export interface DiskSettings {
  /** The number of bytes that fit; absent = no limit. */
  readonly capacity?: number;
  /** Absent = no faults. */
  readonly faults?: DiskFaults;
}

export interface DiskOptions {
  readonly world: World;
  /** The name of the host. */
  readonly name: string;
  readonly settings?: DiskSettings;
  /** Receives the kind of each fault. */
  readonly injected?: (kind: string) => void;
}

/** As often as Node's `rm` tries to remove a folder in which another process creates files. */
const removals = 8;

export class SimulatedDisk {
  /** Can be replaced at any time. */
  settings: DiskSettings;
  readonly #source: string;
  readonly #world: World;
  readonly #volume: Volume;
  readonly #faults: DrawnFaults;

  constructor({ injected = () => undefined, name, settings = {}, world }: DiskOptions) {
    this.settings = settings;
    this.#source = `disk of ${name}`;
    this.#world = world;
    this.#faults = new DrawnFaults({
      world,
      source: this.#source,
      faults: () => this.settings.faults ?? {},
      injected: (kind) => {
        world.note(`${this.#source}: ${kind}`);
        injected(kind);
      },
    });
    this.#volume = new Volume({
      now: () => world.elapsed,
      capacity: () => (this.#faults.isFull ? 0 : (this.settings.capacity ?? Number.POSITIVE_INFINITY)),
    });
  }

  /** The paths of all files and folders, sorted. */
  paths(): string[] {
    return this.#volume
      .below('/')
      .filter((path) => path !== '/')
      .sort();
  }

  /** The content of a file as a process would read it; undefined when there is no such file. */
  read(path: string): Buffer | undefined {
    const inode = this.#volume.find(path);
    return inode?.kind === 'file' ? Buffer.from(inode.content) : undefined;
  }

  /** Creates a file that survives every power failure. */
  put(path: string, content: string | Uint8Array): void {
    this.putFolder(path.slice(0, path.lastIndexOf('/')));
    const file = this.#volume.create(path);
    this.#volume.empty(file);
    this.#volume.write(file, 0, Buffer.from(content), path);
    file.sync();
    this.#volume.syncWay(path);
  }

  /** Creates a folder that survives every power failure. */
  putFolder(path: string): void {
    this.#volume.mkdir(path);
    this.#volume.syncWay(path);
  }

  /** Loses power. The processes of the host must be dead. */
  crashOfHost(): void {
    this.#world.note(`${this.#source}: loses power`);
    this.#faults.losePower((chance) => this.#volume.losePower(chance));
    this.#volume.sync();
  }

  fileSystemFor(process: Process): FileSystem {
    const volume = this.#volume;
    const look: Call = (text, effect) => this.#call(process, text, effect);
    const change: Change = (call, path, effect) => look(`${call} ${path}`, () => this.#faults.change(path, effect));
    const created = (path: string) => {
      const file = volume.create(path);
      volume.empty(file);
      return file;
    };
    const write: Write = async (call, path, content, put) => {
      const bytes = Buffer.from(content);
      let written = 0;
      for (const size of this.#faults.stepsOf(bytes.length)) {
        const part = bytes.subarray(written, written + size);
        await change(call, path, () => put(part));
        written += size;
      }
    };
    return {
      mkdir: (path) => change('mkdir', path, () => volume.mkdir(path)),
      readdir: (path) =>
        look(`readdir ${path}`, () => {
          const { entries } = volume.folder(path);
          return this.#faults.shuffled([...entries.keys()]).map((name) => {
            const isFolder = entries.get(name)?.kind === 'folder';
            return { name, isDirectory: () => isFolder };
          });
        }),
      open: async (path, flags) => {
        const file = await (flags === 'r'
          ? look(`open ${path}`, () => volume.file(path))
          : change('create', path, () => created(path)));
        return new SimulatedHandle({ volume, file, path, look, change, write });
      },
      readFile: (path) => look(`read ${path}`, () => volume.file(path).content.toString('utf8')),
      appendFile: (path, content) =>
        write('append', path, content, (part) => {
          const file = volume.create(path);
          volume.write(file, file.size, part, path);
        }),
      rename: (from, to) => change(`rename ${from} to`, to, () => volume.rename(from, to)),
      rm: (path) => this.#remove(path, look, change),
      syncFolder: (path) => change('sync', path, () => volume.folder(path).sync()),
    };
  }

  #call<T>(process: Process, text: string, effect: () => T): Promise<T> {
    const [operation = ''] = text.split(' ', 1);
    return process.call(`file ${operation}`, this.#source, this.#faults.latency, () => {
      this.#world.note(`${this.#source}: ${process.name}: ${text}`);
      return effect();
    });
  }

  /** Removes one entry after another, so a process that dies in between leaves the others. */
  async #remove(path: string, look: Call, change: Change): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const paths = await look(`list ${path}`, () => this.#volume.below(path, this.#faults.shuffled));
      try {
        for (const each of paths) await change('remove', each, () => this.#volume.remove(each));
        return;
      } catch (error) {
        const isRefilled = error instanceof FileError && error.code === 'ENOTEMPTY';
        if (!isRefilled || attempt === removals) throw error;
      }
    }
  }
}

type Call = <T>(text: string, effect: () => T) => Promise<T>;
type Change = <T>(call: string, path: string, effect: () => T) => Promise<T>;
type Write = (
  call: string,
  path: string,
  content: string | Uint8Array,
  put: (part: Uint8Array) => void,
) => Promise<void>;

interface HandlePorts {
  readonly volume: Volume;
  readonly file: FileInode;
  readonly path: string;
  readonly look: Call;
  readonly change: Change;
  readonly write: Write;
}

class SimulatedHandle implements FileHandle {
  readonly #ports: HandlePorts;
  #isOpen = true;
  #position = 0;

  constructor(ports: HandlePorts) {
    this.#ports = ports;
  }

  async read(buffer: Buffer, offset: number, length: number, position: number) {
    const bytesRead = await this.#ports.look(`read ${this.#ports.path}`, () => {
      const { content } = this.#opened();
      return content.subarray(position, position + length).copy(buffer, offset);
    });
    return { bytesRead, buffer };
  }

  async writeFile(text: string): Promise<void> {
    const { path, volume, write } = this.#ports;
    await write('write', path, text, (part) => {
      volume.write(this.#opened(), this.#position, part, path);
      this.#position += part.length;
    });
  }

  async sync(): Promise<void> {
    await this.#ports.change('sync', this.#ports.path, () => this.#opened().sync());
  }

  async stat(): Promise<{ readonly size: number }> {
    return await this.#ports.look(`stat ${this.#ports.path}`, () => ({ size: this.#opened().size }));
  }

  async close(): Promise<void> {
    await this.#ports.look(`close ${this.#ports.path}`, () => {
      this.#opened();
      this.#isOpen = false;
    });
  }

  #opened(): FileInode {
    if (!this.#isOpen) throw new FileError('EBADF', this.#ports.path);
    return this.#ports.file;
  }
}
