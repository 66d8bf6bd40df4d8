/** How much runs at once. */
interface Weights<T> {
  /** The largest sum of weights of what runs at once. */
  readonly most: number;
  readonly weightOf: (item: T) => number;
}

/**
 * Processes items, several at once as their weights allow: of those left, the first that fits is started; a heavier one than allowed runs
 * alone. After a failure no new one is started, and running ones are awaited.
 *
 * @throws the first failure
 */
export async function byWeight<T>(
  items: readonly T[],
  { most, weightOf }: Weights<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const failures: unknown[] = [];
  const running = new Set<Promise<void>>();
  let weight = 0;
  const run = async (item: T) => {
    weight += weightOf(item);
    try {
      await work(item);
    } catch (error) {
      failures.push(error);
    } finally {
      weight -= weightOf(item);
    }
  };
  while (left.length > 0 && failures.length === 0) {
    const next = left.findIndex((item) => running.size === 0 || weight + weightOf(item) <= most);
    const [item] = next < 0 ? [] : left.splice(next, 1);
    if (item === undefined) {
      await Promise.race(running);
      continue;
    }
    const task: Promise<void> = run(item).finally(() => running.delete(task));
    running.add(task);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
