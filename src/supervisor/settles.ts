import { longestTimer } from "../host/long-timer";

/** Waits until a promise settles, at most `ms`; true if it settled in time. */
export async function settles(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timeout = Promise.withResolvers<false>();
  const timer = setTimeout(() => timeout.resolve(false), Math.min(ms, longestTimer));
  try {
    return await Promise.race([promise.then(() => true as const), timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
