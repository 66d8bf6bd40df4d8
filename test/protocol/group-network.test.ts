import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { type Fixture, failure, shell, useFixture } from "./fixture";

const namespace = `group-${process.pid}`;
const path = `/run/netns/${namespace}`;
const address = "198.51.100.20";
const network = { path, hostsConfig: { hostname: "web-group", address } };

beforeAll(async () => {
  // Like the namespace that an agent creates with CNI's bridge plugin.
  await run(["ip", "netns", "add", namespace]);
  await run(["ip", "link", "add", "group-host", "type", "veth", "peer", "name", "eth0", "netns", namespace]);
  await run(["ip", "address", "add", "198.51.100.1/24", "dev", "group-host"]);
  await run(["ip", "link", "set", "group-host", "up"]);
  for (const link of ["lo", "eth0"]) await run(["ip", "-n", namespace, "link", "set", link, "up"]);
  await run(["ip", "-n", namespace, "address", "add", `${address}/24`, "dev", "eth0"]);
});
let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});
afterAll(async () => {
  await run(["ip", "netns", "delete", namespace]);
});

const joined = (script: string, more: Readonly<Record<string, unknown>> = {}) => ({
  ...shell(bench.busybox, script, { network_veth: true, ...more }),
  network,
});
const execute = async (taskId: string, ...command: string[]) => {
  const { stdout, stderr } = await bench.client().execTask(taskId, command);
  return `${Buffer.from(stdout)}${Buffer.from(stderr)}`;
};

describe("a group's network", () => {
  test("is the task's, with a user namespace, low ports and names", async () => {
    const script =
      "mkdir -p /tmp/www; echo page > /tmp/www/index.html; httpd -p 80 -h /tmp/www && cat /proc/self/uid_map /etc/hosts; hostname; ip -o address show dev eth0; echo end; sleep 1000";
    const task = await bench.started(joined(script));
    await task.stdout.waitFor("end\n");
    const text = task.stdout.text();
    expect(task.stderr.text()).toBe("");
    expect(text).toMatch(/^\s+0\s+[1-9]\d*\s+65536\n/);
    expect(text).toContain(`127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${address} web-group `);
    expect(text).toContain("\nweb-group\n");
    expect(text).toContain(`${address}/24`);
    const page = await run(["env", "--unset=http_proxy", "busybox", "wget", "-q", "-O", "-", `http://${address}/`]);
    expect(page.stdout).toBe("page\n");
    // Another task of the group, and a command in the first one.
    expect((await bench.finished(joined("wget -q -O - http://127.0.0.1/"))).stdout).toBe("page\n");
    expect(await execute(task.id, "wget", "-q", "-O", "-", "http://localhost/")).toBe("page\n");
    expect((await bench.client().inspectTask(task.id)).networkOverride).toBeUndefined();
  });

  test("lets the task ping, as programs do that need no raw socket", async () => {
    const config = { image: await debianImage(), boot: false, volatile: "overlay", user: "nobody" };
    const echo =
      'use Socket; socket(my $s, AF_INET, SOCK_DGRAM, getprotobyname("icmp") // 1) or die "no: $!"; print "echo"';
    const end = await bench.finished({ config: { ...config, command: ["perl", "-e", echo] }, network });
    expect(end).toMatchObject({ code: 0, stdout: "echo", stderr: "" });
  });

  test("has the kernel settings and name servers that a task asks for", async () => {
    const more = {
      sysctl: { "net.core.somaxconn": "77", "kernel.shmmax": "4096" },
      dns_servers: ["192.0.2.53"],
      domainname: "test",
    };
    const script =
      "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax; grep nameserver /etc/resolv.conf; hostname -f";
    expect((await bench.finished(joined(script, more))).stdout).toBe(
      "77\n4096\nnameserver 192.0.2.53\nweb-group.test\n",
    );
    // They belong to the group.
    expect((await bench.finished(joined("cat /proc/sys/net/core/somaxconn"))).stdout).toBe("77\n");
  });

  test("is also that of a booted container", async () => {
    const debian = await debianImage();
    const config = { image: debian, volatile: "overlay", network_veth: true };
    const task = await bench.started({ config, network });
    await task.stdout.waitFor("Multi-User", 60_000);
    expect(await execute(task.id, "ip", "-o", "address", "show", "dev", "eth0")).toContain(`${address}/24`);
    expect(await execute(task.id, "hostname")).toBe("web-group\n");
    expect(await execute(task.id, "cat", "/proc/self/uid_map")).toMatch(/^\s+0\s+[1-9]\d*\s+65536\n/);
    await bench.client().stopTask(task.id, { timeout: 30_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
  }, 120_000);

  test("does not replace a hosts file of the job", async () => {
    const task = await bench.task(joined("cat /etc/hosts", { bind_read_only: { "local/hosts": "/etc/hosts" } }));
    await Bun.write(`${task.dirs.local}/hosts`, "192.0.2.7 own\n");
    await bench.start(task);
    await task.stdout.waitFor("192.0.2.7 own\n");
  });

  test("of mode none has a loopback interface only", async () => {
    const none = `${namespace}-none`;
    await run(["ip", "netns", "add", none]);
    try {
      const end = await bench.finished({ ...joined("ip -o link"), network: { path: `/run/netns/${none}` } });
      expect(end.stdout).toMatch(/^1: lo:/m);
      expect(end.stdout).not.toContain("2: ");
    } finally {
      await run(["ip", "netns", "delete", none]);
    }
  });

  test("that no longer exists is reported", async () => {
    const task = await bench.task({ ...joined("true"), network: { path: "/run/netns/gone" } });
    expect(await failure(bench.client().startTask(task.config))).toContain("/run/netns/gone");
  });
});
