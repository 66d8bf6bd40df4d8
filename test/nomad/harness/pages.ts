/** What the servers of tasks send through the ports that the client publishes for them. */

import type { NomadApi } from "./api";

/** How long a server may take until it listens, after its task runs. */
const LISTENS_MS = 20_000;
const ANSWER_MS = 3_000;

/** The client's port that is forwarded to the port "http" of an allocation; 0 if it has none. */
export async function publishedPort(api: NomadApi, allocId: string): Promise<number> {
  const { AllocatedResources } = await api.allocation(allocId, () => true);
  return AllocatedResources?.Shared.Ports?.find(({ Label }) => Label === "http")?.Value ?? 0;
}

/** The page at the root of that port. */
export async function publishedPage(api: NomadApi, allocId: string): Promise<string> {
  const url = `http://127.0.0.1:${await publishedPort(api, allocId)}/`;
  for (const deadline = performance.now() + LISTENS_MS; ; await Bun.sleep(50)) {
    try {
      return await (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) })).text();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}
