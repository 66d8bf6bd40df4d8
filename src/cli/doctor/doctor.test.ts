import { expect, test } from "bun:test";
import { evaluate } from "./doctor";
import { hasErrors } from "./finding";
import type { HostFacts, PluginDirectory } from "./host-facts";

const good: HostFacts = {
  root: true,
  self: "/root/nomad-driver-nspawn",
  kernel: "6.12.9-amd64",
  nspawn: { kind: "found", path: "/usr/bin/systemd-nspawn", version: 257 },
  booted: true,
  manager: "yes",
  bus: "yes",
  machined: true,
  journald: "yes",
  cgroups: {
    kind: "v2",
    unified: { path: "/sys/fs/cgroup", controllers: ["cpuset", "cpu", "memory", "pids"] },
    legacy: new Map(),
  },
  userNamespaces: 96365,
  overlayfs: true,
  pidfd: true,
  ownFilters: 0,
  imageStore: {
    ...{ path: "/var/lib/nomad-driver-nspawn", exists: true, free: 50e9, fileSystem: "ext4", mount: "/" },
    quotas: false,
    verity: false,
  },
  downloads: { importd: true, gpg: true, xz: true, keyring: "/usr/lib/systemd/import-pubring.gpg", certificates: 146 },
  labels: { selinux: false, apparmor: true },
  cdi: [],
  du: true,
  imageKinds: { disks: { program: true, loops: true }, verity: { kernel: true, library: true }, emulated: [] },
  network: {
    nft: "/usr/sbin/nft",
    forwarding: { ipv4: true, ipv6: true },
    ipv6: true,
    advertisedRoute: false,
    droppingChains: [],
    networkd: false,
    cni: "/opt/cni/bin",
  },
  system: {
    run: undefined,
    inotifyInstances: 128,
    subIds: [],
    maskedMachined: false,
    now: 1,
    built: undefined,
    authFile: undefined,
  },
};
const v1 = new Map([
  ["memory", "/sys/fs/cgroup/memory"],
  ["cpu", "/sys/fs/cgroup/cpu"],
  ["cpuset", "/sys/fs/cgroup/cpuset"],
]);
const installed: PluginDirectory = {
  path: "/opt/nomad/plugins",
  others: 2,
  files: [{ name: "nspawn", owner: 0, mode: 0o755, executable: true, suitable: true }],
  directories: [
    { path: "/opt/nomad/plugins", owner: 0, mode: 0o755 },
    { path: "/opt", owner: 0, mode: 0o755 },
  ],
};

test("a good host has only good findings", () => {
  const findings = evaluate({ ...good, pluginDirectory: installed });
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual([
    "root",
    "systemd-nspawn",
    "supervisor",
    "dbus",
    "machined",
    "journald",
    "user namespaces",
    "idmapped mounts",
    "overlayfs",
    "pidfd",
    "exec",
    "security modules",
    "cdi",
    "cgroups",
    "controllers",
    "cores",
    "image store",
    "image integrity",
    "mapped layers",
    "storage limits",
    "image downloads",
    "image signatures",
    "certificates",
    "disk images",
    "dm-verity",
    "mount stacks",
    "emulators",
    "nftables",
    "forwarding",
    "firewall",
    "addresses",
    "cni",
    "/run",
    "inotify",
    "user IDs",
    "clock",
    "plugin_dir",
  ]);
});

test("without systemd as PID 1 its services are not checked, and the other supervisor is named", () => {
  const findings = evaluate({ ...good, booted: false, manager: "missing", bus: "missing", machined: false });
  expect(hasErrors(findings)).toBe(false);
  expect(findings.find(({ check }) => check === "supervisor")?.text).toContain('supervisor "process"');
  expect(findings.some(({ check }) => check === "machined")).toBe(false);
});

