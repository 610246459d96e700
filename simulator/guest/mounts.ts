// The files of a simulated guest, and the disks and shares that are mounted over them. The guest loses files as the real guest
// agent does (hcs-runtime E.6). A failed mount deletes everything at its target, even on a disk that is already mounted
// there. Unmounting a folder on which nothing is mounted deletes the content of the folder. Data that was written and
// not synced is lost with the power.

import type { DiskFiles } from './filesystem.ts';

export interface DisksOfGuest {
  isAttached(controller: number, lun: number): boolean;
  /** The files on the disk in this slot. */
  files(controller: number, lun: number): DiskFiles;
  /** A folder of the host; undefined when none is shared under this name. */
  share(name: string): { readonly files: DiskFiles; readonly isReadOnly: boolean } | undefined;
}

interface Mount {
  readonly path: string;
  /** `controller:lun` or `share:name` */
  readonly place: string;
  readonly files: DiskFiles;
  /** Files that are not yet stored on the disk. */
  readonly unsaved: Set<string>;
  readonly isReadOnly: boolean;
  readonly isShare?: boolean;
}

const busy = 'device or resource busy';
/** The most stacked mounts that one request unmounts. */
const unmountsAtOnce = 5;

export class GuestMounts {
  readonly #image = new Set(['/etc/hosts', '/usr/bin/tool', '/opt/keep/file', '/var/lib/state']);
  readonly #mounts: Mount[] = [];
  /** True when nothing can be written any more. */
  isReadOnly = false;
  /** Paths of files that processes have open. */
  readonly #open: string[] = [];

  /** Mount path → `controller:lun` or `share:name`. */
  get places(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#mounts.map(({ path, place }) => [path, place]));
  }

  /** The files of the guest's own image that still exist. */
  get files(): readonly string[] {
    return [...this.#image];
  }

  /** The text of the refusal, if the mount is refused. */
  mount(path: string, place: string, files: DiskFiles, isReadOnly: boolean): string | undefined {
    const isThere = this.#mounts.some((each) => each.path === path && each.place === place);
    if (isThere) return this.failedMount(path, `mounting: ${busy}`);
    const unsaved = this.#mounts.find((each) => each.place === place)?.unsaved ?? new Set();
    this.#mounts.push({ path, place, files, unsaved, isReadOnly });
    return undefined;
  }

  /** Shares can be mounted over each other. */
  mountShare(path: string, name: string, files: DiskFiles, isReadOnly: boolean): void {
    this.#mounts.push({ path, place: `share:${name}`, files, unsaved: new Set(), isReadOnly, isShare: true });
  }

  /** Deletes what is at the target, then returns why the mount failed. */
  failedMount(path: string, why: string): string {
    this.#removeAll(path);
    return why;
  }

  unmount(path: string): string | undefined {
    for (let turn = 0; turn < unmountsAtOnce && this.#isMounted(path); turn += 1) {
      if (!this.takeOff(path)) return `failed to unmount ${path}: ${busy}`;
    }
    return this.#removeAll(path);
  }

  /**
   * Unmounts as a program of the guest does, deleting nothing. False when nothing is mounted there or the mount is in
   * use.
   */
  takeOff(path: string): boolean {
    const index = this.#mounts.findLastIndex((each) => each.path === path);
    const found = this.#mounts[index];
    if (found === undefined || this.#isInUse(path)) return false;
    save(found);
    this.#mounts.splice(index, 1);
    return true;
  }

  /** Writes a file. False when the place is read-only. */
  write(path: string): boolean {
    const found = this.#mountOf(path);
    if (found === undefined) this.#image.add(path);
    else if (found.isReadOnly || (this.isReadOnly && found.isShare !== true)) return false;
    else if (found.isShare === true) found.files.add(path.slice(found.path.length + 1));
    else found.unsaved.add(path.slice(found.path.length + 1));
    return true;
  }

  /** Opens the file for a process. Returns a function that closes it. */
  open(path: string): () => void {
    this.#open.push(path);
    return () => {
      const index = this.#open.indexOf(path);
      if (index >= 0) this.#open.splice(index, 1);
    };
  }

  sync(): void {
    for (const each of this.#mounts) save(each);
  }

  /** Remounts read-only with the kernel's emergency functions, even mounts in use. Returns an exit code. */
  makeReadOnly(): number {
    this.sync();
    this.isReadOnly = true;
    return 0;
  }

  /** The exit code of the script with which the agent looks at a path (`agent/guest/bridge/mount-look.ts`). */
  look(path: string): number {
    if (this.#isMounted(path)) return 40;
    if (this.#mounts.some((each) => isBelow(each.path, path))) return 41;
    return this.#visibleBelow(path).length > 0 ? 42 : 0;
  }

  #isMounted(path: string): boolean {
    return this.#mounts.some((each) => each.path === path);
  }

  #isInUse(path: string): boolean {
    const isBelowIt = (other: string) => isBelow(other, path);
    return this.#mounts.some((each) => isBelowIt(each.path)) || this.#open.some(isBelowIt);
  }

  /** Deletes like `rm -rf`: a mounted folder stays, but loses its files. */
  #removeAll(path: string): string | undefined {
    for (const file of this.#visibleBelow(path)) this.#delete(file);
    const mounted = this.#mounts.find((each) => each.path === path || isBelow(each.path, path));
    return mounted && `unlinkat /${mounted.path}: ${busy}`;
  }

  #visibleBelow(path: string): readonly string[] {
    const own = [...this.#image].filter((file) => this.#mountOf(file) === undefined);
    const mounted = this.#mounts.flatMap((mount) =>
      [...mount.files, ...mount.unsaved]
        .map((name) => `${mount.path}/${name}`)
        .filter((file) => this.#mountOf(file) === mount),
    );
    return [...own, ...mounted].filter((file) => isBelow(file, path));
  }

  #delete(file: string): void {
    const found = this.#mountOf(file);
    const name = found === undefined ? file : file.slice(found.path.length + 1);
    if (found?.isShare === true && found.isReadOnly) return;
    found?.unsaved.delete(name);
    (found?.files ?? this.#image).delete(name);
  }

  /** The topmost mount at the path. */
  #mountOf(path: string): Mount | undefined {
    let found: Mount | undefined;
    for (const each of this.#mounts) {
      if (isBelow(path, each.path) && each.path.length >= (found?.path.length ?? 0)) found = each;
    }
    return found;
  }
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

function save({ files, unsaved }: Mount): void {
  for (const name of unsaved) files.add(name);
  unsaved.clear();
}
