/** Tasks whose image comes from a registry, through the plugin. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../tools/command";
import { type Fixture, useFixture } from "../protocol/fixture";
import { sentence } from "../protocol/inside";
import { watchEvents } from "../support/event-watch";
import { archiveOf, type Config, type Layer, writeImage } from "../support/oci-image";
import { startRegistry, type TestRegistry } from "../support/registry";
import { archive, file } from "../support/tar-archive";

const store = `/var/tmp/registry-task-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store },
);

let layout = "";
let base: Uint8Array;
let registry: TestRegistry;
beforeAll(async () => {
  layout = await mkdtemp(join(tmpdir(), "registry-task-"));
  base = await archiveOf(bench.busybox);
  registry = await startRegistry();
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(layout, { recursive: true, force: true });
  await rm(store, { recursive: true, force: true });
});

async function push(name: string, layers: readonly Layer[], config: Config): Promise<void> {
  const [, tag = ""] = name.split(":");
  const directory = await mkdtemp(join(layout, "layout-"));
  const image = await writeImage(directory, tag, layers, config);
  // Pushed unchanged: skopeo would compress uncompressed layers.
  const options = ["--quiet", "--preserve-digests", "--dest-tls-verify=false"];
  await run(["skopeo", "copy", ...options, image, `docker://${registry.host}/${name}`]);
}

const says = (text: string): Config => ({ Entrypoint: ["/bin/echo"], Cmd: [text] });

test("an image by its tag runs, and the next time without the registry", async () => {
  await push("team/app:1", [{ archive: base }], says("first"));
  const config = { image: `${registry.host}/team/app:1`, network_veth: false };
  expect((await bench.finished({ config })).stdout).toBe("first\n");
  // The tag has moved, but the image it pointed to is still in the store.
  await push("team/app:1", [{ archive: base }], says("second"));
  expect((await bench.finished({ config })).stdout).toBe("first\n");
});

test.each(["gzip", "zstd", "plain"] as const)(
  "layers of every compression are pulled from a registry: %s",
  async (kind) => {
    const upper = archive([file("which", `${kind}\n`), file("etc/.wh.group")]);
    await push(
      `team/${kind}:1`,
      [
        { archive: base, kind },
        { archive: upper, kind },
      ],
      {},
    );
    const command = ["/bin/sh", "-c", "cat /which; test -e /etc/group; echo $?"];
    const config = { image: `${registry.host}/team/${kind}:1`, network_veth: false, command };
    expect((await bench.finished({ config })).stdout).toBe(`${kind}\n1\n`);
  },
);

test("latest is resolved at every start", async () => {
  await push("team/app:latest", [{ archive: base }], says("one"));
  const config = { image: `docker://${registry.host}/team/app`, network_veth: false };
  expect((await bench.finished({ config })).stdout).toBe("one\n");
  await push("team/app:latest", [{ archive: base }], says("two"));
  expect((await bench.finished({ config })).stdout).toBe("two\n");
});

test("pull decides when the registry is asked", async () => {
  await using own = await startRegistry();
  const name = `${own.host}/team/pulled:1`;
  const put = async (text: string) => {
    const image = await writeImage(await mkdtemp(join(layout, "pull-")), "1", [{ archive: base }], says(text));
    await run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", image, `docker://${name}`]);
  };
  const config = (pull: string) => ({ image: name, network_veth: false, pull });
  const output = async (pull: string) => (await bench.finished({ config: config(pull) })).stdout;
  await put("one");
  const refused = await sentence(bench.start(await bench.task({ config: config("never") })));
  expect(refused).toContain('is not in the image store of this client, and pull = "never" forbids to fetch it');
  expect(await output("newer")).toBe("one\n");
  await put("two");
  expect(await output("missing")).toBe("one\n");
  expect(await output("never")).toBe("one\n");
  expect(await output("always")).toBe("two\n");
  await put("three");
  expect(await output("newer")).toBe("three\n");
  await own[Symbol.asyncDispose]();
  await using events = watchEvents(bench.client());
  expect(await output("newer")).toBe("three\n");
  await events.waitFor(`The stored image ${name} is used, because its registry cannot be asked for a newer one`);
  expect(await sentence(bench.start(await bench.task({ config: config("always") })))).toContain(own.host);
}, 120_000);

test.each([
  ["newer", "oci:/srv/images:1", "is one on this client, which is read at each start"],
  ["always", "/srv/tree", "is one on this client, which is read at each start"],
  ["sometimes", "r.lan/a:1", 'it must be "missing", "always", "never" or "newer"'],
])("pull = %p is refused for %s", async (pull, image, text) => {
  const task = await bench.task({ config: { image, pull, network_veth: false } });
  expect(await sentence(bench.start(task))).toContain(text);
});

test("an image that cannot be fetched is reported as an error", async () => {
  const start = async (image: string) =>
    sentence(bench.start(await bench.task({ config: { image, network_veth: false } })));
  expect(await start(`${registry.host}/team/nothing:1`)).toContain("team/nothing");
  expect(await start("docker://Team/App:1")).toContain("is not valid");
});

describe("credentials that are refused", () => {
  /** A registry that gives anyone a token but refuses each user. */
  const guarded = () =>
    Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { pathname, host } = new URL(request.url);
        const authorization = request.headers.get("authorization");
        if (pathname === "/token") {
          return authorization === null ? Response.json({ token: "open" }) : new Response(null, { status: 401 });
        }
        if (authorization !== "Bearer open") {
          const challenge = `Bearer realm="http://${host}/token",service="test"`;
          return new Response(null, { status: 401, headers: { "www-authenticate": challenge } });
        }
        const headers = { accept: request.headers.get("accept") ?? "*/*" };
        return await fetch(`http://${registry.host}${pathname}`, { headers, decompress: false });
      },
    });
  const auth = { username: "ci", password: "geheim" };
  const start = async (name: string, more: object) => {
    const config = { image: `127.0.0.1:${name}`, auth, network_veth: false, ...more };
    return await sentence(bench.start(await bench.task({ config })));
  };

  test("are left out with auth_soft_fail", async () => {
    await push("open/soft:1", [{ archive: base }], says("without credentials"));
    using server = guarded();
    const image = `${server.port}/open/soft:1`;
    const refused = await start(image, {});
    expect(refused).toContain("HTTP status 401");
    expect(refused).not.toContain("geheim");
    const config = { image: `127.0.0.1:${image}`, auth, auth_soft_fail: true, network_veth: false };
    expect((await bench.finished({ config })).stdout).toBe("without credentials\n");
  });

  test("are not sent to another registry than auth.server_address", async () => {
    const wrong = { auth: { ...auth, server_address: "registry.example" }, auth_soft_fail: true };
    expect(await start("1/open/app:1", wrong)).toContain(
      'Option auth.server_address = "registry.example" is not the registry of the image, which is "127.0.0.1:1"',
    );
  });
});

