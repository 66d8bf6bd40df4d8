import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { plannedMounts } from "../../test/support/planned-mounts";
import { decodeTaskConfig } from "../config/task/decode";
import { DROP_IN_PATH } from "../systemd/networkd";
import { type NspawnInput, nspawnArguments } from "./arguments";
import { featuresOf } from "./features";

function args(config: object, input: Partial<NspawnInput> = {}): string[] {
  const options = decodeTaskConfig(encode({ image: "/srv/image", ...config }));
  return nspawnArguments({
    options,
    features: featuresOf(257),
    machine: "web-1",
    image: { kind: "directory", path: "/srv/image" },
    mounts: plannedMounts(options),
    register: true,
    network: "config",
    environment: [],
    ...input,
  });
}

/** Only what is always present. */
const PLAIN = { boot: false, network_veth: false, user_namespacing: false };

const START = ["--quiet", "--keep-unit", "--register=yes", "--machine=web-1", "--directory=/srv/image"];

test("systemd-nspawn forwards a signal to PID 1", () => {
  expect(args(PLAIN, { killSignal: "SIGQUIT" })).toContain("--kill-signal=SIGQUIT");
});

test("a config with only an image boots, like in the Go driver", () => {
  expect(args({})).toEqual([
    ...START,
    "--boot",
    "--console=read-only",
    "--private-users=pick",
    "--private-users-ownership=auto",
    "--network-veth",
  ]);
});

test("dm-verity and the policy of a disk image", () => {
  const hash = "ab".repeat(32);
  const verity = {
    root_hash: hash,
    root_hash_signature: "base64:AAAA",
    verity_data: "/v",
    image_policy: "root=verity",
  };
  const expected = [
    `--root-hash=${hash}`,
    "--root-hash-sig=base64:AAAA",
    "--verity-data=/v",
    "--image-policy=root=verity",
  ];
  expect(args({ ...PLAIN, ...verity }, { image: { kind: "image", path: "/srv/x.raw" } })).toEqual(
    expect.arrayContaining(expected),
  );
});

test.each([
  [257, {}, ["--image-policy=root=verity+signed:root-verity-sig=unprotected+unused+absent:=open"]],
  [257, { image_policy: "root=verity" }, ["--image-policy=root=verity"]],
  [252, {}, []],
])("an image with a root hash has to be verified: %d, %j", (version, more, expected) => {
  const given = args({ ...PLAIN, root_hash: "ab".repeat(32), ...more }, { features: featuresOf(version) });
  expect(given.filter((word) => word.startsWith("--image-policy"))).toEqual(expected);
});

test("credentials are files, not values", () => {
  const given = args(PLAIN, { credentials: { "a.b": "/run/x/0", c: "/run/x/1" } });
  expect(given.filter((arg) => arg.includes("credential"))).toEqual([
    "--load-credential=a.b:/run/x/0",
    "--load-credential=c:/run/x/1",
  ]);
});

test("a plain command follows a double dash", () => {
  expect(args({ ...PLAIN, command: ["/bin/sh", "-c", "true"] })).toEqual([
    ...START,
    "--console=pipe",
    "--private-users=no",
    "--",
    "/bin/sh",
    "-c",
    "true",
  ]);
});

test.each([
  [252, {}, ["/run/systemd", "/run/systemd/network"]],
  [252, { user_namespacing: false }, []],
  [257, {}, []],
])("the directories above networkd's drop-in belong to the container: %d, %j", (version, config, expected) => {
  const given = args(config, { networkd: { file: "/n", path: DROP_IN_PATH }, features: featuresOf(version) });
  const tmpfs = given.filter((argument) => argument.startsWith("--tmpfs="));
  expect(tmpfs).toEqual(expected.map((path) => `--tmpfs=${path}:mode=0755,size=20%,nr_inodes=800k`));
  expect(given).toContain("--bind-ro=/n:/run/systemd/network/80-container-host0.network.d/50-nomad.conf");
});

