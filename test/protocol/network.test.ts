import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ResourcesSchema, TaskHandle } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { driverBinary } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { watchEvents } from "../support/event-watch";
import { addNeighbour, type Neighbour, neighbourAddresses, ownAddresses } from "../support/neighbour";
import type { PreparedTask } from "../support/task";
import { pour, watchText } from "../support/text-watch";
import { type Fixture, openFixture, shell, useFixture } from "./fixture";
import { runTask } from "./host-paths";
import { sentence } from "./inside";

let neighbour: Neighbour;
beforeAll(async () => {
  neighbour = await addNeighbour();
});
let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});
afterAll(() => neighbour[Symbol.asyncDispose]());

/** A web server that shows its own name. */
const servers = (name: string) =>
  [
    `mkdir -p /tmp/www; echo "${name}" > /tmp/www/index.html`,
    "httpd -p [::]:80 -h /tmp/www",
    "echo up; while :; do sleep 1; done",
  ].join("; ");

const ports = (
  ...list: readonly (readonly [value: number, to: number, hostIp: string])[]
): MessageInitShape<typeof ResourcesSchema> => ({
  ports: list.map(([value, to, hostIp], index) => ({ label: `port${index}`, value, to, hostIp })),
});

async function serving(name: string, config: Readonly<Record<string, unknown>>, resources = ports()) {
  const spec = shell(bench.busybox, servers(name), { network_veth: true, ...config });
  const task = await bench.task({ ...spec, resources });
  const handle = await bench.start(task);
  await task.stdout.waitFor("up\n");
  const { networkOverride } = await bench.client().inspectTask(task.id);
  return { task, handle, override: networkOverride };
}

