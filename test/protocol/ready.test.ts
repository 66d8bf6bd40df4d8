/** Starts that wait until the container reports that it is ready. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { debianImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { watchEvents } from "../support/event-watch";
import { megabytes } from "../support/task";
import { type Fixture, failure, openFixture } from "./fixture";

let before: HostState;
let bench: Fixture;
let image: string;
beforeAll(async () => {
  before = await hostState();
  bench = await openFixture();
  image = await debianImage();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  expect(await leftovers(before)).toEqual([]);
}, 60_000);

/** A task on the Debian image whose start waits; with `units`, its systemd starts them too. */
async function waiting(more: Readonly<Record<string, unknown>>, units: Readonly<Record<string, string>> = {}) {
  const bind: Record<string, string> = {};
  for (const [name, text] of Object.entries(units)) {
    const file = join(bench.scratch, `${crypto.randomUUID()}.service`);
    await writeFile(file, text, { mode: 0o644 });
    bind[file] = `/etc/systemd/system/${name}`;
  }
  const config = { image, network_veth: false, volatile: "overlay", notify_ready: true, bind_read_only: bind, ...more };
  return bench.task({ config, resources: megabytes(512) });
}

const wants = (unit: string) => ({ command: [`systemd.wants=${unit}`] });
const once = (program: string) => `[Service]\nType=oneshot\nExecStart=${program}\n`;

test("a booted system is up when the start returns, and an event names the units that failed", async () => {
  await using events = watchEvents(bench.client());
  const task = await waiting(wants("broken.service"), { "broken.service": once("/bin/false") });
  await bench.start(task);
  await events.waitFor(/System is up \(degraded: .*broken\.service/, 60_000);
  await bench.client().stopTask(task.id, { timeout: 60_000 });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
}, 150_000);

test("a system that is not up in time fails the start with the units that are missing, and nothing of it is left", async () => {
  await using events = watchEvents(bench.client());
  const task = await waiting(
    { ...wants("slow.service"), ready_timeout: "15s" },
    { "slow.service": once("/bin/sleep 1000") },
  );
  const problem = await failure(bench.start(task));
  expect(problem).toMatch(/The system in container task-\S+ was not up within 15 s \(option ready_timeout\)/);
  expect(problem).toContain("its systemd was still starting slow.service");
  expect(events.text()).toContain("The start waits for the system in the container to be up");
  expect(await failure(bench.client().inspectTask(task.id))).toContain("task not found");
}, 150_000);

test("a system that powers off before it is up has ended, as without notify_ready", async () => {
  const task = await waiting({ command: ["systemd.unit=poweroff.target"] });
  await bench.start(task);
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
}, 150_000);

const REPORTS = `
  use Socket;
  socket(S, AF_UNIX, SOCK_DGRAM, 0) or die;
  sub report { send(S, shift, 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die "$!" }
  report("STATUS=Loading");
  open(my $asked, ">", "/local/asked"); close($asked);
  select(undef, undef, undef, 0.05) until -e "/local/go";
  report("READY=1");
  sleep 1000;
`;

test("a command is running when it reports that it is ready", async () => {
  const task = await waiting({ boot: false, user_namespacing: false, command: ["/usr/bin/perl", "-e", REPORTS] });
  let returned = false;
  const start = bench.start(task).then(() => {
    returned = true;
  });
  const asked = () => existsSync(join(task.dirs.local, "asked"));
  expect(await becomesTrue(asked, { firstMs: 5, longestMs: 50, timeoutMs: 20_000 })).toBe(true);
  await Bun.sleep(100);
  expect(returned).toBe(false);
  await writeFile(join(task.dirs.local, "go"), "");
  await start;
  await bench.client().destroyTask(task.id, true);
}, 60_000);

test("a command that never reports fails the start", async () => {
  const task = await waiting({ boot: false, ready_timeout: "1s", command: ["/bin/sleep", "1000"] });
  expect(await failure(bench.start(task))).toContain(
    "did not report within 1 s (option ready_timeout) that it is ready",
  );
}, 60_000);
