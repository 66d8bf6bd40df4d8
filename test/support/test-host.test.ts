import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { busyboxImage, diskImage } from "../../tools/images/images";
import { hostState, leftovers } from "../../tools/leftovers";
import { startTestHost, type TestHost } from "../../tools/machines/test-host";

let host: TestHost;
const before = await hostState();
beforeAll(async () => {
  host = await startTestHost();
});
afterAll(async () => {
  await host.stop();
  expect(existsSync(`/proc/${host.leader}`)).toBe(false);
  expect(existsSync(dirname(host.share.outside))).toBe(false);
  expect((await leftovers(before)).filter((sentence) => sentence.includes("test-host-"))).toEqual([]);
});

test("is up, without failed units", () => {
  expect(host.state).toBe("running");
});

test("runs commands with their input and environment and returns their results", async () => {
  const ran = await host.exec(["sh", "-c", 'echo "$GREETING"; pwd; cat; echo oops >&2; exit 7'], {
    cwd: "/usr",
    env: { GREETING: "hello there" },
    stdin: "typed",
  });
  expect(ran).toEqual({ code: 7, stdout: "hello there\n/usr\ntyped", stderr: "oops\n" });
});

test("has systemd as PID 1 and this bun on its PATH", async () => {
  expect((await host.enter(["cat", "/proc/1/comm"])).stdout).toBe("systemd\n");
  const version = await host.exec(["bun", "--version"], { cwd: resolve(import.meta.dir, "../..") });
  expect(version.stdout.trim()).toBe(Bun.version);
});

test("runs containers from a directory, with a user namespace and a private network", async () => {
  await host.exec(["cp", "-a", await busyboxImage(), "/var/lib/machines/tiny"]);
  const nspawn = [
    "systemd-nspawn",
    "--quiet",
    "--console=pipe",
    "--keep-unit",
    "--machine=tiny",
    "-U",
    "--network-veth",
    "--as-pid2",
  ];
  const ran = await host.exec([...nspawn, "/bin/sh", "-c", "cat /proc/self/uid_map; ls /sys/class/net; exit 3"]);
  expect(ran.code).toBe(3);
  expect(ran.stdout).toMatch(/^ +0 +[1-9]\d+ +65536\nhost0\nlo\n$/);
});

test("runs containers from an image file", async () => {
  await host.exec(["cp", await diskImage(), "/var/lib/machines/disk.raw"]);
  const nspawn = [
    "systemd-nspawn",
    "--quiet",
    "--console=pipe",
    "--keep-unit",
    "--image=/var/lib/machines/disk.raw",
    "--as-pid2",
  ];
  expect(await host.exec([...nspawn, "/bin/echo", "from a file"])).toEqual({
    code: 0,
    stdout: "from a file\n",
    stderr: "",
  });
});
