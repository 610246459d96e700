// The beginning of what another program answers. What exceeds the bound is not read.

/** At least `bytes` bytes if there are so many, and at most one chunk more, as UTF-8. */
export async function beginningOfBody(body: AsyncIterable<Uint8Array>, bytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    read += chunk.length;
    if (read > bytes) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