/** Fetches a page, or returns the error; ignores the machine's proxies. */
const get = `
  fetch(process.argv[1], { signal: AbortSignal.timeout(5000) })
    .then((answer) => answer.text(), (error) => String(error.name === "TimeoutError" ? error.name : error.code))
    .then((text) => process.stdout.write(text.trim()));
`;
const fetched = async (
  run: (argv: readonly string[]) => Promise<{ stdout: string; stderr: string }>,
  address: string,
  port: number,
) => {
  const url = `http://${address.includes(":") ? `[${address}]` : address}:${port}/`;
  const { stdout, stderr } = await run(["env", "--ignore-environment", process.execPath, "-e", get, url]);
  return `${stdout}${stderr}`.trim();
};
const here = (argv: readonly string[]) => attempt(argv);
const there = (argv: readonly string[]) => neighbour.run(argv);
/** Sends a datagram and prints the answer. */
const datagram = `
  const socket = require("node:dgram").createSocket(process.argv[1].includes(":") ? "udp6" : "udp4");
  socket.on("message", (answer) => { process.stdout.write(answer); socket.close(); });
  socket.send("x", Number(process.argv[2]), process.argv[1]);
  setTimeout(() => process.exit(1), 3000).unref();
`;
const answering = `
  const socket = require("node:dgram").createSocket("udp6");
  socket.on("message", (_, { port, address }) => socket.send(process.argv[1], port, address));
  socket.bind(Number(process.argv[2]), "::", () => console.log("up"));
`;
/** A server in a container's network that answers datagrams with a name. */
async function answerDatagrams(task: PreparedTask, name: string, port: number): Promise<() => Promise<number>> {
  const { driver } = await bench.client().inspectTask(task.id);
  const target = await leader(Number(driver?.attributes["pid"]));
  const argv = ["nsenter", "--net", `--target=${target}`, process.execPath, "-e", answering, name, String(port)];
  const child = Bun.spawn(argv, { env: {}, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  await child.stdout.getReader().read();
  return () => {
    child.kill();
    return child.exited;
  };
}
const udp = (address: string, port: number) => [process.execPath, "-e", datagram, address, String(port)];

const rules = async () => (await run(["nft", "list", "ruleset"])).stdout;
/** Does something that removes the driver's rules, and waits until they are restored. */
async function inForceAgain(lose: () => Promise<unknown>): Promise<void> {
  await lose();
  while (!(await rules()).includes("table inet nomad-nspawn")) await Bun.sleep(5);
}
const links = async () => (await readdir("/sys/class/net")).toSorted();

async function addressesOf(task: PreparedTask) {
  const { driver, networkOverride } = await bench.client().inspectTask(task.id);
  const pid = Number(driver?.attributes["pid"]);
  const { stdout } = await run([
    "nsenter",
    "--net",
    `--target=${await leader(pid)}`,
    "ip",
    "-brief",
    "address",
    "show",
    "dev",
    "host0",
  ]);
  const [v4 = "", v6 = ""] = [/\b(\d+\.\d+\.\d+\.\d+)\//.exec(stdout)?.[1], /\b(fd[0-9a-f:]+)\//.exec(stdout)?.[1]];
  return { v4, v6, addr: networkOverride?.addr };
}

async function leader(nspawn: number): Promise<number> {
  const children = await readFile(`/proc/${nspawn}/task/${nspawn}/children`, "utf8");
  return Number.parseInt(children, 10);
}

describe("a private network", () => {
  test("has addresses of both families before the command runs, and reports them to Nomad", async () => {
    const task = await bench.task(
      shell(bench.busybox, "ip -o address show dev host0; ip route; ip -6 route; cat /etc/resolv.conf; sleep 1000", {
        network_veth: true,
      }),
    );
    const { networkOverride } = await bench.client().startTask(task.config);
    await task.stdout.waitFor("default");
    const { v4, v6, addr } = await addressesOf(task);
    expect(v4).toMatch(/^10\.213\./);
    expect(v6).toMatch(/^fd/);
    expect(addr).toBe(v4);
    expect(networkOverride).toMatchObject({ addr: v4, portMap: {}, autoAdvertise: false });
    const text = task.stdout.text();
    expect(text).toContain(`${v4}/30`);
    expect(text).toContain(`${v6}/64`);
    expect(text).toMatch(/default via 10\.213\.[\d.]+ dev host0/);
    await bench.client().destroyTask(task.id, true);
  });

  test("answers DHCP requests of its own container only", async () => {
    // udhcpc passes its lease to a program; what the program does with it does not matter here.
    const script = `
      printf '#!/bin/sh\\n[ "$1" = bound ] && echo "$ip/$mask by $router of $serverid for $lease"\\nexit 0\\n' > /tmp/on-lease
      chmod +x /tmp/on-lease; udhcpc -f -q -n -i host0 -s /tmp/on-lease 2>/dev/null; ip -o -4 address show dev host0`;
    const end = await bench.finished(shell(bench.busybox, script, { network_veth: true, tmpfs: ["/tmp"] }));
    const [, ip = ""] = /inet ([\d.]+)\/30/.exec(end.stdout) ?? [];
    const router = ip.replace(/\d+$/, (last) => String(Number(last) - 1));
    expect(end.stdout).toContain(`${ip}/30 by ${router} of ${router} for 4294967295`);
  });

  test("reaches other hosts, from the client's address", async () => {
    const script = `ping -c 1 -W 5 ${neighbourAddresses[4]} && ping -c 1 -W 5 ${neighbourAddresses[6]} && echo both`;
    const end = await bench.finished(shell(bench.busybox, script, { network_veth: true }));
    expect(end.stdout).toContain("both\n");
  });

  test("lets users other than root listen on low ports, and ping", async () => {
    const config = { image: await debianImage(), boot: false, volatile: "overlay", network_veth: true, user: "daemon" };
    const script =
      'use Socket; my $t; socket($t, AF_INET, SOCK_STREAM, 6) && bind($t, sockaddr_in(80, INADDR_ANY)) or die "port: $!"; print "port "; socket(my $s, AF_INET, SOCK_DGRAM, 1) or die "ping: $!"; print "ping"';
    // The rights come with the link, which a program that begins at once may be ahead of.
    const wait = `until ip -o address show dev host0 scope global | grep -q inet; do sleep 0.05; done; exec perl -e '${script}'`;
    const end = await bench.finished({ config: { ...config, command: ["/bin/sh", "-c", wait] } });
    expect(end).toMatchObject({ code: 0, stdout: "port ping", stderr: "" });
  }, 60_000);

  test("can be reached by this host, and by other containers", async () => {
    const { task } = await serving("alone", {});
    const { v4, v6 } = await addressesOf(task);
    expect(await fetched(here, v4, 80)).toBe("alone");
    expect(await fetched(here, v6, 80)).toBe("alone");
    const end = await bench.finished(
      shell(bench.busybox, `wget -q -O - http://${v4}/; wget -q -O - http://[${v6}]/`, { network_veth: true }),
    );
    expect(end.stdout).toBe("alone\nalone\n");
    await bench.client().destroyTask(task.id, true);
  });

  test("leaves nothing: no rule, no link", async () => {
    const [rulesBefore, linksBefore] = [await rules(), await links()];
    const { task } = await serving("gone", { ports: ["port0"] }, ports([20_001, 80, "0.0.0.0"]));
    expect(await rules()).not.toBe(rulesBefore);
    await bench.client().destroyTask(task.id, true);
    expect(await rules()).toBe(rulesBefore);
    expect(await links()).toEqual(linksBefore);
  });
});

describe("ports", () => {
  let task: PreparedTask;
  let handle: TaskHandle;
  let stopAnswering: () => Promise<number>;
  beforeAll(async () => {
    const open = ports(
      [20_010, 80, "0.0.0.0"],
      [20_011, 80, ownAddresses[4]],
      [20_012, 80, ownAddresses[6]],
      [20_013, 53, ""],
    );
    const started = await serving("ported", { ports: ["port0", "port1", "port2", "port3"] }, open);
    ({ task, handle } = started);
    stopAnswering = await answerDatagrams(task, "ported", 53);
    expect(started.override).toMatchObject({ portMap: { port0: 80, port1: 80, port2: 80, port3: 53 } });
  });
  afterAll(async () => {
    await stopAnswering();
    await bench.client().destroyTask(task.id, true);
  });

  const open: readonly (readonly [from: string, address: string, port: number])[] = [
    ["another host", ownAddresses[4], 20_010],
    ["another host", ownAddresses[6], 20_010],
    ["another host", ownAddresses[4], 20_011],
    ["another host", ownAddresses[6], 20_012],
    ["this host", ownAddresses[4], 20_010],
    ["this host", ownAddresses[6], 20_010],
    ["this host", ownAddresses[4], 20_011],
    ["this host", ownAddresses[6], 20_012],
    ["this host", "127.0.0.1", 20_010],
    ["this host", "127.0.0.1", 20_011],
    ["this host", "::1", 20_010],
    ["this host", "::1", 20_011],
  ];
  const closed: typeof open = [
    ["another host", ownAddresses[6], 20_011],
    ["another host", ownAddresses[4], 20_012],
    ["another host", ownAddresses[4], 80],
  ];
  const from = (name: string) => (name === "this host" ? here : there);

  const flush = () => run(["nft", "flush", "ruleset"]);
  const recover = async (between?: () => Promise<unknown>) => {
    await bench.replacePlugin(between);
    await bench.client().recoverTask(handle);
  };
  const befallen: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["at first", () => Promise.resolve()],
    ["after all rules of the host were flushed", () => inForceAgain(flush)],
    ["after they were flushed many times", () => inForceAgain(() => Promise.all(Array.from({ length: 20 }, flush)))],
    ["after a kill -9 of the plugin", () => recover()],
    ["after they were flushed while there was no plugin", () => recover(flush)],
    ["after they were flushed since then", () => inForceAgain(flush)],
  ];

  describe.each(befallen)("%s", (_, befall) => {
    beforeAll(async () => {
      await befall();
    });

    test.each(open)("%s reaches %s at %d", async (name, address, port) => {
      expect(await fetched(from(name), address, port)).toBe("ported");
    });

    test.each(closed)("%s does not reach %s at %d", async (name, address, port) => {
      expect(await fetched(from(name), address, port)).toMatch(/ECONNREFUSED|ConnectionRefused|TimeoutError/);
    });

    test.each([
      ["another host", ownAddresses[4]],
      ["another host", ownAddresses[6]],
      ["this host", "127.0.0.1"],
      ["this host", "::1"],
      ["this host", ownAddresses[4]],
    ])("%s reaches %s by UDP", async (name, address) => {
      expect((await from(name)(udp(address, 20_013))).stdout).toBe("ported");
    });

    test("the container and others reach it by the host's address", async () => {
      const script = `wget -q -O - http://${ownAddresses[4]}:20010/`;
      expect((await bench.finished(shell(bench.busybox, script, { network_veth: true }))).stdout).toBe("ported\n");
      const { stdout } = await bench.client().execTask(task.id, ["/bin/sh", "-c", script], 10_000);
      expect(Buffer.from(stdout).toString()).toBe("ported\n");
    });
  });

  test("are not forwarded to an address that the container may not use", async () => {
    const execute = (script: string) => bench.client().execTask(task.id, ["/bin/sh", "-c", script]);
    const before = await rules();
    // That of another machine behind another link, and the host's own.
    for (const address of [neighbourAddresses[4], ownAddresses[4]]) {
      await execute(`ip address add ${address}/32 dev host0`);
      await Bun.sleep(300);
      expect(await rules()).toBe(before);
    }
    expect((await bench.client().inspectTask(task.id)).networkOverride?.addr).toMatch(/^10\.213\./);
    await execute(
      `ip address del ${neighbourAddresses[4]}/32 dev host0; ip address del ${ownAddresses[4]}/32 dev host0`,
    );
  });

  test("loopback addresses cannot be reached from containers or other hosts", async () => {
    await there(["ip", "route", "add", "127.0.0.1", "via", ownAddresses[4]]);
    expect(await fetched(there, "127.0.0.1", 20_010)).toMatch(/ECONNREFUSED|ConnectionRefused|TimeoutError/);
    using own = Bun.serve({ hostname: "::1", port: 0, fetch: () => new Response("the host's own") });
    expect(await fetched(here, "::1", Number(own.port))).toBe("the host's own");
    const script = `
      ip -6 route del local ::1 dev lo table local
      ip -6 route add ::1 via $(ip -6 route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')
      ip -6 route get ::1 >&2
      wget -T 3 -O - http://[::1]:${own.port}/`;
    const { stdout, stderr } = await bench.client().execTask(task.id, ["/bin/sh", "-c", script], 10_000);
    expect(Buffer.from(stderr).toString()).toMatch(/^::1 .*dev host0/m);
    expect(Buffer.from(stdout).toString()).toBe("");
  });
});

describe("a firewall that drops forwarded packets", () => {
  const accept = (link: string) => [
    ["iptables", "-I", "FORWARD", "-i", link, "-j", "ACCEPT"],
    ["iptables", "-I", "FORWARD", "-o", link, "-j", "ACCEPT"],
  ];
  const nftChain = ["inet", "strict", "forward"];
  const firewalls: readonly (readonly [string, string[][], string[][], string[][]])[] = [
    [
      "of iptables",
      [["iptables", "-P", "FORWARD", "DROP"]],
      accept("ve-+"),
      [["nft", "delete", "table", "ip", "filter"]],
    ],
    [
      "of nftables",
      [
        ["nft", "add", "table", "inet", "strict"],
        ["nft", "add", "chain", ...nftChain, "{ type filter hook forward priority 0; policy drop; }"],
      ],
      [
        ["nft", "insert", "rule", ...nftChain, "iifname", "ve-*", "accept"],
        ["nft", "insert", "rule", ...nftChain, "oifname", "ve-*", "accept"],
      ],
      [["nft", "delete", "table", "inet", "strict"]],
    ],
  ];

  test.each(firewalls)(
    "a task event of the next start reports %s, with the commands that open it, until they were used",
    async (_, close, open, remove) => {
      const start = async () => {
        await using events = watchEvents(bench.client());
        const task = await bench.started(shell(bench.busybox, "sleep 1000", { network_veth: true }));
        // The last event of a start without a problem.
        await events.waitFor("Started machine");
        await Bun.sleep(300);
        await bench.client().destroyTask(task.id, true);
        return events.text();
      };
      try {
        for (const command of close) await run(command);
        await bench.replacePlugin();
        const text = (await start()).replaceAll('"', "");
        for (const command of open) expect(text).toContain(command.join(" "));
        for (const command of open) await run(command);
        await bench.replacePlugin();
        expect(await start()).not.toContain("drops forwarded packets");
      } finally {
        for (const command of remove) await attempt(command);
      }
    },
  );

  test.each(firewalls)(
    "doctor reports %s, with the commands that open it, and the driver does not change it",
    async (_, close, open, remove) => {
      const { task, handle } = await serving("behind", { ports: ["port0"] }, ports([20_050, 80, ""]));
      const theirs = async () => (await rules()).replace(/table inet nomad-nspawn \{.*?\n\}\n/s, "");
      try {
        for (const command of close) await run(command);
        const before = await theirs();
        const advice = (await attempt([driverBinary(), "doctor"])).stdout.replaceAll('"', "").replaceAll(/\s+/g, " ");
        for (const command of open) expect(advice).toContain(command.join(" "));
        expect(await fetched(here, "127.0.0.1", 20_050)).toBe("behind");
        expect(await fetched(there, ownAddresses[4], 20_050)).toMatch(/TimeoutError/);
        await bench.replacePlugin();
        await bench.client().recoverTask(handle);
        expect(await theirs()).toBe(before);
        for (const command of open) await run(command);
        expect(await fetched(there, ownAddresses[4], 20_050)).toBe("behind");
      } finally {
        for (const command of remove) await attempt(command);
        await bench.client().destroyTask(task.id, true);
      }
    },
  );
});

test("a long-lived UDP flow is redirected to the container that now owns the port", async () => {
  const resources = ports([20_040, 53, ""]);
  const sleeping = shell(bench.busybox, "sleep 1000", { network_veth: true, ports: ["port0"] });
  const sender = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (answer) => process.stdout.write(answer + "\\n"));
    socket.bind(30_000, () => setInterval(() => socket.send("x", 20_040, "${ownAddresses[4]}", () => {}), 20));
  `;
  const argv = ["ip", "netns", "exec", neighbour.name, process.execPath, "-e", sender];
  const child = Bun.spawn(argv, { env: {}, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const answers = watchText();
  const poured = pour(child.stdout, answers);
  try {
    for (const name of ["first", "second"]) {
      const task = await bench.task({ ...sleeping, resources });
      await bench.start(task);
      const stop = await answerDatagrams(task, name, 53);
      await answers.waitFor(`${name}\n`);
      await stop();
      await bench.client().destroyTask(task.id, true);
    }
  } finally {
    child.kill();
    await child.exited;
    await poured;
  }
});

test("a port with an ambiguous label is refused, and the error names it", async () => {
  const task = await bench.task({
    ...shell(bench.busybox, "true", { network_veth: true, ports: ["web"] }),
    resources: ports([20_001, 80, ""]),
  });
  expect(await sentence(bench.client().startTask(task.config))).toBe(
    `Option ports names the port "web", which the group's network block does not define: its ports are "port0".`,
  );
});