test.each<[string, Partial<HostFacts>, "warning" | "error", string]>([
  ["not root", { root: false }, "error", "Not running as root"],
  ["no systemd-nspawn", { nspawn: { kind: "missing" } }, "error", "not installed"],
  ["a broken one", { nspawn: { kind: "broken", reason: "Unknown version." } }, "error", "Unknown version."],
  ["an old one", { nspawn: { kind: "found", path: "/n", version: 248 } }, "error", "needs 249"],
  ["a later one", { nspawn: { kind: "found", path: "/n", version: 263 } }, "warning", "made for 249 to 262"],
  ["PID 1 unreachable", { manager: "refused" }, "error", "refuses connections"],
  ["no bus", { bus: "missing" }, "warning", "system_bus_socket) is missing"],
  ["no machined", { machined: false }, "warning", "machinectl does not list"],
  [
    "no importd and no xz",
    { downloads: { ...good.downloads, importd: false, xz: false } },
    "warning",
    "Neither systemd-importd nor xz",
  ],
  [
    "a broken CDI specification",
    { cdi: [{ path: "/etc/cdi/x.json", priority: 0, spec: "it is not JSON" }] },
    "warning",
    "The CDI specification /etc/cdi/x.json cannot be used: it is not JSON.",
  ],
  ["no du", { du: false }, "warning", "The program du is not installed: tasks with storage_limit are refused."],
  ["no gpg", { downloads: { ...good.downloads, gpg: false } }, "warning", "gpg is not installed"],
  [
    "no keyring",
    { downloads: { ...good.downloads, keyring: undefined } },
    "warning",
    "No keyring for image signatures",
  ],
  [
    "a policy that cannot be read",
    {
      imageKinds: {
        ...good.imageKinds,
        policy: { file: "/p.json", problem: "The signature policy /p.json is not valid." },
      },
    },
    "warning",
    "No container (OCI) image can run: The signature policy /p.json",
  ],
  [
    "a policy with what is not supported",
    {
      imageKinds: {
        ...good.imageKinds,
        policy: { file: "/p.json", scopes: 2, unsupported: ["docker:r.lan requires signedBy"] },
      },
    },
    "warning",
    "docker:r.lan requires signedBy",
  ],
  [
    "a store that is too large",
    { imageKinds: { ...good.imageKinds, size: { stored: 3e9, most: 2e9 } } },
    "warning",
    "The image store has 2.8 GiB of at most 1.9 GiB",
  ],
  ["no journal", { journald: "missing" }, "warning", "error message is lost"],
  ["no user namespaces", { userNamespaces: undefined }, "error", "CONFIG_USER_NS"],
  ["forbidden user namespaces", { userNamespaces: 0 }, "error", "max_user_namespaces is 0"],
  ["an old kernel", { kernel: "5.10.0-33-amd64" }, "warning", "owner of every file"],
  ["a very old kernel", { kernel: "4.19.0", pidfd: false }, "error", "no pidfds"],
  ["no overlayfs", { overlayfs: false }, "warning", "no overlayfs"],
  ["no cgroups", { cgroups: { kind: "none", legacy: new Map() } }, "error", "No control groups"],
  ["cgroups v1", { cgroups: { kind: "v1", legacy: v1 } }, "warning", "systemd 258"],
  ["no nft", { network: { ...good.network, nft: undefined } }, "warning", "nft is not installed"],
  [
    "an advertised route",
    { network: { ...good.network, forwarding: { ipv4: true, ipv6: false }, advertisedRoute: true } },
    "warning",
    "does not enable IPv6 forwarding",
  ],
  [
    "a strict firewall",
    { network: { ...good.network, droppingChains: ["ip filter FORWARD"] } },
    "warning",
    "(ip filter FORWARD)",
  ],
  ["the cpuset controller of v1", { cgroups: { kind: "v1", legacy: v1 } }, "warning", "a task without cores may run"],
  [
    "no cpuset controller",
    { cgroups: { kind: "v1", legacy: new Map([...v1].filter(([name]) => name !== "cpuset")) } },
    "warning",
    "The cgroup controller cpuset is not available",
  ],
  ["no pids controller", { cgroups: { kind: "v1", legacy: v1 } }, "warning", "controller pids is not available"],
])("%s", (_, facts, level, text) => {
  const findings = evaluate({ ...good, ...facts });
  const found = findings.find((finding) => finding.text.includes(text));
  expect(found?.level).toBe(level);
  expect(found?.fix ?? "").not.toBe("");
  expect(hasErrors(findings)).toBe(level === "error");
});

const file = { name: "nspawn", owner: 0, mode: 0o755, executable: true, suitable: true };
test.each<[string, PluginDirectory, string, "ok" | "warning" | "error"]>([
  ["missing", { path: "/p", problem: "/p does not exist." }, "/p does not exist.", "error"],
  ["empty", { ...installed, files: [] }, "contains no nspawn driver", "error"],
  [
    "another user's file",
    { ...installed, files: [{ ...file, owner: 1000 }] },
    "writable by users other than root",
    "error",
  ],
  [
    "a world-writable file",
    { ...installed, files: [{ ...file, mode: 0o777 }] },
    "writable by users other than root",
    "error",
  ],
  [
    "not executable",
    { ...installed, files: [{ ...file, mode: 0o644, executable: false }] },
    "its mode is 644",
    "error",
  ],
  [
    "for another machine",
    { ...installed, files: [{ ...file, suitable: false }] },
    "is not a program for this machine",
    "error",
  ],
  ["twice", { ...installed, files: [file, { ...file, name: "nomad-driver-nspawn" }] }, "more than once", "warning"],
  ["a directory of the system's programs", { ...installed, others: 1200 }, "contains 1200 other programs", "warning"],
  ["named as the release", { ...installed, files: [{ ...file, name: "x" }] }, 'plugin "x" {}', "ok"],
  [
    "writable",
    { ...installed, directories: [{ path: "/tmp", owner: 0, mode: 0o1777 }] },
    "/tmp is writable by users other than root",
    "error",
  ],
  [
    "below another user's directory",
    { ...installed, directories: [...installed.directories, { path: "/home/u", owner: 1000, mode: 0o755 }] },
    "/home/u is writable by user 1000",
    "error",
  ],
])("plugin_dir: %s", (_, pluginDirectory, text, level) => {
  const found = evaluate({ ...good, pluginDirectory }).find((finding) => finding.text.includes(text));
  expect(found?.level).toBe(level);
  expect(found?.fix === undefined).toBe(level === "ok");
});

