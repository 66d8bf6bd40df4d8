import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { featuresOf } from "../../src/nspawn/features";
import { readNspawn } from "../../src/nspawn/installation";
import { run } from "../../tools/command";
import { busyboxImage, debianImage } from "../../tools/images/images";
import type { TaskState } from "./harness/api";
import { eventTexts, lastExit, runJob, untilDead, untilRunning, untilTask } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

let nomad: Nomad;
let busybox: string;
let debian: string;
beforeAll(async () => {
  nomad = await startNomad();
  busybox = await busyboxImage();
  debian = await debianImage();
}, 120_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

/** Runs a batch job to its end. */
async function finished(id: string, config: Readonly<Record<string, unknown>>, task = "") {
  const job = await runJob(nomad.api, jobFile({ id, config, task }));
  return { ...job, state: await untilDead(nomad.api, job.allocId, "main") };
}

describe("how a task ends", () => {
  test.each([
    ["exit 0", 0, false],
    ["exit 7", 7, true],
  ])("%s is reported with its code", async (script, code, failed) => {
    const { state } = await finished(`ends-${code}`, shell(busybox, script));
    expect(state.Failed).toBe(failed);
    expect(lastExit(state)).toMatchObject({ ExitCode: code, Signal: 0 });
    expect(eventTexts(state).join("\n")).toContain("Started machine main-");
  });

  test("a task that is killed with signal 9 is reported with the signal", async () => {
    const job = await runJob(nomad.api, jobFile({ id: "killed", config: shell(busybox, "echo up; sleep 1000") }));
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "up");
    await nomad.api.signalTask(job.allocId, "main", "SIGKILL");
    const state = await untilDead(nomad.api, job.allocId, "main");
    expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 9 });
    expect(state.Failed).toBe(true);
  });

  test("a command that is not in the image exits, with the reason in the log", async () => {
    const { state, allocId } = await finished("missing-command", {
      ...shell(busybox, ""),
      command: ["/bin/does-not-exist"],
    });
    expect(lastExit(state).ExitCode).toBe(1);
    expect(await nomad.api.logs(allocId, "main", "stderr")).toContain("/bin/does-not-exist");
  });
});

describe("logs", () => {
  test("stdout and stderr arrive separately and completely", async () => {
    const { allocId } = await finished("logs", shell(busybox, "seq 1 5000; echo wrong >&2"));
    const lines = (await nomad.api.logs(allocId, "main")).trim().split("\n");
    expect(lines).toHaveLength(5000);
    expect(lines.at(-1)).toBe("5000");
    expect(await nomad.api.logs(allocId, "main", "stderr")).toBe("wrong\n");
  });
});

test("with logs disabled a task runs, and its output is discarded", async () => {
  const script = "echo out; echo err >&2; ls $NOMAD_ALLOC_DIR/logs | wc -l > $NOMAD_ALLOC_DIR/count; exit 3";
  const { allocId, state } = await finished("logs-disabled", shell(busybox, script), "logs {\n disabled = true\n }");
  expect(lastExit(state)).toMatchObject({ ExitCode: 3, Signal: 0 });
  expect(await nomad.api.file(allocId, "alloc/count")).toBe("0\n");
});

describe("the environment that Nomad creates", () => {
  test("variables, the task's directories and templates exist", async () => {
    const script =
      'echo "$GREETING|$NOMAD_TASK_NAME"; cat $NOMAD_TASK_DIR/t.txt; echo kept > $NOMAD_ALLOC_DIR/out; ls -d $NOMAD_SECRETS_DIR';
    const { allocId, state } = await finished(
      "environment",
      shell(busybox, script, { environment: { GREETING: 'he said "hi" $HOME %n' } }),
      'env {\n GREETING = "overridden"\n }\n template {\n data = "from a template\\n"\n destination = "local/t.txt"\n }',
    );
    expect(lastExit(state).ExitCode).toBe(0);
    expect(await nomad.api.logs(allocId, "main")).toBe('he said "hi" $HOME %n|main\nfrom a template\n/secrets\n');
  });

  test("maps written as a block and as an attribute both parse", async () => {
    const config = `image = ${JSON.stringify(busybox)}
        boot = false
        network_veth = false
        volatile = "overlay"
        command = ["/bin/sh", "-c", "echo $A $B"]
        environment {
          A = "block"
        }`;
    const both = [config, config.replace(/environment \{[^}]*\}/, 'environment = { A = "attribute" }')];
    for (const [index, text] of both.entries()) {
      const hcl = jobFile({ id: `map-${index}`, config: {} }).replace("config {", `config {\n${text}`);
      const job = await runJob(nomad.api, hcl);
      await untilDead(nomad.api, job.allocId, "main");
      expect((await nomad.api.logs(job.allocId, "main")).trim()).toBe(index === 0 ? "block" : "attribute");
    }
  });

  test("the dns block is the container's resolv.conf", async () => {
    const job = await runJob(
      nomad.api,
      jobFile({
        id: "dns",
        config: shell(busybox, "cat /etc/resolv.conf"),
        group:
          'network {\n dns {\n servers = ["192.0.2.53"]\n searches = ["example.test"]\n options = ["ndots:2"]\n }\n }',
      }),
    );
    await untilDead(nomad.api, job.allocId, "main");
    expect(await nomad.api.logs(job.allocId, "main")).toBe(
      "nameserver 192.0.2.53\nsearch example.test\noptions ndots:2\n",
    );
  });
});

