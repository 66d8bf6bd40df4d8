/** Options with the names and meanings that jobs of Nomad's Docker driver use. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { busyboxImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";
import { lastExit, runJob, untilDead } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile } from "./job-file";

let nomad: Nomad;
let directory: string;
let image: string;
beforeAll(async () => {
  nomad = await startNomad();
  directory = await mkdtemp("/var/tmp/docker-options-");
  const config = { Entrypoint: ["/bin/echo", "from the image:"], Cmd: ["nothing"] };
  image = await writeImage(
    join(directory, "layout"),
    "1",
    [{ archive: await archiveOf(await busyboxImage()) }],
    config,
  );
}, 180_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
}, 120_000);

/** The output of a job with these options, at its end. */
async function output(id: string, config: Readonly<Record<string, unknown>>): Promise<string> {
  const { allocId } = await runJob(nomad.api, jobFile({ id, config: { image, network_veth: false, ...config } }));
  const state = await untilDead(nomad.api, allocId, "main");
  expect(await nomad.api.logs(allocId, "main", "stderr")).toBe("");
  expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
  return nomad.api.logs(allocId, "main");
}

test.each([
  ["args-alone", { args: ["a b", "$HOME"] }, "from the image: a b $HOME\n"],
  ["command-string", { command: "/bin/echo", args: ["c"] }, "c\n"],
  ["command-list", { command: ["/bin/echo", "c"], args: ["d"] }, "c d\n"],
  ["entrypoint-string", { entrypoint: "/bin/echo", command: "e", args: ["f"] }, "e f\n"],
  ["entrypoint-list", { entrypoint: ["/bin/echo", "g"] }, "g\n"],
])("%s", async (id, config, expected) => expect(await output(id, config)).toBe(expected), 60_000);

test("network = none has loopback only", async () => {
  const script = "ls /sys/class/net; ping -c 1 -w 5 127.0.0.1 > /dev/null && echo up; cat /etc/resolv.conf | wc -l";
  const config = { network_veth: true, network: "none", command: ["/bin/sh", "-c", script] };
  expect((await output("network-none", config)).split("\n").slice(0, 2)).toEqual(["lo", "up"]);
}, 60_000);

test("dns options and a domain of its own; a dns block takes precedence", async () => {
  const dns = { dns_servers: ["192.0.2.53"], dns_search_domains: ["x.test"], dns_options: ["ndots:2"] };
  const config = {
    image,
    hostname: "web",
    domainname: "int.test",
    entrypoint: ["/bin/cat", "/etc/resolv.conf", "/etc/hosts"],
  };
  const printed = await output("dns-options", { ...config, ...dns });
  expect(printed).toStartWith("nameserver 192.0.2.53\nsearch x.test\noptions ndots:2\n");
  expect(printed).toContain("127.0.1.1 web.int.test web\n");
  const group = 'network {\n dns {\n servers = ["192.0.2.1"]\n }\n }';
  const { allocId } = await runJob(nomad.api, jobFile({ id: "dns-block", group, config: { ...config, ...dns } }));
  await untilDead(nomad.api, allocId, "main");
  expect(await nomad.api.logs(allocId, "main")).toStartWith("nameserver 192.0.2.1\n");
}, 60_000);

test("sysctl", async () => {
  const sysctl = { "net.core.somaxconn": "1024", "kernel/shmmax": 65536 };
  const entrypoint = ["/bin/cat", "/proc/sys/net/core/somaxconn", "/proc/sys/kernel/shmmax"];
  expect(await output("sysctl", { network_veth: true, entrypoint, sysctl })).toBe("1024\n65536\n");
}, 60_000);

