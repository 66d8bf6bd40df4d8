import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BUSYBOX = "/bin/busybox";
const APPLETS = [
  "sh",
  "sleep",
  "echo",
  "cat",
  "kill",
  "ls",
  "head",
  "dd",
  "true",
  "id",
  "test",
  "ps",
  "mkdir",
  "seq",
  "reboot",
];

/** A container's tree of one static program; `remove` deletes it. */
export interface BusyboxTree {
  readonly path: string;
  readonly remove: () => void;
}

/** Makes a tree that systemd-nspawn starts commands in, with and without --as-pid2. Needs the package busybox-static. */
export function makeBusyboxTree(): BusyboxTree {
  if (!existsSync(BUSYBOX)) throw new Error(`These tests need ${BUSYBOX}: apt-get install busybox-static`);
  const path = mkdtempSync(join(tmpdir(), "busybox-tree-"));
  for (const directory of ["bin", "usr/bin", "etc", "proc", "sys", "dev", "run", "tmp", "var", "root"]) {
    mkdirSync(join(path, directory), { recursive: true });
  }
  copyFileSync(BUSYBOX, join(path, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(path, "bin", applet));
  writeFileSync(join(path, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n");
  writeFileSync(join(path, "etc/group"), "root:x:0:\nuser:x:1000:\n");
  writeFileSync(join(path, "etc/os-release"), "ID=busybox\nNAME=Busybox\n");
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
