/** log_driver = "both": Nomad's log and the client's journal have the same output. */

import { beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { run } from "../../tools/command";
import { type Fixture, shell, useFixture } from "../protocol/fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});
beforeAll(() => run(["journalctl", "--sync"]));

const LOOP = "while :; do sleep 0.1; done";
const unitOf = (allocId: string, stream: string) => `nomad-log-both-${allocId}-${stream}.service`;
const task = (script: string, more: Readonly<Record<string, unknown>> = {}) =>
  bench.task({ ...shell(bench.busybox, script, { log_driver: "both", ...more }), name: "both" });

/** The messages of an allocation in the journal, once there are so many; each with its stream. */
async function journalOf(allocId: string, count: number): Promise<string[]> {
  for (;;) {
    const { stdout } = await run(["journalctl", "--output=json", "_TRANSPORT=stdout", `NOMAD_ALLOC_ID=${allocId}`]);
    const entries = stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    const lines = entries.map(
      (entry) => `${entry["SYSLOG_IDENTIFIER"]} ${entry["NOMAD_LOG_STREAM"]}: ${entry["MESSAGE"]}`,
    );
    if (lines.length >= count) return lines.toSorted();
    await Bun.sleep(50);
  }
}

test.each([
  ["root", {}],
  ["another user, with IDs of its own", { user: "app", user_namespacing: true }],
])("both have stdout and stderr of %s, also of a program that opens them again", async (_, more) => {
  const running = await task(
    `echo out; echo err >&2; echo again > /dev/stdout; echo again > /dev/stderr; ${LOOP}`,
    more,
  );
  await bench.start(running);
  await Promise.all([running.stdout.waitFor("out\nagain\n"), running.stderr.waitFor("err\nagain\n")]);
  expect(await journalOf(running.config.allocId, 4)).toEqual([
    "both stderr: again",
    "both stderr: err",
    "both stdout: again",
    "both stdout: out",
  ]);
  await bench.client().destroyTask(running.id, true);
});

test("the log of a task that ends at once has everything that it wrote", async () => {
  const { code, stdout } = await bench.finished({
    ...shell(bench.busybox, "seq 1 100000; exit 3", { log_driver: "both" }),
  });
  expect(code).toBe(3);
  expect(stdout.split("\n").slice(-3)).toEqual(["99999", "100000", ""]);
  expect(stdout).toHaveLength(588_895);
});

test("the copies go on while no plugin runs and over a daemon-reload, and end with their task", async () => {
  const running = await task(`echo first; until test -e /local/go; do sleep 0.1; done; echo second; ${LOOP}`);
  const handle = await bench.start(running);
  const { allocId } = running.config;
  await running.stdout.waitFor("first\n");
  await bench.replacePlugin(() => run(["systemctl", "daemon-reload"]));
  await bench.client().recoverTask(handle);
  await bench.client().execTask(running.id, ["/bin/touch", "/local/go"]);
  await running.stdout.waitFor("first\nsecond\n");
  expect(await journalOf(allocId, 2)).toEqual(["both stdout: first", "both stdout: second"]);
  const units = ["stdout", "stderr"].map((stream) => unitOf(allocId, stream));
  for (const unit of units) expect(existsSync(`/run/systemd/system/${unit}.d`)).toBe(true);
  await bench.client().destroyTask(running.id, true);
  for (const unit of units) expect(existsSync(`/run/systemd/system/${unit}.d`)).toBe(false);
  const { stdout } = await run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "nomad-log-*"]);
  expect(stdout).toBe("");
});
