// What the pages say of hcsshim from v0.15.0 on and of recorded lives. Earlier versions of these pages said otherwise, or
// nothing, and readers took our deliberate differences for mistakes.
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

const documents = 'hcs-documents.md';
const runtime = 'hcs-runtime.md';

it.each([
  [
    'the newer builder deletes staged SNP copies on an error only',
    documents,
    /v0\.15\.0 and later delete it on an error only/,
  ],
  [
    'the newer controller rounds 2049 MB to 2050 MB',
    documents,
    /newer builder \(§11\) rounds in the same way: 2049 → 2050/,
  ],
  [
    'a guest from v0.15.0 on refuses headers below 16 bytes',
    runtime,
    /a size < 16 .*From v0\.15\.0 on .* it refuses such a header/,
  ],
  ['a failing HcsStart is not followed by Terminate', runtime, /It sends no Terminate: only the caller's close does/],
  ['0x80370110 from terminate is an error to the original', runtime, /0x80370110 from terminate is an error/],
  [
    'wait and close hang after a service disconnect',
    runtime,
    /`wait` and `close` of the UVM hang, and no Terminate is sent/,
  ],
  [
    'the newer controller keeps the handle of a VM that ended',
    runtime,
    /never closes the handle of a VM that ended by itself/,
  ],
  [
    'CrashLog, Attribution and ErrorEvents are in the schema',
    runtime,
    /`ErrorEvents`, .* `CrashLog` and `Attribution` are in/,
  ],
])('the reference says: %s', async (_fact, page, sentence) => {
  expect(await readFile(new URL(`../../docs/reference/${page}`, import.meta.url), 'utf8')).toMatch(sentence);
});
