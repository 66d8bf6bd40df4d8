/** The bun runtime inside the compiled binary: the baseline build, which runs on every x86-64, pinned by its hash. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached } from "../images/cache";
import { bunVersion } from "./project";

const packageName = "@oven/bun-linux-x64-baseline";

/** npm's dist.integrity per version of bun: the tarball has to have this hash. */
const integrity: Readonly<Record<string, string>> = {
  "1.4.5": "sha512-s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
};

/**
 * Path of the bun executable to compile with, fetched from the npm registry on first use.
 *
 * @throws Error if the registry's tarball has another hash, or no hash is pinned for this version
 */
export async function bunRuntime(say?: (line: string) => void): Promise<string> {
  const expected = integrity[bunVersion];
  if (expected === undefined) {
    throw new Error(
      `tools/build/bun-runtime.ts has no hash for ${packageName}@${bunVersion}: add npm's dist.integrity`,
    );
  }
  const directory = await cached(
    { name: "bun-linux-x64-baseline", inputs: { bunVersion, expected }, build: (into) => fetchInto(into, expected) },
    say,
  );
  return join(directory, "bun");
}

async function fetchInto(directory: string, expected: string): Promise<void> {
  const packed = await run(["npm", "pack", `${packageName}@${bunVersion}`, "--json", "--silent"], { cwd: directory });
  const filename = packedFile(JSON.parse(packed.stdout));
  const tarball = join(directory, filename);
  const hash = `sha512-${new Bun.CryptoHasher("sha512").update(await Bun.file(tarball).arrayBuffer()).digest("base64")}`;
  if (hash !== expected) {
    throw new Error(`${packageName}@${bunVersion} from the npm registry has the hash ${hash}; ${expected} is expected`);
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