const bridgeFilter = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
let filteredBefore: string | undefined;
beforeAll(async () => {
  filteredBefore = await readFile(bridgeFilter, "utf8").catch(() => undefined);
});
afterAll(async () => {
  if (filteredBefore !== undefined) await writeFile(bridgeFilter, filteredBefore);
});
/** Whether bridges are filtered afterwards: not every kernel supports it. */
async function filterBridges(on: boolean): Promise<boolean> {
  if (!existsSync(bridgeFilter)) return false;
  await writeFile(bridgeFilter, on ? "1" : "0");
  return on;
}

describe.each([false, true])("a zone, where bridges are filtered: %p", (wanted) => {
  test("its containers reach each other, and the bridge is removed with the last of them", async () => {
    // Answers to ::1 do not pass such a bridge: connections of this host are rejected at once instead.
    const filtered = await filterBridges(wanted);
    const before = await links();
    const one = await serving("one", { network_zone: "test", ports: ["port0"] }, ports([20_020, 80, ""]));
    const two = await serving("two", { network_zone: "test" });
    const [first, second] = [await addressesOf(one.task), await addressesOf(two.task)];
    expect(first.v4.replace(/\.\d+$/, "")).toBe(second.v4.replace(/\.\d+$/, ""));
    for (const address of [second.v4, `[${second.v6}]`]) {
      const { stdout } = await bench
        .client()
        .execTask(one.task.id, ["wget", "-q", "-O", "-", `http://${address}/`], 10_000);
      expect(Buffer.from(stdout).toString()).toBe("two\n");
    }
    // Through the host's address the answer has to take the same way back.
    const byHost = await bench
      .client()
      .execTask(two.task.id, ["wget", "-q", "-O", "-", `http://${ownAddresses[4]}:20020/`], 10_000);
    expect(Buffer.from(byHost.stdout).toString()).toBe("one\n");
    expect(await fetched(there, ownAddresses[4], 20_020)).toBe("one");
    expect(await fetched(here, "127.0.0.1", 20_020)).toBe("one");
    expect(await fetched(here, "::1", 20_020)).toMatch(filtered ? /ECONNREFUSED|ConnectionRefused/ : /^one$/);
    for (const { task } of [one, two]) await bench.client().destroyTask(task.id, true);
    expect(await links()).toEqual(before);
  });
});

