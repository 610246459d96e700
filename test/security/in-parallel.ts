// Sends many requests to a real API server, as many at a time as it serves without queueing.
const workers = 16;

export async function inParallel<Item>(items: Iterable<Item>, task: (item: Item) => Promise<unknown>): Promise<void> {
  const left = items[Symbol.iterator]();
  const work = async () => {
    for (let next = left.next(); !next.done; next = left.next()) await task(next.value);
  };
  await Promise.all(Array.from({ length: workers }, work));
}
