// The lines of an answer that does not end, such as a watch.

/** Without empty lines and without an unfinished last one. Throws at a line of more characters than these. */
export async function* linesOfBody(body: AsyncIterable<Uint8Array>, characters: number): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  for await (const chunk of body) {
    if (rest.length > characters) throw new Error('a line of the answer is too long');
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) if (line !== '') yield line;
  }
}
