import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { startTestHost } from "./test-host";

test("boots, runs commands and leaves nothing", async () => {
  const host = await startTestHost();
  try {
    expect(host.state).toBe("running");
    const ran = await host.exec(["sh", "-c", 'echo "$GREETING"; pwd; echo oops >&2; exit 7'], {
      cwd: "/usr",
      env: { GREETING: "hello there" },
    });
    expect(ran).toEqual({ code: 7, stdout: "hello there\n/usr\n", stderr: "oops\n" });
    expect((await host.enter(["cat", "/proc/1/comm"])).stdout).toBe("systemd\n");
    const version = await host.exec(["bun", "--version"], { cwd: resolve(import.meta.dir, "../..") });
    expect(version.stdout.trim()).toBe(Bun.version);
  } finally {
    await host.stop();
  }
  expect(existsSync(`/proc/${host.leader}`)).toBe(false);
  expect(existsSync(dirname(host.share.outside))).toBe(false);
});
