/** A promise that never rejects; only {@link certain} makes one, so that a type can ask for it. */
export interface Certain<Value> extends Promise<Value> {
  readonly certain: true;
}

/** Turns a promise into one that never rejects. @param otherwise makes the value that replaces an error; it must not throw */
export function certain<Value>(promise: Promise<Value>, otherwise: (error: unknown) => Value): Certain<Value> {
  return Object.assign(promise.catch(otherwise), { certain: true } as const);
}

/**
 * Processes items with limited concurrency. After a failure no new one is started, and running ones are awaited.
 *
 * @throws the first failure
 */
export async function inTurn<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined && failures.length === 0; item = left.shift()) {
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