describe("a bridge of the host", () => {
  beforeAll(() => filterBridges(false));
  test("is the operator's network: the container requests addresses from it, and its ports are forwarded to them", async () => {
    await run(["ip", "link", "add", "br-test", "type", "bridge"]);
    try {
      await run(["ip", "address", "add", "198.51.100.1/24", "dev", "br-test"]);
      await run(["ip", "address", "add", "fd97::1/64", "dev", "br-test", "nodad"]);
      await run(["ip", "link", "set", "br-test", "up"]);
      // Its addresses are assigned after the start, as by a DHCP server.
      const script = `echo 0 > /proc/sys/net/ipv6/conf/host0/accept_dad; sleep 0.3; ip address add 198.51.100.7/24 dev host0; ip address add fd97::7/64 dev host0; ip route add default via 198.51.100.1; ${servers("bridged")}`;
      const spec = shell(bench.busybox, script, { network_bridge: "br-test", ports: ["port0"] });
      const task = await bench.task({ ...spec, resources: ports([20_030, 80, ""]) });
      const { networkOverride } = await bench.client().startTask(task.config);
      expect(networkOverride).toMatchObject({ addr: "198.51.100.7", portMap: { port0: 80 }, autoAdvertise: true });
      await task.stdout.waitFor("up\n");
      expect(await fetched(here, "198.51.100.7", 80)).toBe("bridged");
      expect(await fetched(there, ownAddresses[4], 20_030)).toBe("bridged");
      expect(await fetched(here, "127.0.0.1", 20_030)).toBe("bridged");
      const loopback = async () => (await run(["ip", "-6", "route", "show", "table", "local"])).stdout;
      expect(await fetched(here, "::1", 20_030)).toBe("bridged");
      expect(await loopback()).toContain("local ::1 dev br-test");
      await bench.client().destroyTask(task.id, true);
      expect(await loopback()).not.toContain("local ::1 dev br-test");
    } finally {
      await run(["ip", "link", "delete", "br-test"]);
    }
  });
});