describe("options", () => {
  const cases: readonly [config: object, added: readonly string[]][] = [
    [{ boot: true }, ["--boot", "--console=read-only"]],
    [{ boot: true, command: ["--unit=x"] }, ["--boot", "--console=read-only", "--", "--unit=x"]],
    [{ boot: true, console: "pipe" }, ["--boot", "--console=pipe"]],
    [{ process_two: true }, ["--as-pid2"]],
    [{ network: "macvlan:eth0", network_veth: true }, ["--network-macvlan=eth0"]],
    [{ network: "ipvlan:eth0", network_veth: true }, ["--network-ipvlan=eth0"]],
    [
      { network: "none", network_veth: true, network_interface: ["a", "b"] },
      ["--private-network", "--network-interface=a", "--network-interface=b"],
    ],
    [{ console: "interactive" }, ["--console=interactive"]],
    [{ console: "passive" }, ["--console=passive"]],
    [{ console: "read-only" }, ["--console=read-only"]],
    [{ command: ["--boot", "--", ""] }, ["--", "--boot", "--", ""]],
    [{ ephemeral: true }, ["--ephemeral"]],
    [{ ephemeral: false }, []],
    [{ read_only: true }, ["--read-only"]],
    [{ volatile: "yes" }, ["--volatile=yes"]],
    [{ volatile: "no" }, ["--volatile=no"]],
    [{ volatile: "overlay" }, ["--volatile=overlay"]],
    [{ hostname: "db.example" }, ["--hostname=db.example"]],
    [{ user: "www-data" }, ["--user=www-data"]],
    [{ user: "1000" }, ["--user=1000"]],
    [{ working_directory: "/a b" }, ["--chdir=/a b"]],
    [{ pivot_root: "/new" }, ["--pivot-root=/new"]],
    [{ pivot_root: "/new:/old" }, ["--pivot-root=/new:/old"]],
    [{ pivot_root: "/n\\:ew:/o\\:ld" }, ["--pivot-root=/n\\:ew:/o\\:ld"]],
    [{ resolv_conf: "copy-host" }, ["--resolv-conf=copy-host"]],
    [{ resolv_conf: "off" }, ["--resolv-conf=off"]],
    [{ bind: { "/a": "/b" } }, ["--bind=/a:/b"]],
    [{ bind: { "/a": "/b", "/c": "/d" } }, ["--bind=/a:/b", "--bind=/c:/d"]],
    [{ bind: { "/a:b": "/c:d" } }, ["--bind=/a\\:b:/c\\:d"]],
    [{ bind: { "/a\\b": "/c\\" } }, ["--bind=/a\\\\b:/c\\\\"]],
    [{ bind: { "/a,b": "/c,d" } }, ["--bind=/a,b:/c,d"]],
    [{ bind: { "/a'b": '/c"d' } }, ["--bind=/a'b:/c\"d"]],
    [{ bind: { "/a": "/b:idmap" } }, ["--bind=/a:/b:idmap"]],
    [{ bind: { "/a": "/b:norbind,rootidmap" } }, ["--bind=/a:/b:norbind,rootidmap"]],
    [{ bind: { "/a": "/b:nosuchoption" } }, ["--bind=/a:/b\\:nosuchoption"]],
    [{ bind: { "/a": "/b:" } }, ["--bind=/a:/b\\:"]],
    [{ bind: { "/-a": "/--b" } }, ["--bind=/-a:/--b"]],
    [{ bind: { "/a\nb": "/c" } }, ["--bind=/a\nb:/c"]],
    [{ bind_read_only: { "/a": "/b" } }, ["--bind-ro=/a:/b"]],
    [{ timezone: "off" }, ["--timezone=off"]],
    [{ personality: "x86" }, ["--personality=x86"]],
    [{ suppress_sync: true }, ["--suppress-sync=yes"]],
    [{ suppress_sync: false }, []],
    [{ bind_read_only: { "/a": "/b:idmap" } }, ["--bind-ro=/a:/b:idmap"]],
    [{ tmpfs: ["/tmp"] }, ["--tmpfs=/tmp"]],
    [{ tmpfs: ["/t\\:1:size=1M,mode=1777"] }, ["--tmpfs=/t\\:1:size=1M,mode=1777"]],
    [{ overlay: ["/low:/up"] }, ["--overlay=/low:/up:/up"]],
    [{ overlay: ["/1:/2:/up:/t"] }, ["--overlay=/1:/2:/up:/t"]],
    [{ overlay: ["/low::/t"] }, ["--overlay=/low::/t"]],
    [{ overlay: ["/low:/up:/t\\:1"] }, ["--overlay=/low:/up:/t\\:1"]],
    [{ inaccessible: ["/a:b", "/c"] }, ["--inaccessible=/a:b", "--inaccessible=/c"]],
    [{ devices: ["/dev/fuse"] }, ["--bind=/dev/fuse:/dev/fuse"]],
    [{ devices: ["/dev/a:/dev/b:r"] }, ["--bind=/dev/a:/dev/b"]],
    [{ capability: ["cap_net_admin", "CAP_KILL"] }, ["--capability=CAP_NET_ADMIN,CAP_KILL"]],
    [{ capability: ["all"] }, ["--capability=all"]],
    [{ drop_capability: ["CAP_NET_RAW"] }, ["--drop-capability=CAP_NET_RAW"]],
    [{ no_new_privileges: true }, ["--no-new-privileges=yes"]],
    [
      { system_call_filter: ["@keyring", "~ptrace"] },
      ["--system-call-filter=@keyring", "--system-call-filter=~ptrace"],
    ],
    [{ rlimits: { NOFILE: "1024:65536", RLIMIT_CORE: "0" } }, ["--rlimit=NOFILE=1024:65536", "--rlimit=CORE=0"]],
    [{ oom_score_adjust: -5 }, []],
    [{ properties: { IOWeight: "5" } }, []],
    [{ environment: { SECRET: "x" } }, []],
    [{ network_veth: true }, ["--network-veth"]],
    [{ network_bridge: "br0" }, ["--network-bridge=br0"]],
    [{ network_zone: "back" }, ["--network-zone=back"]],
    [{ network_veth: true, network_zone: "back" }, ["--network-veth", "--network-zone=back"]],
    [{ user_namespacing: true }, ["--private-users=pick", "--private-users-ownership=auto"]],
    [{ user_namespacing: true, private_users: "no" }, ["--private-users=no"]],
    [
      { user_namespacing: true, private_users: "524288:65536" },
      ["--private-users=524288:65536", "--private-users-ownership=auto"],
    ],
    [
      { user_namespacing: true, private_users: "identity", private_users_ownership: "off" },
      ["--private-users=identity", "--private-users-ownership=off"],
    ],
    [
      { user_namespacing: true, private_users_ownership: "map" },
      ["--private-users=pick", "--private-users-ownership=map"],
    ],
  ];

  /** Arguments of the plain form that an option may replace. */
  const ALWAYS = ["--console=", "--private-users="];

  test.each(cases)("%j", (config, added) => {
    const expected = ALWAYS.filter((start) => !added.some((argument) => argument.startsWith(start)));
    const all = args({ ...PLAIN, ...config }).slice(START.length);
    const dashes = added.indexOf("--");
    const [switches, command] = dashes < 0 ? [added, []] : [added.slice(0, dashes), added.slice(dashes)];
    const given = command.length === 0 ? all : all.slice(0, -command.length);
    expect(given.filter((argument) => !expected.some((start) => argument.startsWith(start))).sort()).toEqual(
      [...switches].sort(),
    );
    expect(all.slice(given.length)).toEqual(command);
  });
});

