import { type ImageSource, SourceError, type SourceProblem } from "../image/source";
import type { AcquiredImage, ImageStore, WantedImage } from "../image/store/image-store";

/** An image that is in the store, and what the job's author should know about how it got there. */
export interface TaskImage {
  readonly acquired: AcquiredImage;
  /** Sentences for task events. */
  readonly warnings: readonly string[];
}

/** Problems of a registry that say nothing about the image. */
const UNREACHABLE: readonly SourceProblem[] = ["connection", "timeout", "server", "name", "rate limited"];

/** The image that the registry has now; if it cannot be reached, the one that the name meant before. @throws as ImageStore.acquire() */
export async function acquireNewer(store: ImageStore, request: WantedImage): Promise<TaskImage> {
  try {
    return { acquired: await store.acquire(request), warnings: [] };
  } catch (error) {
    if (!(error instanceof SourceError) || !UNREACHABLE.includes(error.problem) || request.signal.aborted) throw error;
    // If the store has none, the registry's problem is the reason.
    const acquired = await store.acquire({ ...request, source: failingSource(error), reuse: true });
    return {
      acquired,
      warnings: [
        `The stored image ${request.name} is used, because its registry cannot be asked for a newer one: ${error.message}`,
      ],
    };
  }
}

/** A source for pull = "never": the store has the image, or the start fails. */
export function noSource(name: string): ImageSource {
  return failingSource(
    new SourceError(
      `The image ${name} is not in the image store of this client, and pull = "never" forbids to fetch it: pull it with "images pull", or set pull = "missing".`,
      { problem: "not found", recoverable: false },
    ),
  );
}

function failingSource(error: SourceError): ImageSource {
  return {
    manifest: () => Promise.reject(error),
    read: () => {
      throw error;
    },
  };
}