describe("network_bridge", () => {
  const start = async (name: string, from: Fixture = bench) =>
    sentence(from.start(await from.task(shell(from.busybox, "sleep 1000", { network_bridge: name }))));

  test("accepts only bridges, and nothing is left of the refused start", async () => {
    const before = await links();
    await run(["ip", "link", "add", "veth-one", "type", "veth", "peer", "name", "veth-two"]);
    try {
      expect(await start("lo")).toContain(
        'network_bridge = "lo" names a network interface of this client that is not a bridge',
      );
      expect(await start("veth-one")).toContain('that is not a bridge but of the kind "veth"');
      expect(await start("br-none")).toContain('"br-none" names a bridge that this client does not have');
    } finally {
      await run(["ip", "link", "delete", "veth-one"]);
    }
    expect(await links()).toEqual(before);
  });

  test.each(["l*", 'lo"drop;#', "br0\n", "br0 ", '"', "a;b", "br{", "../lo", "$a", "brücke"])(
    "refuses text that would change rules: %j",
    async (name) => {
      expect(await start(name)).toContain("Option network_bridge = ");
    },
  );

  test("accepts only bridges that the operator allows", async () => {
    await using strict = await openFixture({ network: { bridges: ["br-yes"] }, allow_host_network: false });
    for (const name of ["br-yes", "br-no"]) await run(["ip", "link", "add", name, "type", "bridge"]);
    try {
      expect(await start("br-no", strict)).toContain(
        'network_bridge asks for "br-no", which this client does not allow: network.bridges of the plugin\'s config allows "br-yes".',
      );
      expect(await start("br-yes", strict)).toBe("");
      const onHost = await strict.task(shell(strict.busybox, "true"));
      expect(await sentence(strict.start(onHost))).toContain("allow_host_network = false");
    } finally {
      for (const name of ["br-yes", "br-no"]) await run(["ip", "link", "delete", name]);
    }
  });
});

