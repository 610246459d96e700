// Which room of the project imports which, read from the sources. A room is a folder of the second level (`agent/vm`),
// a top-level folder without such folders (`protocol`), or a file at the root of a folder with rooms (`agent/main.ts`).
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../../', import.meta.url));
export const sourceFolders = [
  'crds',
  'runtime',
  'protocol',
  'sets',
  'annotations',
  'operator',
  'agent',
  'simulator',
  'kubectl',
] as const;
const foldersWithRooms: readonly string[] = ['agent', 'operator', 'simulator'];

export interface Import {
  readonly from: string;
  /** A path in the project, or the name of a package. */
  readonly target: string;
}

export async function readImports(): Promise<readonly Import[]> {
  const files = await Promise.all(sourceFolders.map((folder) => sourceFiles(join(project, folder))));
  return (await Promise.all(files.flat().map(importsOf))).flat();
}

async function sourceFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts')).map((e) => join(e.parentPath, e.name));
}

async function importsOf(file: string): Promise<Import[]> {
  const text = await readFile(file, 'utf8');
  const from = slashes(relative(project, file));
  const statements = text.matchAll(
    /^(?:import|export)\s[\w$*{},\s]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...statements].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const target = specifier.startsWith('.')
      ? slashes(relative(project, resolve(dirname(file), specifier)))
      : specifier;
    return { from, target };
  });
}

function slashes(path: string): string {
  return path.split(sep).join('/');
}

export function isOurs({ target }: Import): boolean {
  return target.startsWith('test/') || sourceFolders.some((folder) => target.startsWith(`${folder}/`));
}

export function roomOf(file: string): string {
  const [top = '', second] = file.split('/');
  return second === undefined || !foldersWithRooms.includes(top) ? top : `${top}/${second}`;
}

export type RoomGraph = ReadonlyMap<string, ReadonlySet<string>>;

/** By room: the rooms that it imports. */
export function roomGraph(imports: readonly Import[]): RoomGraph {
  const graph = new Map<string, Set<string>>();
  for (const { from, target } of imports.filter(isOurs)) {
    const [importer, imported] = [roomOf(from), roomOf(target)];
    const rooms = graph.get(importer) ?? new Set();
    graph.set(importer, rooms);
    if (!graph.has(imported)) graph.set(imported, new Set());
    if (importer !== imported) rooms.add(imported);
  }
  return graph;
}

/**
 * Rooms by level: those of the first import no room, those of each further level only rooms of lower levels. Rooms that
 * import each other, directly or not, have no level; they are in `circles`, with the rooms that import them.
 */
export function levelsOf(graph: RoomGraph): {
  readonly levels: readonly string[][];
  readonly circles: readonly string[];
} {
  const placed = new Set<string>();
  const levels: string[][] = [];
  for (;;) {
    const level = [...graph]
      .filter(([room]) => !placed.has(room))
      .filter(([, of]) => [...of].every((room) => placed.has(room)));
    if (level.length === 0) break;
    levels.push(level.map(([room]) => room).sort());
    for (const [room] of level) placed.add(room);
  }
  return { levels, circles: [...graph.keys()].filter((room) => !placed.has(room)).sort() };
}
