import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TinyContainer, tinyContainer } from "./tiny-container";

let container: TinyContainer;
let host: string;

beforeAll(async () => {
  container = await tinyContainer("arguments-test");
  host = await mkdtemp(join(tmpdir(), "arguments-test-host-"));
});

afterAll(async () => {
  await container.remove();
  await rm(host, { recursive: true });
});

async function text(paths: readonly string[], config: Record<string, unknown> = {}): Promise<string> {
  return Buffer.from(await container.cat(paths, { config })).toString("utf8");
}

describe("the real systemd-nspawn takes", () => {
  test.each([
    "plain",
    "co:lon",
    "back\\slash",
    "com,ma",
    "quo'te\"s",
    "spa ce",
    "-dash",
    "new\nline",
    "end\\",
    ":",
    "\\:",
    "+plus",
  ])("a bind of %j", async (name) => {
    await writeFile(join(host, name), `content of ${name}`);
    const target = `/mnt/${name}`;
    expect(await text([target], { bind: { [join(host, name)]: target } })).toBe(`content of ${name}`);
    expect(await text([target], { bind_read_only: { [join(host, name)]: target } })).toBe(`content of ${name}`);
  });

  test("a tmpfs with a colon in its path and options", async () => {
    const mounts = await text(["/proc/self/mounts"], { tmpfs: ["/t\\:1:size=1M,mode=1777"] });
    expect(mounts).toMatch(/^tmpfs \/t:1 tmpfs .*size=1024k/m);
  });

  test("an overlay with a colon in its target and a throw-away upper directory", async () => {
    const lower = join(host, "lower");
    await mkdir(lower);
    await writeFile(join(lower, "file"), "from below");
    expect(await text(["/m:nt/file"], { overlay: [`${lower}::/m\\:nt`] })).toBe("from below");
  });

  test("a command that looks like switches", async () => {
    const shown = await text(["/proc/self/cmdline", "--", "/proc/self/cmdline"], {
      command: ["/bin/cat", "--show-nonprinting", "/proc/self/cmdline"],
    });
    expect(shown).toContain("--show-nonprinting");
  });

  test("limits, a working directory, a host name and no new privileges", async () => {
    const config = {
      rlimits: { NOFILE: "123:456" },
      working_directory: "/usr",
      hostname: "ho-st",
      no_new_privileges: true,
      drop_capability: ["CAP_NET_RAW"],
      capability: ["CAP_SYS_TIME"],
    };
    const shown = await text(["/proc/self/limits", "/proc/sys/kernel/hostname", "/proc/self/status"], config);
    expect(shown).toMatch(/Max open files +123 +456/);
    expect(shown).toContain("\nho-st\n");
    expect(shown).toMatch(/NoNewPrivs:\t1/);
    const bounding = BigInt(`0x${/CapBnd:\t([0-9a-f]+)/.exec(shown)?.[1]}`);
    expect((bounding >> 13n) & 1n).toBe(0n);
    expect((bounding >> 25n) & 1n).toBe(1n);
  });

  test("a double dash before init's arguments when booting", async () => {
    await container.addInit();
    expect(await text([], { boot: true, console: "pipe", command: ["--version"] })).toStartWith("cat (");
  });

  test("the command as PID 2", async () => {
    expect(await text(["/proc/self/stat"], { process_two: true })).toStartWith("2 (cat)");
  });

  test("a user namespace with picked IDs", async () => {
    const shown = await text(["/proc/self/uid_map"], { user_namespacing: true, ephemeral: true });
    expect(shown).toMatch(/^ *0 +[1-9]\d* +65536\n$/);
  });
});
