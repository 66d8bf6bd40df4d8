/** A web site with machine images in every form, their checksums and signatures. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, run } from "../../tools/command";

/** A running site. */
export interface DownloadSite extends AsyncDisposable {
  /** URL of its directory, without a slash at the end. */
  readonly url: string;
  /** The directory that it serves: files in it can be downloaded. */
  readonly directory: string;
  /** Requested paths. */
  readonly requests: string[];
  /** Paths of requests whose client disconnected. */
  readonly dropped: string[];
  /** Milliseconds before every response. */
  delay: number;
  /** Holds back the responses for a path; returns a function that releases them, as does the end of the site. */
  hold(path: string): () => void;
  /** Writes SHA256SUMS for the files of the directory. */
  writeSums(): Promise<void>;
}

/** Starts a site that requires a user and password below /private/. */
export async function startDownloadSite(): Promise<DownloadSite> {
  const directory = await mkdtemp(join(tmpdir(), "download-site-"));
  const requests: string[] = [];
  const dropped: string[] = [];
  const site = { delay: 0 };
  const held = new Map<string, PromiseWithResolvers<void>>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const path = decodeURIComponent(new URL(request.url).pathname);
      requests.push(path);
      request.signal.addEventListener("abort", () => dropped.push(path));
      if (site.delay > 0) await Bun.sleep(site.delay);
      await held.get(path)?.promise;
      const name = path.replace("/private/", "/");
      if (name !== path && request.headers.get("authorization") !== `Basic ${btoa("me:geheim word")}`) {
        return new Response(null, { status: 401 });
      }
      const file = Bun.file(join(directory, name));
      return (await file.exists()) ? new Response(file) : new Response(null, { status: 404 });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    directory,
    requests,
    dropped,
    get delay() {
      return site.delay;
    },
    set delay(milliseconds) {
      site.delay = milliseconds;
    },
    hold: (path) => {
      const gate = Promise.withResolvers<void>();
      held.set(path, gate);
      return () => {
        held.delete(path);
        gate.resolve();
      };
    },
    writeSums: async () => {
      const names = (await Array.fromAsync(new Bun.Glob("*").scan(directory))).filter(
        (name) => !/SUMS|sha256/.test(name),
      );
      const lines = await Promise.all(
        names.map(
          async (name) =>
            `${createHash("sha256")
              .update(await readFile(join(directory, name)))
              .digest("hex")}  ${name}\n`,
        ),
      );
      await writeFile(join(directory, "SHA256SUMS"), lines.join(""));
    },
    [Symbol.asyncDispose]: async () => {
      for (const gate of held.values()) gate.resolve();
      await server.stop(true);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Removes new entries from /var/lib/machines; systemd-importd keeps its downloads, with the immutable flag. */
export async function keepMachines(): Promise<AsyncDisposable> {
  const machines = "/var/lib/machines";
  const names = async (): Promise<string[]> => (existsSync(machines) ? readdir(machines) : []);
  const before = await names();
  return {
    [Symbol.asyncDispose]: async () => {
      for (const name of await names()) {
        if (before.includes(name)) continue;
        // chattr fails for a disk image, or if the file system has no such flags.
        await attempt(["chattr", "-R", "-i", join(machines, name)]);
        await rm(join(machines, name), { recursive: true, force: true });
      }
    },
  };
}

/** Packs a tree as NAME.tar, and as NAME.tar.gz, .xz, .zst and .bz2. */
export async function packTree(tree: string, directory: string, name: string): Promise<void> {
  const archive = join(directory, `${name}.tar`);
  await run(["tar", "--create", `--file=${archive}`, `--directory=${tree}`, "--numeric-owner", "."]);
  await pack(archive);
}

/** Compresses a file in every way, beside it. */
export async function pack(file: string): Promise<void> {
  for (const argv of [
    ["gzip", "--keep", "--fast", file],
    ["xz", "--keep", "-0", file],
    ["zstd", "--quiet", "--keep", "-1", file],
    ["bzip2", "--keep", file],
  ]) {
    await run(argv);
  }
}

/** A signing key of GnuPG, and a keyring with it. */
export interface Signer {
  readonly keyring: string;
  sign(file: string, options?: { readonly armor?: boolean }): Promise<void>;
}

/** How a key is made. */
export interface KeyOptions {
  /** In gpg's format, such as "1d"; by default it never expires. */
  readonly expire?: string;
  /** What gpg takes for the time, "YYYYMMDDThhmmss": of the key, and of what it signs. */
  readonly time?: string;
}

/** Creates a key in a directory. */
export async function makeSigner(
  directory: string,
  name: string,
  { expire = "never", time }: KeyOptions = {},
): Promise<Signer> {
  const home = join(directory, `${name}.home`);
  await mkdir(home, { mode: 0o700 });
  const clock = time === undefined ? [] : [`--faked-system-time=${time}`];
  const gpg = ["gpg", "--batch", "--quiet", `--homedir=${home}`, ...clock];
  await run([...gpg, "--passphrase=", "--quick-gen-key", `${name}@example.test`, "ed25519", "sign", expire]);
  const keyring = join(directory, `${name}.gpg`);
  await run([...gpg, `--output=${keyring}`, "--export"]);
  return {
    keyring,
    sign: async (file, { armor = false } = {}) => {
      const output = `${file}.${armor ? "asc" : "gpg"}`;
      await rm(output, { force: true });
      await run([...gpg, ...(armor ? ["--armor"] : []), `--output=${output}`, "--detach-sign", file]);
    },
  };
}
