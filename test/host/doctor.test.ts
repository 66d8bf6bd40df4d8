/**
 * `doctor` on a client with trouble, made on purpose: each is found by name, and the commands that doctor prints remove it, run as they
 * are printed. Every case has mounts of its own, which hide the host's files: what the host shares with others is not changed.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { driverBinary, projectRoot } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";

/** A kind of trouble. */
interface Trouble {
  /** Shell commands that make it; $T is a directory of the case, $P the plugin_dir in it, with the driver installed. */
  readonly make: string;
  /** doctor's name of the check, and a part of its sentence. */
  readonly check: string;
  readonly text: string;
  /** Lines of the plugin's config block. */
  readonly config?: string;
  /** Removes what is left outside of the mounts. */
  readonly undo?: string;
}

interface Reported {
  readonly check: string;
  readonly level: string;
  readonly text: string;
  readonly fix?: string;
  readonly commands?: readonly string[];
}

let top = "";
beforeAll(() => {
  // The driver is copied there: not in memory, as /tmp may be.
  top = mkdtempSync("/var/tmp/doctor-");
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

/** Hides a file of the host with another one of this content. */
const fake = (path: string, content: string) =>
  `printf '%s' '${content}' > $T/fake; chmod 644 $T/fake; mount --bind $T/fake ${path}`;

function bad(path: string, check: string): readonly Reported[] {
  const { findings }: { findings: Reported[] } = JSON.parse(readFileSync(path, "utf8"));
  return findings.filter((finding) => finding.check === check && finding.level !== "ok");
}

/** Makes trouble, asks doctor, runs the commands that it prints if `fix` is set, and asks again. */
async function examine({ make, check, config = "", undo }: Trouble, fix: boolean) {
  const directory = mkdtempSync(join(top, "case-"));
  const plugins = join(directory, "plugins");
  const agent = join(directory, "agent.hcl");
  const [before, after] = [join(directory, "before.json"), join(directory, "after.json")];
  writeFileSync(
    agent,
    `plugin_dir = "${plugins}"\nplugin "nspawn" {\n  config {\n${config.replaceAll("$T", directory)}\n  }\n}\n`,
  );
  const doctor = `${driverBinary()} doctor --json --config ${agent} --plugin-dir ${plugins}`;
  const script = [
    "set -eu",
    `T=${directory}; P=${plugins}`,
    `mkdir $P; install -m 755 ${driverBinary()} $P/nspawn`,
    make.replaceAll("$T", directory).replaceAll("$P", plugins),
    `${doctor} > ${before} || true`,
    ...(fix
      ? [
          `${process.execPath} ${projectRoot}/test/host/doctor-fix.ts ${before} '${check}' > $T/fix`,
          "sh -eux $T/fix >&2",
          `${doctor} > ${after} || true`,
        ]
      : []),
  ].join("\n");
  const { code, stderr } = await attempt(["unshare", "--mount", "--propagation=private", "sh", "-c", script]);
  if (undo !== undefined) await run(["sh", "-c", undo]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  const found = { before: bad(before, check), after: fix ? bad(after, check) : [] };
  rmSync(directory, { recursive: true });
  return found;
}

const SOME_OF_NOBODY = "nobody:600000:65536";

describe("is found, and its fix as printed removes it", () => {
  test.each<[string, Trouble]>([
    [
      "user namespaces are off",
      { make: fake("/proc/sys/user/max_user_namespaces", "0"), check: "user namespaces", text: "is 0" },
    ],
    [
      "too few inotify instances",
      { make: fake("/proc/sys/fs/inotify/max_user_instances", "8"), check: "inotify", text: "is 8" },
    ],
    [
      "/run is read-only",
      { make: "mount --bind /run /run; mount -o remount,bind,ro /run", check: "/run", text: "EROFS" },
    ],
    [
      "the image store is on a read-only file system",
      {
        make: "mkdir $T/disk; mount -t tmpfs tmpfs $T/disk; mkdir $T/disk/store; mount -o remount,ro $T/disk",
        config: 'image_store = "$T/disk/store"',
        check: "image store",
        text: "EROFS",
      },
    ],
    ["plugin_dir does not exist", { make: "rm -r $P", check: "plugin_dir", text: "does not exist" }],
    ["plugin_dir has no driver", { make: "rm $P/nspawn", check: "plugin_dir", text: "contains no nspawn driver" }],
    ["plugin_dir is writable by all", { make: "chmod 777 $P", check: "plugin_dir", text: "is writable by users" }],
    ["plugin_dir is another user's", { make: "chown 1000 $P", check: "plugin_dir", text: "writable by user 1000" }],
    ["a directory above it is writable by all", { make: "chmod 777 $T", check: "plugin_dir", text: "is writable by" }],
    [
      "the driver is writable by others",
      { make: "chmod 775 $P/nspawn", check: "plugin_dir", text: "is writable by users other than root" },
    ],
    ["the driver is another user's", { make: "chown 1000 $P/nspawn", check: "plugin_dir", text: "other than root" }],
    ["the driver is not executable", { make: "chmod 644 $P/nspawn", check: "plugin_dir", text: "its mode is 644" }],
    [
      "plugin_dir is mounted noexec",
      {
        make: `mount -t tmpfs -o noexec,mode=755 tmpfs $P; install -m 755 ${driverBinary()} $P/nspawn`,
        check: "plugin_dir",
        text: "mounted noexec",
      },
    ],
    [
      "the driver is for another machine",
      {
        make: "printf '\\267' | dd of=$P/nspawn bs=1 seek=18 conv=notrunc 2>/dev/null",
        check: "plugin_dir",
        text: "is not a program for this machine",
      },
    ],
    [
      "the driver's download is an error page",
      { make: "echo '<html>' > $P/nspawn", check: "plugin_dir", text: "is not a program for this machine" },
    ],
    [
      "credentials can be read by all",
      {
        make: "echo '{}' > $T/auth.json; chmod 644 $T/auth.json",
        config: 'auth {\n  config = "$T/auth.json"\n}',
        check: "registry credentials",
        text: "its mode is 644",
      },
    ],
    [
      "a user has the IDs of containers",
      {
        make: `cp -a /etc/subuid /etc/subuid.kept; echo ${SOME_OF_NOBODY} >> /etc/subuid`,
        check: "user IDs",
        text: "User nobody has the subordinate IDs 600000 to 665535",
        undo: "mv /etc/subuid.kept /etc/subuid",
      },
    ],
    [
      "systemd-machined is masked",
      {
        make: "systemctl mask --runtime systemd-machined.service",
        check: "machined",
        text: "is masked",
        undo: "systemctl unmask --runtime systemd-machined.service",
      },
    ],
    [
      "a firewall of iptables drops forwarded packets",
      {
        make: "iptables -P FORWARD DROP",
        check: "firewall",
        text: "ip filter FORWARD",
        // The table of the test host is there only because of this rule.
        undo: "nft delete table ip filter",
      },
    ],
    [
      "a firewall of nftables drops forwarded packets",
      {
        make: "printf 'table inet wall {\\n chain forward {\\n type filter hook forward priority 0; policy drop;\\n }\\n}\\n' | nft -f -",
        check: "firewall",
        text: "inet wall forward",
        undo: "nft delete table inet wall",
      },
    ],
    [
      "the system bus is down",
      {
        make: "systemctl stop dbus.socket dbus.service 2>/dev/null",
        check: "dbus",
        text: "/run/dbus/system_bus_socket",
        undo: "systemctl start dbus.socket",
      },
    ],
  ])("%s", async (_name, trouble) => {
    const { before, after } = await examine(trouble, true);
    expect(before[0]?.text).toContain(trouble.text);
    expect(after).toEqual([]);
  });
});

describe("is found, with what to do", () => {
  const withoutProgram = (name: string) => `for f in /usr/bin/${name} /usr/sbin/${name} /bin/${name} /sbin/${name}; do
    [ ! -e $f ] || mount --bind /dev/null $f 2>/dev/null || true; done`;
  test.each<[string, Trouble, string]>([
    [
      "systemd-nspawn is missing",
      { make: withoutProgram("systemd-nspawn"), check: "systemd-nspawn", text: "is not installed" },
      "systemd-container",
    ],
    ["nft is missing", { make: withoutProgram("nft"), check: "nftables", text: "is not installed" }, "nftables"],
    ["du is missing", { make: withoutProgram("du"), check: "storage limits", text: "is not installed" }, "coreutils"],
    [
      "the disk of the image store is nearly full",
      {
        make: "mkdir $T/disk; mount -t tmpfs -o size=1m tmpfs $T/disk",
        config: 'image_store = "$T/disk/store"',
        check: "image store",
        text: "0.0 GB free",
      },
      "images prune",
    ],
    [
      "the image store is on a file system that overlayfs cannot use",
      {
        make: "mkdir $T/disk; mount -t ramfs ramfs $T/disk",
        config: 'image_store = "$T/disk/store"',
        check: "image store",
        text: "is on ramfs",
      },
      "image_store",
    ],
    [
      "the signature policy is broken",
      {
        make: "echo '{' > $T/policy.json",
        config: 'signature_policy = "$T/policy.json"',
        check: "signature policy",
        text: "No container (OCI) image can run",
      },
      "policy.json",
    ],
    [
      "the file of credentials is broken",
      {
        make: "install -m 600 /dev/null $T/auth.json; echo '{\"auths\":' > $T/auth.json",
        config: 'auth {\n  config = "$T/auth.json"\n}',
        check: "registry credentials",
        text: "is not a JSON object",
      },
      "docker login",
    ],
    [
      "the driver is switched off",
      { make: "", config: "enabled = false", check: "config", text: "enabled = false" },
      "enabled = false",
    ],
    [
      "an option does not exist",
      { make: "", config: "alow_caps = []", check: "config", text: "alow_caps" },
      "Correct the file",
    ],
    [
      "metrics are not served",
      {
        make: "",
        config: 'telemetry {\n  address = "unix:$T/metrics.sock"\n}',
        check: "telemetry",
        text: "Nothing listens",
      },
      "Start the agent",
    ],
  ])("%s", async (_name, trouble, fix) => {
    const { before } = await examine(trouble, false);
    expect(before[0]?.text).toContain(trouble.text);
    expect(before[0]?.fix).toContain(fix);
  });
});
