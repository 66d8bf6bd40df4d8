import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { busyboxImage } from "../../tools/images/images";
import { eventTexts, runJob, untilDead } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

/** Jobs that attack the host, under a real agent with the driver's default options. */

let nomad: Nomad;
let busybox: string;
let scratch: string;
beforeAll(async () => {
  nomad = await startNomad();
  busybox = await busyboxImage();
  scratch = await mkdtemp("/var/tmp/hostile-");
}, 120_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
}, 120_000);

/** A task that runs to its end before the job's main one. */
function prestart(config: Readonly<Record<string, unknown>>): string {
  const options = Object.entries(config).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  return `
    task "before" {
      driver = "nspawn"
      lifecycle {
        hook = "prestart"
      }
      config {
        ${options.join("\n        ")}
      }
    }`;
}

describe("a task that replaces the log of the next one", () => {
  test.each([
    ["a symlink", (log: string, file: string) => `rm -f ${log}; ln -s ${file} ${log}`],
    ["a directory", (log: string) => `rm -f ${log}; mkdir ${log}`],
    ["a regular file", (log: string) => `rm -f ${log}; echo > ${log}`],
    ["a FIFO of its own", (log: string) => `rm -f ${log}; mkfifo ${log}; chmod 666 ${log}`],
    ["a hard link", (log: string) => `rm -f ${log}; echo > /alloc/data/f; ln /alloc/data/f ${log}`],
    ["a device", (log: string) => `rm -f ${log}; mknod ${log} c 1 1`],
    ["a symlink in place of logs", () => "mv /alloc/logs /alloc/moved; ln -s /etc /alloc/logs"],
  ] as const)(
    "does not affect the host: %s",
    async (name, script) => {
      const file = join(scratch, name.replaceAll(" ", "-"));
      await writeFile(file, "of the host\n");
      for (const more of [{}, { user_namespacing: false }]) {
        const log = "/alloc/logs/.main.stdout.fifo";
        const { allocId } = await runJob(
          nomad.api,
          jobFile({
            id: `hostile-${crypto.randomUUID().slice(0, 8)}`,
            config: shell(busybox, "echo overwritten; exit 4"),
            group: prestart(shell(busybox, `${script(log, file)}; :`, more)),
          }),
        );
        const state = await untilDead(nomad.api, allocId, "main", 60_000);
        expect(await readFile(file, "utf8")).toBe("of the host\n");
        expect(eventTexts(state).join("\n")).toContain("Exit Code: 4");
        expect(await nomad.api.logsUntil(allocId, "main", "overwritten", "stdout", 20_000)).toContain("overwritten");
      }
    },
    120_000,
  );
});

test("a job's container cannot answer in place of the agent's API", async () => {
  const { port } = new URL(nomad.api.address);
  const { allocId } = await runJob(
    nomad.api,
    jobFile({
      id: "hostile-port",
      config: { ...shell(busybox, "httpd -f -p 80 -h /"), network_veth: true, ports: ["api"] },
      group: `network {\n port "api" {\n static = ${port}\n to = 80\n }\n }`,
    }),
  );
  const state = await untilDead(nomad.api, allocId, "main", 60_000);
  expect(eventTexts(state).join("\n")).toMatch(
    new RegExp(`The port ${port} \\("api"\\) cannot be forwarded to the container: the program "nomad" \\(PID`),
  );
}, 120_000);
