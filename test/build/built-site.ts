/** The documentation's site, built for a test, and served as a web server does. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../tools/build/project";
import { run } from "../../tools/command";

/** A built site. */
export interface BuiltSite extends AsyncDisposable {
  readonly directory: string;
  /** Paths of its pages from the site's root, such as "/docs/images.html". */
  readonly pages: readonly string[];
  /** Its root at a loopback port, with clean URLs. */
  readonly url: URL;
}

/** The file of a path without ".html". */
export const fileOf = (path: string) => (path.endsWith("/") ? `${path}index.html` : `${path}.html`);

/**
 * Builds the site as the workflow does, into a temporary directory, and serves it.
 *
 * @param extra further pages, by path: HTML
 */
export async function buildSite(extra: Readonly<Record<string, string>> = {}): Promise<BuiltSite> {
  const directory = await mkdtemp(join(tmpdir(), "site-"));
  await run([process.execPath, "scripts/site.ts", "--out", directory], { cwd: projectRoot });
  const names = await readdir(directory, { recursive: true });
  const html = { headers: { "content-type": "text/html" } };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const path = decodeURIComponent(new URL(request.url).pathname);
      const added = extra[path];
      if (added !== undefined) return new Response(added, html);
      for (const name of [path, fileOf(path)]) {
        const file = Bun.file(join(directory, name));
        if (await file.exists()) return new Response(file, { headers: { "cache-control": "max-age=3600" } });
      }
      return new Response("not found", { status: 404 });
    },
  });
  return {
    directory,
    pages: names.filter((name) => name.endsWith(".html")).map((name) => `/${name}`),
    url: server.url,
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
      await rm(directory, { recursive: true });
    },
  };
}
