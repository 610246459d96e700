// `npm run imports`: the rooms of the project by level, each with the rooms that it imports.
import { levelsOf, readImports, roomGraph } from './import-graph.ts';

const graph = roomGraph(await readImports());
const { circles, levels } = levelsOf(graph);
const line = (room: string) =>
  `  ${[room, ...[...(graph.get(room) ?? [])].sort()].join(' ')}`.replace(/(\S+) (?=\S)/, '$1 ← ');
levels.forEach((rooms, index) => {
  process.stdout.write(`level ${index + 1}\n${rooms.map((room) => `${line(room)}\n`).join('')}`);
});
if (circles.length > 0) {
  process.stdout.write(`in circles\n${circles.map((room) => `${line(room)}\n`).join('')}`);
  process.exitCode = 1;
}