test("an address of the job's choice", async () => {
  const script = "until ip route | grep -q default; do sleep 0.05; done; ip -o -4 address show dev host0";
  const options = {
    network: "zone:own",
    network_veth: true,
    ipv4_address: "198.18.9.9/24",
    mac_address: "02:00:00:00:00:09",
  };
  const entrypoint = ["/bin/sh", "-c", `${script}; cat /sys/class/net/host0/address`];
  expect(await output("own-address", { ...options, entrypoint })).toMatch(
    /198\.18\.9\.9\/24[\s\S]*\n02:00:00:00:00:09\n$/,
  );
}, 60_000);

test("an ambient capability and restricted address families", async () => {
  const script = "grep CapAmb /proc/self/status; ping -c 1 127.0.0.1 2>&1 | grep -c 'not supported'";
  const options = { user: "1000", ambient_capability: ["NET_RAW"], restrict_address_families: ["AF_UNIX"] };
  const entrypoint = ["/bin/sh", "-c", script];
  expect(await output("rights", { ...options, entrypoint })).toBe("CapAmb:\t0000000000002000\n1\n");
}, 60_000);

test("a job constrains on what a client allows", async () => {
  const constraint = (name: string, value: string) =>
    `constraint {\n attribute = "$\{attr.driver.nspawn.${name}}"\n value = "${value}"\n }`;
  const group = [constraint("privileged", "false"), constraint("boot", "true"), constraint("caps", "all")].join("\n");
  const text = jobFile({ id: "constrained", group, config: { image, args: ["placed"] } });
  const { allocId } = await runJob(nomad.api, text);
  await untilDead(nomad.api, allocId, "main");
  expect(await nomad.api.logs(allocId, "main")).toBe("from the image: placed\n");
}, 60_000);

test("a CDI device", async () => {
  const devices = [
    { name: "0", containerEdits: { deviceNodes: [{ path: "/dev/vendor", hostPath: "/dev/zero" }], env: ["V=1"] } },
  ];
  await mkdir("/var/run/cdi", { recursive: true });
  const file = "/var/run/cdi/docker-options.json";
  await writeFile(file, JSON.stringify({ cdiVersion: "0.6.0", kind: "agent.test/x", devices }), { mode: 0o644 });
  const entrypoint = ["/bin/sh", "-c", "head -c 2 /dev/vendor | wc -c; echo $V"];
  expect(await output("cdi", { cdi_devices: ["agent.test/x=0"], entrypoint })).toBe("2\n1\n");
  await rm(file);
}, 60_000);

test("names of the Docker driver", async () => {
  const script = [
    "pwd; id -G; touch /x 2>/dev/null || echo read-only",
    "df -k /dev/shm | tail -n 1 | awk '{print $2}'",
    "grep CapBnd /proc/self/status; ulimit -n; cat /run/app/note; cat /proc/self/oom_score_adj; grep -c ' /scratch tmpfs ' /proc/mounts",
  ].join("\n");
  const options = {
    ...{ work_dir: "/tmp", readonly_rootfs: true, group_add: ["44", "5"], shm_size: 33554432, oom_score_adj: 7 },
    ...{ network_mode: "none", volumes: ["local:/run/app:ro"], cap_drop: ["ALL"], cap_add: ["net_bind_service"] },
    ...{ entrypoint: ["/bin/sh", "-c", script], user: "1000" },
  };
  const ulimit = 'ulimit {\n nofile = "512:512"\n }\n mount {\n type = "tmpfs"\n target = "/scratch"\n }';
  const task = 'template {\n data = "a note\\n"\n destination = "local/note"\n }';
  const text = jobFile({ id: "names", config: { image, ...options }, task });
  const { allocId } = await runJob(nomad.api, text.replace("config {", `config {\n${ulimit}`));
  const state = await untilDead(nomad.api, allocId, "main");
  expect(await nomad.api.logs(allocId, "main", "stderr")).toBe("");
  expect(await nomad.api.logs(allocId, "main")).toMatch(
    /^\/tmp\n1000 5 44\nread-only\n32768\nCapBnd:\t0000000000000400\n512\na note\n7\n1\n$/,
  );
  expect(lastExit(state)).toMatchObject({ ExitCode: 0 });
}, 60_000);
