// Runs many like calls in batches that double: if the API server refuses the first, it is not asked a thousand times
// (the slowStartBatch of Kubernetes' controllers).

const firstBatch = 1;
const largestBatch = 8;

/** Stops after the batch in which `succeeded` is false for a result. Returns the results. */
export async function inSlowStart<Item, Result>(
  items: readonly Item[],
  call: (item: Item) => Promise<Result>,
  succeeded: (result: Result) => boolean,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  let size = firstBatch;
  for (let begun = 0; begun < items.length; ) {
    const batch = await Promise.all(items.slice(begun, begun + size).map(call));
    results.push(...batch);
    if (!batch.every(succeeded)) break;
    begun += size;
    size = Math.min(size * 2, largestBatch);
  }
  return results;
}
