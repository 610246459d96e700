// The SCSI disks of a system. Its controllers come with the document; disks come with it or later (hcs-runtime B.6).
import type { Attachment } from './device-schema.ts';
import type { ComputeSystemDocument } from './document-schema.ts';

/** GUIDs of the controllers 0 to 3, in the order of their numbers in guests. */
export const scsiControllers: readonly string[] = [
  'df6d0690-79e5-55b6-a5ec-c1e2f77f580a',
  '0110f83b-de10-5172-a266-78bca56bf50a',
  'b5d2d8d4-3a75-51bf-945b-3444dc6b8579',
  '305891a9-b251-5dfe-91a2-c25d9212275b',
];

const maxLun = 63;

export interface AttachedDisk {
  readonly path: string;
  readonly isReadOnly: boolean;
}

export class Attachments {
  readonly #controllers: ReadonlySet<string>;
  /** `controller GUID/lun` → disk. */
  readonly #disks = new Map<string, AttachedDisk>();

  constructor(controllers: Iterable<string>) {
    this.#controllers = new Set([...controllers].map((name) => name.toLowerCase()));
  }

  disks(): readonly AttachedDisk[] {
    return [...this.#disks.values()];
  }

  paths(): readonly string[] {
    return this.disks().map(({ path }) => path);
  }

  /** `controller:lun` → path. */
  byPlace(): Readonly<Record<string, string>> {
    const entries = [...this.#disks].map(([place, { path }]) => {
      const [guid = '', lun] = place.split('/');
      return [`${scsiControllers.indexOf(guid)}:${lun}`, path] as const;
    });
    return Object.fromEntries(entries);
  }

  has(controller: number, lun: number): boolean {
    const guid = scsiControllers[controller];
    return guid !== undefined && this.#disks.has(placeOf(guid, lun));
  }

  /** The cause of a refusal; undefined on success. */
  add(controller: string, lun: number, disk: AttachedDisk): string | undefined {
    if (!this.#controllers.has(controller.toLowerCase())) return `there is no SCSI controller ${controller}`;
    const place = placeOf(controller, lun);
    if (lun > maxLun) return `LUN ${lun} is more than ${maxLun}`;
    if (this.#disks.has(place)) return `${place} is in use`;
    this.#disks.set(place, disk);
    return undefined;
  }

  remove(controller: string, lun: number): string | undefined {
    const place = placeOf(controller, lun);
    return this.#disks.delete(place) ? undefined : `nothing is attached at ${place}`;
  }
}

function placeOf(controller: string, lun: number): string {
  return `${controller.toLowerCase()}/${lun}`;
}

export function attachmentsOf(document: ComputeSystemDocument): Attachments {
  const scsi = Object.entries(document.VirtualMachine?.Devices?.Scsi ?? {});
  const attachments = new Attachments(scsi.map(([controller]) => controller));
  for (const [controller, { Attachments: disks }] of scsi) {
    for (const [lun, disk] of Object.entries(disks ?? {})) attachments.add(controller, Number(lun), diskOf(disk));
  }
  return attachments;
}

/** As a document or a change describes it. */
export function diskOf({ Path: path = '', ReadOnly: isReadOnly = false }: Attachment): AttachedDisk {
  return { path, isReadOnly };
}