describe("stopping", () => {
  test("kill_signal is sent, and the task may exit by itself within kill_timeout", async () => {
    const script = "trap 'echo got USR1; exit 3' USR1; echo up; while :; do sleep 0.1; done";
    const hcl = jobFile({
      id: "kill-signal",
      config: shell(busybox, script),
      task: 'kill_signal = "SIGUSR1"\n kill_timeout = "20s"',
    });
    const job = await runJob(nomad.api, hcl);
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "up");
    await nomad.api.stopJob(job.id);
    const state = await untilDead(nomad.api, job.allocId, "main");
    expect(lastExit(state)).toMatchObject({ ExitCode: 3, Signal: 0 });
    expect(await nomad.api.logs(job.allocId, "main")).toContain("got USR1");
  });

  test("a task that ignores the signal is killed after kill_timeout", async () => {
    const script = "trap '' INT TERM; echo up; while :; do sleep 0.1; done";
    const hcl = jobFile({ id: "kill-timeout", config: shell(busybox, script), task: 'kill_timeout = "1s"' });
    const job = await runJob(nomad.api, hcl);
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "up");
    await nomad.api.stopJob(job.id);
    expect(lastExit(await untilDead(nomad.api, job.allocId, "main"))).toMatchObject({ Signal: 9 });
  });

  test("systemctl stop of the unit is an exit of the program's own, and Nomad restarts it by the job's policy", async () => {
    const script = "trap 'echo bye; exit 0' TERM INT; echo up; while :; do sleep 0.1; done";
    const hcl = jobFile({ id: "unit-stopped", type: "service", config: shell(busybox, script) });
    const restarts = hcl.replace(
      'attempts = 0\n      mode = "fail"',
      'attempts = 2\n      delay = "1s"\n      mode = "fail"',
    );
    const job = await runJob(nomad.api, restarts);
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "up");
    await run(["systemctl", "stop", `nomad-nspawn-main-${job.allocId}.service`]);
    const again = ({ State, Restarts }: TaskState) => State === "running" && Restarts === 1;
    const state = await untilTask(nomad.api, job.allocId, "main", again, 30_000);
    expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
    expect(await nomad.api.logs(job.allocId, "main")).toContain("bye");
    await nomad.api.stopJob(job.id);
    await untilDead(nomad.api, job.allocId, "main");
  }, 90_000);

  test("with notify_ready a booted system is up when the task is running", async () => {
    const hcl = jobFile({
      id: "ready",
      type: "service",
      config: { image: debian, network_veth: false, volatile: "overlay", notify_ready: true },
      task: 'kill_timeout = "60s"\n resources {\n memory = 512\n }',
    });
    const job = await runJob(nomad.api, hcl);
    await untilRunning(nomad.api, job.allocId, "main", 60_000);
    const said = (state: TaskState) => eventTexts(state).some((text) => text.includes("System is up ("));
    await untilTask(nomad.api, job.allocId, "main", said, 30_000);
    await nomad.api.stopJob(job.id);
    await untilDead(nomad.api, job.allocId, "main", 70_000);
  }, 150_000);

  test("a booted container is shut down cleanly", async () => {
    const hcl = jobFile({
      id: "boot",
      type: "service",
      config: { image: debian, network_veth: false, volatile: "overlay" },
      task: 'kill_timeout = "60s"\n resources {\n memory = 512\n }',
    });
    const job = await runJob(nomad.api, hcl);
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "Multi-User", "stdout", 60_000);
    await nomad.api.stopJob(job.id);
    const state = await untilDead(nomad.api, job.allocId, "main", 70_000);
    expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
  }, 150_000);
});

test("the node shows the driver's capabilities", async () => {
  const node = await nomad.api.node(nomad.nodeId, () => true);
  expect(node.Attributes).toMatchObject({
    "driver.nspawn": "1",
    "driver.nspawn.version": expect.stringMatching(/^\d{3}$/),
    "driver.nspawn.volumes": "true",
    "driver.nspawn.cgroup": expect.stringMatching(/^v[12]$/),
    "driver.nspawn.supervisor": "systemd",
    "driver.nspawn.network": expect.stringContaining("host"),
  });
});

test("a stack of mounts is a root where systemd-nspawn makes one of it, and a sentence elsewhere", async () => {
  const directory = await mkdtemp("/var/tmp/stack-");
  try {
    const image = join(directory, "web.mstack");
    await mkdir(join(directory, "top/etc"), { recursive: true });
    await writeFile(join(directory, "top/etc/mark"), "of the upper layer\n");
    await mkdir(image);
    await symlink(busybox, join(image, "layer@0"));
    await symlink(join(directory, "top"), join(image, "layer@1"));
    const config = shell(image, "cat /etc/mark", { user_namespacing: false });
    const { allocId, state } = await finished("stack", config);
    const { version = 0 } = (await readNspawn()) ?? {};
    if (!featuresOf(version).mountStacks) {
      expect(eventTexts(state).join("\n")).toContain(
        `"${image}" is a stack of mounts (systemd.mstack(7)): it needs systemd-nspawn 260, and this client has ${version}.`,
      );
      return;
    }
    expect(lastExit(state)).toMatchObject({ ExitCode: 0 });
    expect(await nomad.api.logs(allocId, "main")).toBe("of the upper layer\n");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