test("a download may take as long as image_pull_timeout says", async () => {
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Promise<Response>(() => {}) });
  const config = { image: `127.0.0.1:${server.port}/slow/app:1`, network_veth: false, image_pull_timeout: "1s" };
  expect(await sentence(bench.start(await bench.task({ config })))).toContain("timed out (option image_pull_timeout");
  await server.stop(true);
});

describe("mirrors", () => {
  const origin = "registry.invalid";
  const use = (...mirrors: readonly string[]) =>
    bench.client().setConfig({ image_store: store, registry: { mirrors: { [origin]: mirrors } } });
  const output = async (name: string) =>
    (await bench.finished({ config: { image: `${origin}/${name}`, network_veth: false } })).stdout;

  test("are tried in order: one that is down, one that lacks the image, one that has it", async () => {
    await push("hub/team/mirrored:1", [{ archive: base }], says("from the mirror"));
    await use("127.0.0.1:1", `${registry.host}/empty`, `${registry.host}/hub`);
    expect(await output("team/mirrored:1")).toBe("from the mirror\n");
  });

  test("do not get the job's credentials", async () => {
    const seen: (string | null)[] = [];
    using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ headers }) => {
        seen.push(headers.get("authorization"));
        return new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="mirror"' } });
      },
    });
    await use(`127.0.0.1:${server.port}`);
    const auth = { username: "ci", password: "geheim" };
    const task = await bench.task({ config: { image: `${origin}/team/secret:1`, auth, network_veth: false } });
    // What counts is the error of the registry itself.
    expect(await sentence(bench.start(task))).toContain(`the host ${origin}`);
    expect(new Set(seen)).toEqual(new Set([null]));
  });
});
