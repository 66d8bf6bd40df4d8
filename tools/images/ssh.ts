/** A Debian with an SSH server, for logins into a booted task. */

import { cached } from "./cache";
import { bootFiles, type DebianTree, idleUnits, makeDebianTree } from "./debian";

const source: DebianTree = {
  suite: "trixie",
  variant: "minbase",
  packages: ["systemd", "systemd-sysv", "dbus", "openssh-server", "openssh-client"],
  masked: idleUnits,
  files: bootFiles,
  links: { "etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target" },
};

/** The tree of a Debian with systemd, an SSH server and its client. */
export async function sshImage(say?: (line: string) => void): Promise<string> {
  const build = (directory: string) => makeDebianTree(source, directory);
  return cached({ name: "ssh", inputs: source, build }, say);
}
