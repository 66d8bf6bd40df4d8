import type { StorePaths } from "./paths";
import { type PullProgress, type PullRequest, pull } from "./pull";
import type { StoredImage } from "./records";

/** The environment of pulls. */
export interface PullsContext {
  /** argv that starts this program again. */
  readonly self: readonly string[];
  /** Called with what was fetched. */
  readonly onPulled: (paths: StorePaths, pulled: PulledImage) => void;
}

/** A finished pull, for the log. */
export type PulledImage = Readonly<Record<"image" | "digest", string> & Record<"layers" | "ms", number>>;

interface Pulling {
  /** The signal of the first caller. */
  readonly signal: AbortSignal;
  readonly done: Promise<StoredImage>;
  readonly listeners: Set<(progress: PullProgress) => void>;
}

/** The running pulls of this process: further callers for an image wait for its running pull. */
export class SharedPulls {
  readonly #context: PullsContext;
  readonly #pulling = new Map<string, Pulling>();

  constructor(context: PullsContext) {
    this.#context = context;
  }

  /** @throws StoreError, SourceError, and what the request's own signal aborts with */
  async pull(paths: StorePaths, request: Omit<PullRequest, "self">): Promise<StoredImage> {
    const { onProgress, manifest, signal } = request;
    for (;;) {
      const others = this.#pulling.get(manifest.digest);
      const pulling = others ?? this.#startPull(paths, request);
      if (onProgress !== undefined) pulling.listeners.add(onProgress);
      try {
        // The own pull ends with its signal, after cleaning up.
        return await (others === undefined ? pulling.done : orAborted(pulling.done, signal));
      } catch (error) {
        // If the first caller has cancelled its pull, the others try again.
        if (others === undefined || !others.signal.aborted || signal.aborted) throw error;
      } finally {
        if (onProgress !== undefined) pulling.listeners.delete(onProgress);
      }
    }
  }

  #startPull(paths: StorePaths, request: Omit<PullRequest, "self">): Pulling {
    const { digest } = request.manifest;
    const listeners = new Set<(progress: PullProgress) => void>();
    const onProgress = (progress: PullProgress) => {
      for (const listener of listeners) listener(progress);
    };
    const start = performance.now();
    const done = pull(paths, { ...request, onProgress, self: this.#context.self })
      .then(({ image, fetched }) => {
        const ms = Math.round(performance.now() - start);
        this.#context.onPulled(paths, { image: request.image, digest, layers: fetched.length, ms });
        return image;
      })
      .finally(() => this.#pulling.delete(digest));
    const pulling = { done, listeners, signal: request.signal };
    this.#pulling.set(digest, pulling);
    return pulling;
  }
}

/** The result of a promise, unless the signal aborts first. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
