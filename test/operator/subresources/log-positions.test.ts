import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { withoutPositions } from '../../../operator/subresources/byte-response.ts';

async function stripped(chunks: readonly string[]): Promise<string> {
  const transform = withoutPositions();
  const read = text(transform);
  for (const chunk of chunks) transform.write(Buffer.from(chunk));
  transform.end();
  return await read;
}

it('positions are removed from the lines, wherever the chunks are cut', async () => {
  const line = fc.tuple(
    fc.nat(),
    fc.nat(),
    fc.string({ unit: fc.constantFrom('1.2 ', 'a', '\r', 'é', 'x'.repeat(40)) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat(200)), async (lines, cuts) => {
      const whole = lines.map(([boot, sequence, said]) => `${boot}.${sequence} ${said}\n`).join('');
      const ends = [...cuts.toSorted((a, b) => a - b), whole.length];
      const chunks = ends.map((end, index) => whole.slice(ends[index - 1] ?? 0, end));
      expect(await stripped(chunks)).toBe(lines.map(([, , said]) => `${said}\n`).join(''));
    }),
  );
});

it('nothing of a line that does not end is kept in memory', async () => {
  const transform = withoutPositions();
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let passed = 0;
  transform.on('data', (bytes: Buffer) => {
    passed += bytes.length;
  });
  transform.write('1.2 ');
  for (let count = 1; count <= 16; count += 1) {
    await new Promise<void>((resolve) => transform.write(chunk, () => resolve()));
    expect(passed).toBe(count * chunk.length);
  }
});
