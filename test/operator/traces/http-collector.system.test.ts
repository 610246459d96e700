import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HttpCollector } from '../../../operator/traces/http-collector.ts';
import { TraceCollector } from '../../support/operator/trace-collector.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'traces-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const never = new AbortController().signal;
const nothing = '{"resourceSpans":[]}';

describe('a collector over HTTP', () => {
  it('gets requests below its base address, with the token that the file has at that time', async () => {
    await using server = await TraceCollector.listen();
    const tokenFile = join(folder, 'token');
    const collector = new HttpCollector({ endpoint: new URL(`${server.url}/otlp/`), tokenFile });
    for (const token of ['first', 'second']) {
      await writeFile(tokenFile, `${token}\n`);
      expect(await collector.post(nothing, never)).toEqual({ status: 200, text: '{}' });
    }
    await collector.close();
    expect(server.requests).toEqual([
      'POST /otlp/v1/traces application/json Bearer first',
      'POST /otlp/v1/traces application/json Bearer second',
    ]);
  });

  it('is read no further than the beginning of its answer', async () => {
    await using server = await TraceCollector.listen('x'.repeat(10_000_000));
    const collector = new HttpCollector({ endpoint: new URL(server.url), tokenFile: undefined });
    const { text } = await collector.post(nothing, never);
    expect(text.length).toBeLessThan(1_000_000);
    await collector.close();
  });

  it('rejects when nobody listens, or the time is over', async () => {
    const nobody = new HttpCollector({ endpoint: new URL('http://127.0.0.1:1'), tokenFile: undefined });
    await expect(nobody.post(nothing, never)).rejects.toThrow('ECONNREFUSED');
    await using server = await TraceCollector.listen();
    const late = new HttpCollector({ endpoint: new URL(server.url), tokenFile: undefined });
    await expect(late.post(nothing, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
    await Promise.all([nobody.close(), late.close()]);
  });
});