describe("a port on which a program of the host listens", () => {
  const listening: readonly (readonly [string, "tcp" | "udp", string])[] = [
    ["0.0.0.0", "tcp", ""],
    ["::", "tcp", ""],
    ["127.0.0.1", "tcp", ""],
    ["::1", "tcp", ""],
    [ownAddresses[4], "tcp", ""],
    [ownAddresses[6], "tcp", ""],
    ["127.0.0.1", "tcp", ownAddresses[4]],
    [ownAddresses[4], "tcp", ownAddresses[4]],
    ["0.0.0.0", "udp", ""],
    ["::1", "udp", ""],
    [ownAddresses[4], "udp", ownAddresses[4]],
  ];
  const script = `
    const [protocol, host] = process.argv.slice(1);
    if (protocol === "tcp") require("node:net").createServer((socket) => socket.end("host")).listen(20060, host, () => console.log("up"));
    else require("node:dgram").createSocket(host.includes(":") ? "udp6" : "udp4").bind(20060, host, () => console.log("up"));
  `;
  const start = async (hostIp: string) => {
    const spec = shell(bench.busybox, servers("container"), { network_veth: true, ports: ["port0"] });
    const task = await bench.task({ ...spec, resources: ports([20_060, 80, hostIp]) });
    let handle: TaskHandle | undefined;
    const problem = await sentence(
      (async () => {
        handle = await bench.start(task);
      })(),
    );
    return { task, handle, problem };
  };

  test.each(listening)("%s by %s is refused, bound to %j", async (host, protocol, hostIp) => {
    const child = Bun.spawn([process.execPath, "-e", script, protocol, host], { stdout: "pipe", stderr: "inherit" });
    try {
      await child.stdout.getReader().read();
      const { problem } = await start(hostIp);
      expect(problem).toContain('The port 20060 ("port0") cannot be forwarded to the container: the program "');
      expect(problem).toContain(`(PID ${child.pid}) already listens on it (${protocol.toUpperCase()}, `);
      expect(await rules()).not.toContain("20060");
    } finally {
      child.kill();
      await child.exited;
    }
  });

  test("stays with the container that had it first, even after a kill -9 of the plugin", async () => {
    // Of 127.0.0.0/8 the driver's rules forward only 127.0.0.1 to containers.
    const other = Bun.spawn([process.execPath, "-e", script, "tcp", "127.0.0.53"], { stdout: "pipe" });
    let later: Bun.Subprocess<"ignore", "pipe"> | undefined;
    try {
      await other.stdout.getReader().read();
      const { task, handle, problem } = await start("");
      expect(problem).toBe("");
      await task.stdout.waitFor("up\n");
      later = Bun.spawn([process.execPath, "-e", script, "tcp", "127.0.0.1"], { stdin: "ignore", stdout: "pipe" });
      await later.stdout.getReader().read();
      await bench.replacePlugin();
      if (handle !== undefined) await bench.client().recoverTask(handle);
      expect(await fetched(here, "127.0.0.1", 20_060)).toBe("container");
      await bench.client().destroyTask(task.id, true);
    } finally {
      for (const child of [other, later]) {
        child?.kill();
        await child?.exited;
      }
    }
  });
});

