/** /etc/hosts of a container: localhost, its own name, and the names of the job. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";
import { copyTree, type Fixture, openFixture, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

let layouts = "";
let stored = "";
beforeAll(async () => {
  layouts = await mkdtemp(join(tmpdir(), "layouts-"));
  stored = await writeImage(join(layouts, "layout"), "names", [
    { archive: await archiveOf(bench.busybox), kind: "gzip" },
  ]);
});
afterAll(async () => {
  await rm(layouts, { recursive: true, force: true });
});

const SHOW = "cat /etc/hosts; hostname";
const LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
/** A copy of the busybox tree with this /etc/hosts. */
async function directory(name: string, hosts: string): Promise<string> {
  const tree = await copyTree(bench.busybox, join(bench.scratch, name));
  await writeFile(join(tree, "etc/hosts"), hosts);
  return tree;
}

describe("a stored image", () => {
  test("has localhost and its own name with its own address, whatever its file contains", async () => {
    const text = await inside(bench, `${SHOW}; ip -4 -o address show dev host0`, {
      image: stored,
      volatile: undefined,
      network_veth: true,
      hostname: "web-1",
    });
    const address = /inet ([\d.]+)\//.exec(text)?.[1];
    expect(text).toStartWith(`${LOCALHOST}${address} web-1\n`);
  });

  test("in the host's network has the host's names and its own", async () => {
    const text = await inside(bench, SHOW, { image: stored, volatile: undefined, hostname: "web-1" });
    const host = await readFile("/etc/hosts", "utf8").catch(() => "");
    expect(text).toContain(host);
    expect(text).toContain("127.0.1.1 web-1\n");
  });

  test("has the job's further names", async () => {
    const extra_hosts = ["db:192.0.2.7", "db:[2001:db8::7]", "db:192.0.2.7"];
    const text = await inside(bench, SHOW, { image: stored, volatile: undefined, extra_hosts });
    expect(text).toContain("192.0.2.7 db\n2001:db8::7 db\n192.0.2.7 db\n");
  });
});

describe("a directory", () => {
  test("without the file gets one, by which programs find localhost and the container's name", async () => {
    const image = await debianImage();
    const resolve = 'cat /etc/hosts; getent hosts localhost; getent hosts "$(hostname)"; hostname';
    const text = await inside(bench, resolve, { image, hostname: "web-1" });
    // The host's own lines come first, if it has the file.
    expect(text).toMatch(/^127\.0\.0\.1\s+localhost$/m);
    // Which of the two addresses is found depends on the addresses of the host.
    expect(text).toMatch(/^(?:::1|127\.0\.0\.1) {2,}localhost/m);
    expect(text).toMatch(/^127\.0\.1\.1 +web-1$/m);
  });

  test("with a domain has a fully qualified name", async () => {
    const script = "hostname; hostname -f; hostname -d";
    const more = { image: await debianImage(), hostname: "web-1", domainname: "int.example.org" };
    expect(await inside(bench, script, more)).toBe("web-1\nweb-1.int.example.org\nint.example.org\n");
  });

  test("with the file keeps its lines in a root that the driver makes", async () => {
    const image = await directory("made", "192.0.2.8 own localhost\n");
    expect(await inside(bench, SHOW, { image, hostname: "web-1" })).toBe(
      "192.0.2.8 own localhost\n127.0.1.1 web-1\nweb-1\n",
    );
  });

  test.each([
    ["with the file keeps it", "plain", "192.0.2.8 own\n", "192.0.2.8 own\nweb-1\n"],
    ["with an empty file gets the driver's", "empty", "", expect.stringContaining("127.0.1.1 web-1\nweb-1\n")],
  ])("that is the root itself %s", async (_case, name, hosts, expected) => {
    const image = await directory(name, hosts);
    const more = { image, hostname: "web-1", volatile: undefined, user_namespacing: false };
    expect(await inside(bench, SHOW, more)).toEqual(expected);
    expect(await readFile(join(image, "etc/hosts"), "utf8")).toBe(hosts);
  });

  test("that is the root itself has its own lines and the job's further names", async () => {
    const image = await directory("more", "192.0.2.8 own localhost\n");
    const more = { image, hostname: "web-1", volatile: undefined, user_namespacing: false };
    expect(await inside(bench, SHOW, { ...more, extra_hosts: ["db:192.0.2.7"] })).toBe(
      "192.0.2.8 own localhost\n127.0.1.1 web-1\n192.0.2.7 db\nweb-1\n",
    );
    expect(await readFile(join(image, "etc/hosts"), "utf8")).toBe("192.0.2.8 own localhost\n");
  });

  test("of which only /usr is used has the driver's, and can still write to /etc", async () => {
    const script = "echo ok > /etc/probe && cat /etc/probe /etc/hosts";
    expect(await inside(bench, script, { volatile: "yes", hostname: "web-1" })).toContain("ok\n");
  });
});

test("a job's own file wins, and cannot be combined with further names", async () => {
  const own = join(bench.scratch, "own-hosts");
  await writeFile(own, "192.0.2.6 mine\n");
  const bind_read_only = { [own]: "/etc/hosts" };
  expect(await inside(bench, SHOW, { image: stored, volatile: undefined, hostname: "a", bind_read_only })).toBe(
    "192.0.2.6 mine\na\n",
  );
  const task = await bench.task({ config: { image: stored, bind_read_only, extra_hosts: ["db:192.0.2.7"] } });
  expect(await sentence(bench.start(task))).toContain("Options extra_hosts and bind_read_only exclude each other");
});

test.each([["db"], ["db:host-gateway"], ["d b:192.0.2.7"]])("further name %j is refused", async (entry) => {
  const task = await bench.task({ config: { image: stored, extra_hosts: [entry] } });
  expect(await sentence(bench.start(task))).toContain("Option extra_hosts[0]");
});

test("the operator's name servers are those of containers with a network of their own, unless the job has others", async () => {
  await using own = await openFixture({ network: [{ dns_servers: ["192.0.2.99"] }] });
  const script = "grep nameserver /etc/resolv.conf";
  expect(await inside(own, script, { network_veth: true })).toBe("nameserver 192.0.2.99\n");
  const dns_servers = ["192.0.2.53"];
  expect(await inside(own, script, { network_veth: true, dns_servers })).toBe("nameserver 192.0.2.53\n");
});