test("a sticky directory above the plugin_dir is fine", () => {
  const directories = [...installed.directories, { path: "/tmp", owner: 0, mode: 0o1777 }];
  expect(hasErrors(evaluate({ ...good, pluginDirectory: { ...installed, directories } }))).toBe(false);
});

test.each([
  [{ kernel: "5.4.0-100-generic" }, "cannot enter a container's namespaces"],
  [{ ownFilters: 2 }, "runs under a seccomp filter"],
])("exec with %j is a warning", (change, text) => {
  const found = evaluate({ ...good, ...change }).find(({ check }) => check === "exec");
  expect(found).toMatchObject({ level: "warning", text: expect.stringContaining(text) });
});

test.each([
  [{ problem: "it is not writable (EROFS)" }, /is unusable: it is not writable/],
  [{ fileSystem: "overlay" }, /is on overlay, which overlayfs cannot write to/],
  [{ free: 1e9 }, /has 1\.0 GB free/],
] as const)("an image store %j", (store, text) => {
  const found = evaluate({ ...good, imageStore: { ...good.imageStore, ...store } }).find(
    ({ check }) => check === "image store",
  );
  expect(found).toMatchObject({ level: "warning", text: expect.stringMatching(text) });
});

test("layers are ID-mapped since 5.19", () => {
  const level = (kernel: string) => evaluate({ ...good, kernel }).find(({ check }) => check === "mapped layers")?.level;
  expect([level("5.15.0-91-generic"), level("5.19.0"), level("6.1.0-18-amd64")]).toEqual(["warning", "ok", "ok"]);
});

test.each<[Partial<HostFacts["imageKinds"]>, string]>([
  [{ disks: { program: false, loops: true } }, "the program systemd-dissect is not installed"],
  [{ disks: { program: true, loops: false } }, "the kernel has no loop devices"],
  [
    { verity: { kernel: false, library: false } },
    "cannot run on this client: the kernel has no dm-verity, and libcryptsetup is not",
  ],
  [{ emulated: ["arm64", "riscv64"] }, "Programs for arm64, riscv64 run by emulators (binfmt_misc)."],
  [
    { policy: { file: "/p.json", scopes: 3, unsupported: [] } },
    "have to fulfil the signature policy /p.json (3 scopes).",
  ],
  [{ size: { stored: 1e9, most: 2e9 } }, "The image store has 0.9 GiB of at most 1.9 GiB (gc.image_max_size)."],
])("kinds of images: %j is reported, and no fault", (change, text) => {
  const found = evaluate({ ...good, imageKinds: { ...good.imageKinds, ...change } }).find((each) =>
    each.text.includes(text),
  );
  expect(found?.level).toBe("ok");
});

test.each([
  [
    false,
    "limited by measuring them (storage_limit): /var/lib/nomad-driver-nspawn is not on a file system with project quotas.",
  ],
  [true, "Project quotas of the disk of /var/lib/nomad-driver-nspawn limit the changes of tasks"],
])("project quotas: %j", (quotas, message) => {
  const facts = { ...good, du: !quotas, imageStore: { ...good.imageStore, quotas } };
  const found = evaluate(facts).find(({ check }) => check === "storage limits");
  expect(found).toMatchObject({ level: "ok", text: expect.stringContaining(message) });
});

test.each([
  [true, "fs-verity protects the files of container images in /var/lib/nomad-driver-nspawn."],
  [false, "are not protected by fs-verity: the file system of /var/lib/nomad-driver-nspawn, ext4, lacks it"],
])("fs-verity: %j", (verity, message) => {
  const found = evaluate({ ...good, imageStore: { ...good.imageStore, verity } });
  expect(found.find(({ check }) => check === "image integrity")).toMatchObject({
    level: "ok",
    text: expect.stringContaining(message),
  });
});
