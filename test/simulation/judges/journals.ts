// No loss of power and no death of an agent leaves a record in the journal that cannot be read.
import type { SimulatedSystem } from '../system/system.ts';

/** Must not be asked where disks fail: a record that cannot be read is put aside. A line for each such record. */
export function tornRecords({ machines }: SimulatedSystem): readonly string[] {
  return machines.flatMap(({ disk, name }) =>
    disk
      .paths()
      .filter((path) => path.endsWith('.quarantined'))
      .map((path) => `${name} could not read ${path}`),
  );
}