describe("what the driver adds", () => {
  const cases: readonly [string, object, Partial<NspawnInput>, readonly string[]][] = [
    ["a disk image", {}, { image: { kind: "image", path: "/srv/i.raw" } }, ["--image=/srv/i.raw"]],
    ["no registration", {}, { register: false }, ["--register=no"]],
    [
      "Nomad's dns",
      {},
      { resolvConf: "/a/resolv.conf" },
      ["--resolv-conf=off", "--bind-ro=/a/resolv.conf:/etc/resolv.conf"],
    ],
    [
      "Nomad's dns over the config's",
      { resolv_conf: "copy-host" },
      { resolvConf: "/a:b" },
      ["--resolv-conf=off", "--bind-ro=/a\\:b:/etc/resolv.conf"],
    ],
    ["a mount", {}, { mounts: [{ source: "/a", target: "/alloc", readOnly: false }] }, ["--bind=/a:/alloc"]],
    [
      "a read-only mount",
      {},
      { mounts: [{ source: "/a", target: "/t:1", readOnly: true, propagation: "host-to-task" }] },
      ["--bind-ro=/a:/t\\:1"],
    ],
    [
      "a mapped mount",
      {},
      { mounts: [{ source: "/a", target: "/b", readOnly: false, options: ["idmap"] }] },
      ["--bind=/a:/b:idmap"],
    ],
    ["names of variables", {}, { environment: ["--setenv=A"] }, ["--setenv=A"]],
    ["a group's host name", {}, { network: "joined", groupHostname: "web" }, ["--hostname=web"]],
    ["the job's own host name", { hostname: "own" }, { network: "joined", groupHostname: "web" }, ["--hostname=own"]],
    ["a resolv.conf by the network", {}, { resolvConfMode: "copy-uplink" }, ["--resolv-conf=copy-uplink"]],
    ["the config's takes precedence", { resolv_conf: "off" }, { resolvConfMode: "copy-uplink" }, ["--resolv-conf=off"]],
    ["a hosts file", {}, { hosts: "/run/a:b/hosts" }, ["--bind-ro=/run/a\\:b/hosts:/etc/hosts"]],
  ];

  test.each(cases)("%s", (_, config, input, wanted) => {
    const all = args({ ...PLAIN, ...config }, input);
    const without = args(PLAIN);
    expect(all.filter((argument) => !without.includes(argument)).sort()).toEqual([...wanted].sort());
  });

  test("a joined network has no switch, whatever the config contains", () => {
    expect(args({ ...PLAIN, network_veth: true, network_bridge: "br0" }, { network: "joined" })).toEqual(args(PLAIN));
  });

  test.each([
    [249, ["--user=daemon"]],
    [260, ["--user=daemon"]],
    [261, ["--uid=daemon", "--restrict-address-families="]],
    [262, ["--uid=daemon", "--restrict-address-families="]],
  ])("%d gets no argument that it warns about", (version, wanted) => {
    const all = args({ ...PLAIN, user: "daemon" }, { features: featuresOf(version) });
    expect(all.filter((argument) => !args(PLAIN).includes(argument))).toEqual(wanted);
  });
});

test.each([
  ["the image's", {}, []],
  ["the task's, in an image without one", { machineId: { id: "0123" } }, ["--uuid=0123"]],
  [
    "the task's, over that of the image",
    { machineId: { id: "0123", file: "/run/id" } },
    ["--uuid=0123", "--bind-ro=/run/id:/etc/machine-id"],
  ],
])("the machine ID is %s", (_case, input, expected) => {
  expect(args(PLAIN, input).filter((word) => /^--uuid=|machine-id/.test(word))).toEqual(expected);
});

test.each([
  [252, {}, ["--tmpfs=/run/systemd", "--tmpfs=/run/systemd/system"]],
  [252, { user_namespacing: false }, []],
  [257, {}, []],
])("units are masked below directories of the container's own: %d, %j", (version, config, expected) => {
  const given = args(config, { masked: { file: "/m", units: ["a.service"] }, features: featuresOf(version) });
  expect(given).toContain("--bind-ro=/m:/run/systemd/system/a.service");
  expect(given.flatMap((word) => (word.startsWith("--tmpfs=") ? [word.split(":")[0]] : []))).toEqual(expected);
});
