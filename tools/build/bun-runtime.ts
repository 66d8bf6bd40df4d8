/** The bun runtime inside the compiled binary, pinned by its hash. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached } from "../images/cache";
import { bunVersion } from "./project";
import { AMD64, type Target } from "./targets";

/**
 * Path of the bun executable to compile with, fetched from the npm registry on first use.
 *
 * @throws Error if the registry's tarball has another hash, or no hash is pinned for this version
 */
export async function bunRuntime(target: Target = AMD64, say?: (line: string) => void): Promise<string> {
  const { runtime } = target;
  const expected = target.integrity[bunVersion];
  if (expected === undefined) {
    throw new Error(`tools/build/targets.ts has no hash for ${runtime}@${bunVersion}: add npm's dist.integrity`);
  }
  const build = (into: string) => fetchInto(into, `${runtime}@${bunVersion}`, expected);
  const name = runtime.replace("@oven/", "");
  return join(await cached({ name, inputs: { bunVersion, expected }, build }, say), "bun");
}

async function fetchInto(directory: string, what: string, expected: string): Promise<void> {
  const packed = await run(["npm", "pack", what, "--json", "--silent"], { cwd: directory });
  const filename = packedFile(JSON.parse(packed.stdout));
  const tarball = join(directory, filename);
  const hash = `sha512-${new Bun.CryptoHasher("sha512").update(await Bun.file(tarball).arrayBuffer()).digest("base64")}`;
  if (hash !== expected) {
    throw new Error(`${what} from the npm registry has the hash ${hash}; ${expected} is expected`);
  }
  await run(["tar", "-xzf", tarball, "--strip-components=2", "-C", directory, "package/bin/bun"]);
  await rm(tarball);
}

function packedFile(answer: unknown): string {
  const first: unknown = Array.isArray(answer) ? answer[0] : undefined;
  if (typeof first === "object" && first !== null && "filename" in first && typeof first.filename === "string") {
    return first.filename;
  }
  throw new Error(`npm pack did not say which file it wrote: ${JSON.stringify(answer)}`);
}
