/** A promise that never rejects; only {@link certain} makes one, so that a type can ask for it. */
export interface Certain<Value> extends Promise<Value> {
  readonly certain: true;
}

/** Turns a promise into one that never rejects. @param otherwise makes the value that replaces an error; it must not throw */
export function certain<Value>(promise: Promise<Value>, otherwise: (error: unknown) => Value): Certain<Value> {
  return Object.assign(promise.catch(otherwise), { certain: true } as const);
}