test("a task that gets no address runs, and a task event says so", async () => {
  await using impatient = await openFixture({ network: { address_wait: "200ms" } });
  await run(["ip", "link", "add", "br-quiet", "type", "bridge"]);
  try {
    const spec = shell(bench.busybox, "sleep 1; ip link show dev host0", { network_bridge: "br-quiet" });
    const { code, stdout, events } = await runTask(impatient, spec);
    expect([code, stdout]).toEqual([0, expect.stringContaining("host0")]);
    expect(events.join("\n")).toContain(
      "The container has no address after 0.2 s: service registration needs an address",
    );
  } finally {
    await run(["ip", "link", "delete", "br-quiet"]);
  }
});

test("two agents on one host, each with its own driver, do not interfere", async () => {
  await using other = await openFixture();
  const port = (bench: Fixture, value: number) => ({
    ...shell(bench.busybox, servers(String(value)), { network_veth: true, ports: ["port0"] }),
    resources: ports([value, 80, ""]),
  });
  const [mine, theirs] = await Promise.all([bench.started(port(bench, 20_060)), other.started(port(other, 20_061))]);
  for (const task of [mine, theirs]) await task.stdout.waitFor("up\n");
  expect(await fetched(there, ownAddresses[4], 20_060)).toBe("20060");
  expect(await fetched(there, ownAddresses[4], 20_061)).toBe("20061");
  await bench.client().destroyTask(mine.id, true);
  expect(await fetched(there, ownAddresses[4], 20_061)).toBe("20061");
  await other.client().destroyTask(theirs.id, true);
});

test("fifty tasks with ports at once", async () => {
  const before = await rules();
  const tasks = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const spec = shell(bench.busybox, servers(`task ${index}`), { network_veth: true, ports: ["port0"] });
      return bench.task({ ...spec, resources: ports([21_000 + index, 80, ""]) });
    }),
  );
  await Promise.all(tasks.map((task) => bench.client().startTask(task.config)));
  await Promise.all(tasks.map((task) => task.stdout.waitFor("up\n")));
  const answers = await Promise.all(tasks.map((_, index) => fetched(there, ownAddresses[4], 21_000 + index)));
  expect(answers).toEqual(tasks.map((_, index) => `task ${index}`));
  await Promise.all(tasks.map((task) => bench.client().destroyTask(task.id, true)));
  expect(await rules()).toBe(before);
}, 180_000);
