import { expect, it } from 'vitest';
import { plainLogger } from '../../runtime/log-lines.ts';

const steering = '\u001b[2J \u009b2J \u009d0;title\u009c \u202eexe.txt \u2028 \u007f';

it('a log line contains no terminal control characters, and keeps its text', () => {
  const lines: string[] = [];
  const logger = plainLogger({ base: { [`base${steering}`]: steering } }, { write: (line) => void lines.push(line) });
  logger.info({ reason: steering, deep: [{ [steering]: steering }] }, steering);
  logger.child({ host: steering }).error({ err: new Error(steering) });
  for (const line of lines) expect(line).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+\n$/u);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { reason: steering, deep: [{ [steering]: steering }], msg: steering },
    { host: steering, err: { message: steering } },
  ]);
});
