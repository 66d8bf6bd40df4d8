import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { busyboxImage } from "../../tools/images/images";
import { eventTexts, type RunningJob, runJob, untilDead } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

let nomad: Nomad;
let busybox: string;
beforeAll(async () => {
  nomad = await startNomad({
    pluginConfig: { allow_caps: ["CAP_NET_ADMIN"], allow_privileged_binds: false },
  });
  busybox = await busyboxImage();
}, 120_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

/** A change of a valid config, and a part of the error that `nomad alloc status` must show. */
const cases: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ image: "/does/not/exist" }, "/does/not/exist"],
  [{ image: "no-such-image" }, 'image "no-such-image"'],
  [{ image: "/" }, "image"],
  [{ image: "/etc/hostname/x" }, "image"],
  [{ image: "registry.example/name:tag" }, "registry.example/name:tag"],
  [{ boot: true, process_two: true }, "process_two"],
  [{ boot: true, image: "/usr/share" }, "operating system"],
  [{ volatile: "maybe" }, "volatile"],
  [{ volatile: "yes", private_users_ownership: "chown" }, "chown"],
  [{ volatile: "no", read_only: true, private_users_ownership: "chown" }, "chown"],
  [{ private_users: "somebody" }, "private_users"],
  [{ private_users_ownership: "mine" }, "private_users_ownership"],
  [{ user_namespacing: false, private_users: "pick" }, "user_namespacing"],
  [{ console: "loud" }, "console"],
  [{ resolv_conf: "magic" }, "resolv_conf"],
  [{ working_directory: "tmp" }, "working_directory"],
  [{ pivot_root: "relative" }, "pivot_root"],
  [{ capability: ["CAP_NOPE"] }, "CAP_NOPE"],
  [{ capability: ["CAP_SYS_ADMIN"] }, "CAP_SYS_ADMIN"],
  [{ cap_add: ["SYS_ADMIN"] }, "Option cap_add asks for"],
  [{ volumes: ["/etc:/host-etc"] }, "bind (of volumes)"],
  [{ bind: { "/etc": "/host-etc" } }, "allow_privileged_binds"],
  [{ bind: { "../../..": "/up" } }, "task directory"],
  [{ bind: { "local/missing": "/x" } }, "does not exist"],
  [{ bind_read_only: { local: "relative" } }, "bind_read_only"],
  [{ environment: { "A=B": "x" } }, "A=B"],
  [{ hostname: "not a name" }, "hostname"],
  [{ user: "no such\nuser" }, "user"],
  [{ ports: ["http"] }, "ports"],
  [{ port_map: { http: 80 } }, "port_map"],
  [{ network_zone: "a-name-that-is-too-long", network_veth: true }, "network_zone"],
  [{ network_bridge: "br/0" }, "network_bridge"],
  [{ network_bridge: "l*" }, "network_bridge"],
  [{ network_bridge: 'lo"drop;#' }, "network_bridge"],
  [{ network_bridge: "lo" }, "network_bridge"],
  [{ network_bridge: "br0", network_zone: "zone" }, "network_zone"],
  [{ devices: ["null"] }, "devices"],
  [{ rlimits: { nofile: "many" } }, "rlimits"],
  [{ oom_score_adjust: 5000 }, "oom_score_adjust"],
  [{ properties: { MemoryHigh: "1G" } }, "MemoryHigh"],
  [{ tmpfs: ["relative"] }, "tmpfs"],
  [{ overlay: ["/only-one"] }, "overlay"],
  [{ system_call_filter: ["not a call"] }, "system_call_filter"],
  [{ privileged: true }, "allow_privileged"],
  [{ sysctl: { "kernel.panic": "1" } }, "kernel.panic"],
  [{ network: "macvlan:eth0", network_veth: true }, "network.interfaces"],
  [{ ipv4_address: "192.0.2.9/24" }, "ipv4_address"],
  [{ restrict_address_families: ["AF_X"] }, "restrict_address_families"],
  [{ imagee: "x" }, "imagee"],
  [{ boot: "perhaps" }, "boot"],
  [{ command: [["nested"]] }, "command"],
];

type Change = (typeof cases)[number][0];

/** Little enough that the node has room for all of them. */
const resources = "resources {\n cpu = 10\n memory = 16\n }";

async function submitted(change: Change): Promise<RunningJob> {
  const id = `bad-${Bun.hash(JSON.stringify(change)).toString(36)}`;
  const config = { ...shell(busybox, "echo started"), ...change };
  return runJob(nomad.api, jobFile({ id, config, task: resources }));
}

/** Submitted together, because Nomad takes seconds for each. */
let jobs: ReadonlyMap<Change, Promise<RunningJob>>;
beforeAll(async () => {
  jobs = new Map(cases.map(([change]) => [change, submitted(change)]));
  await Promise.allSettled(jobs.values());
}, 120_000);

test.each(cases)("%j fails with its error, and nothing is started", async (change, part) => {
  const job = await jobs.get(change);
  if (job === undefined) throw new Error("The job was not submitted.");
  const state = await untilDead(nomad.api, job.allocId, "main");
  const events = eventTexts(state).join("\n");
  expect(state.Failed).toBe(true);
  expect(events).toContain(part);
  expect(events).not.toContain("Started");
  expect(await nomad.api.logs(job.allocId, "main").catch(() => "")).toBe("");
});

test("afterwards nothing of a container exists", async () => {
  const names = await readdir("/run/systemd/nspawn").catch(() => []);
  // Each container of the driver's has a settings file there.
  expect(names.filter((name) => name.endsWith(".nspawn"))).toEqual([]);
  const files = await readdir("/run/nomad-driver-nspawn/files").catch(() => []);
  expect(files).toEqual([]);
});
