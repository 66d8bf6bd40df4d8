import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { driverBinary } from "../../tools/build/project";
import { run } from "../../tools/command";
import { type Fixture, shell, useFixture } from "../protocol/fixture";
import { sentence } from "../protocol/inside";

/** A job's text becomes a value in a unit, and nothing else. */

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { allow_properties: ["SyslogIdentifier", "IOWeight", "Description"] },
);

async function up(more: Readonly<Record<string, unknown>>) {
  const task = await bench.started(shell(bench.busybox, "echo up; while :; do sleep 1; done", more));
  await task.stdout.waitFor("up");
  const { driver } = await bench.client().inspectTask(task.id);
  return { task, unit: `nomad-nspawn-${driver?.attributes["machine"]}.service` };
}

async function property(unit: string, name: string): Promise<string> {
  return (await run(["systemctl", "show", "--value", `--property=${name}`, unit])).stdout.replace(/\n$/, "");
}

/** What systemd expands in a command line (systemd.service(5)). */
const braced = ["$", "{HOME}"].join("");
const mark = `/run/unit-values-${process.pid}`;

describe("a property's value", () => {
  test.each(["100%n%%", `$HOME ${braced}`, "[Service]", "a ; b", "'x' \"y\"", "ü\u2028x", "#x", "a\\\\b"])(
    "%j is used unchanged",
    async (value) => {
      const { task, unit } = await up({ properties: { SyslogIdentifier: `x${value}`, IOWeight: "50" } });
      const shown = await property(unit, "SyslogIdentifier");
      // systemctl escapes characters that a terminal could misinterpret.
      expect(shown.replace(/\\u2028/g, "\u2028")).toBe(`x${value}`);
      expect(await property(unit, "IOWeight")).toBe("50");
      await bench.client().destroyTask(task.id, true);
    },
  );

  test.each([
    ["a line of its own", `50\nExecStartPre=/usr/bin/touch ${mark}`, "it must be one line"],
    ["a carriage return", `50\rExecStartPre=/usr/bin/touch ${mark}`, "it must be one line"],
    ["a section of its own", `50\n[Service]\nExecStartPre=/usr/bin/touch ${mark}`, "it must be one line"],
    ["the next line", "50\\", "it must not end with a backslash"],
    ["what comes after a NUL", "50\0", "it must not contain a NUL character"],
  ])("cannot inject %s", async (_name, value, clause) => {
    const task = await bench.task(shell(bench.busybox, "true", { properties: { IOWeight: value } }));
    const said = await sentence(bench.start(task));
    expect(said).toContain('Option properties["IOWeight"]');
    expect(said).toContain(clause);
    expect(existsSync(mark)).toBe(false);
  });

  test.each(["IOWeight=50\nExecStartPre", "ioweight", "IOWeight ", "[Service]", "CPUWeight", "ExecStartPre"])(
    "the name %j is not allowed",
    async (name) => {
      const task = await bench.task(shell(bench.busybox, "true", { properties: { [name]: `/usr/bin/touch ${mark}` } }));
      expect(await sentence(bench.start(task))).toMatch(/^Option properties/);
      expect(existsSync(mark)).toBe(false);
    },
  );
});

test("a command cannot become a line of the unit, whatever it contains", async () => {
  const words = ["%n", "$HOME", braced, "; /bin/touch /x", `\nExecStartPre=/usr/bin/touch ${mark}`, "--capability=all"];
  const end = await bench.finished({
    config: {
      ...shell(bench.busybox, "").config,
      command: ["/bin/sh", "-c", 'for word in "$@"; do printf "%s|" "$word"; done', "sh", ...words],
    },
  });
  expect(end.stdout).toBe(`${words.join("|")}|`);
  expect(existsSync(mark)).toBe(false);
});

test("drop-ins are readable by root only, and removed with their task", async () => {
  const { task, unit } = await up({ properties: { IOWeight: "50" } });
  const directory = `/run/systemd/system/${unit}.d`;
  expect(await readdir(directory)).toEqual(["50-nomad.conf"]);
  const { stdout } = await run(["stat", "--format=%a %U", directory, `${directory}/50-nomad.conf`]);
  expect(stdout).toBe("700 root\n644 root\n");
  await bench.client().destroyTask(task.id, true);
  expect(existsSync(directory)).toBe(false);
});

describe("the names of a task", () => {
  const fields = ["NOMAD_JOB_ID", "NOMAD_GROUP_NAME", "NOMAD_ALLOC_ID", "NOMAD_NAMESPACE", "NOMAD_NODE_NAME"] as const;
  const labels = { team: 'a "b" %n $HOME \\ é', "com.example/x": "[Service]\nExecStart=/bin/false" };

  test("are in the description of its unit, and fields of its output in the journal", async () => {
    const task = await bench.started({
      ...shell(bench.busybox, "echo out-%n; echo err >&2; while :; do sleep 1; done", {
        labels,
        log_driver: "journal",
      }),
      name: "named",
    });
    const unit = `nomad-nspawn-named-${task.config.allocId}.service`;
    expect(await property(unit, "Description")).toBe(
      `Nomad task named of job job (group group, allocation ${task.config.allocId}, namespace default)`,
    );
    await run(["systemctl", "daemon-reload"]);
    expect(await property(unit, "ActiveState")).toBe("active");
    const entries = await journalOf(unit, 2);
    expect(entries.map(({ MESSAGE }) => MESSAGE).toSorted()).toEqual(["err", "out-%n"]);
    for (const entry of entries) {
      expect(entry).toMatchObject({ SYSLOG_IDENTIFIER: "named", NOMAD_LABEL_TEAM: labels.team });
      expect(entry["NOMAD_LABEL_COM_EXAMPLE_X"]).toBe(labels["com.example/x"]);
      expect(fields.map((name) => entry[name])).toEqual(["job", "group", task.config.allocId, "default", "node"]);
    }
    const { stdout } = await run([driverBinary(), "logs", "named"]);
    expect(stdout.trim().split("\n").toSorted()).toEqual(["err", "out-%n"]);
    await bench.client().destroyTask(task.id, true);
  });
});

/** The output of a unit in the journal, once there are so many entries. */
async function journalOf(unit: string, count: number): Promise<Record<string, unknown>[]> {
  for (;;) {
    const { stdout } = await run(["journalctl", "--output=json", "_TRANSPORT=stdout", `_SYSTEMD_UNIT=${unit}`]);
    const entries = stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    if (entries.length >= count) return entries;
    await Bun.sleep(50);
  }
}
