/** Debian's docker-registry with the images of a test. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Certificate } from "./certificate";

/** Configuration of a registry. */
export interface RegistrySetup {
  readonly tls?: Certificate;
  /** Users and their passwords. */
  readonly users?: Readonly<Record<string, string>>;
  /** A token server: its URL, and the certificate that signs its tokens. */
  readonly token?: { readonly realm: string; readonly service: string; readonly certificate: string };
  /** Address to listen on; by default 127.0.0.1. */
  readonly address?: string;
}

/** A running registry. */
export interface TestRegistry extends AsyncDisposable {
  /** Address and port. */
  readonly host: string;
}

/** @throws Error with the registry's output if it does not start */
export async function startRegistry({
  tls,
  users,
  token,
  address = "127.0.0.1",
}: RegistrySetup = {}): Promise<TestRegistry> {
  await using made = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "registry-"));
  made.defer(() => rm(directory, { recursive: true, force: true }));
  const data = join(directory, "data");
  await mkdir(data);
  const auth: Record<string, unknown> = {};
  if (users !== undefined) {
    const lines = Object.entries(users).map(
      ([name, password]) => `${name}:${Bun.password.hashSync(password, { algorithm: "bcrypt", cost: 4 })}\n`,
    );
    const file = join(directory, "htpasswd");
    await writeFile(file, lines.join(""));
    auth["htpasswd"] = { realm: "test", path: file };
  }
  if (token !== undefined) {
    const { realm, service, certificate } = token;
    auth["token"] = { realm, service, issuer: "test", rootcertbundle: certificate };
  }
  const config = {
    version: "0.1",
    log: { level: "info" },
    storage: { filesystem: { rootdirectory: data } },
    http: {
      addr: `${address}:0`,
      secret: "of this test",
      ...(tls === undefined ? {} : { tls: { certificate: tls.certificate, key: tls.key } }),
    },
    ...(Object.keys(auth).length === 0 ? {} : { auth }),
  };
  const file = join(directory, "config.yml");
  // JSON is valid YAML.
  await writeFile(file, JSON.stringify(config));
  const child = Bun.spawn(["docker-registry", "serve", file], {
    env: { PATH: process.env["PATH"] },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  made.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const host = await listening(child.stderr);
  const kept = made.move();
  return { host, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The address that it reports to listen on; later output is read and discarded. */
function listening(output: ReadableStream<Uint8Array>): Promise<string> {
  return new Promise((resolve, reject) => {
    (async () => {
      const decoder = new TextDecoder();
      let text = "";
      for await (const chunk of output) {
        text = `${text}${decoder.decode(chunk, { stream: true })}`.slice(-10_000);
        const host = /listening on ([\d.]+:\d+)/.exec(text)?.[1];
        if (host !== undefined) resolve(host);
      }
      reject(new Error(`The registry did not start:\n${text}`));
    })().catch(reject);
  });
}
