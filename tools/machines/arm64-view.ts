/**
 * A view of this machine in which executables for arm64 run, by emulation. It is a user namespace, which since Linux 6.7 has its own list of
 * emulators (the kernel's fs/binfmt_misc.c), so that nothing changes for other processes. All users are mapped to themselves and files keep
 * their owners, but no process in it has rights on the machine: mounts and links are its own, and the kernel maps no owners of mounts.
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../build/project";
import type { Arm64Emulator } from "../images/arm64";

/** An open view. It ends with this process. */
export interface Arm64View extends AsyncDisposable {
  /** The command that runs another one in it, in the repository. */
  inside(argv: readonly string[]): string[];
}

/** The beginning of an arm64 executable, of which the byte for the operating system's ABI and the kind of executable vary (elf(5)). */
const MAGIC = "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00";
const MASK = "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff";
/**
 * The emulator is opened now, so that containers need not have it (F); it gets the executable as a descriptor, because that may be a file
 * in memory only (O); and it leaves argv[0] as it is (P).
 */
const FLAGS = "OFP";

/** All IDs as they are; the last one means "no ID". */
const MAPPING = "0 0 4294967295\n";

/** Waits until the users are mapped. */
const JOIN = 'echo made; read -r line; exec unshare --mount --net --ipc --uts --cgroup sh -ec "$@"';

/** The libraries of arm64 are beside this machine's; records, the image store and the directory for the programs' sockets are its own. */
const PREPARE = `
ip link set lo up
mount --make-rprivate /
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' "$1" > /proc/sys/fs/binfmt_misc/register
mount -t overlay -o "lowerdir=$2:/usr/lib" overlay /usr/lib
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/nspawn /run/lock
if [ -d /var/lib/nomad-driver-nspawn ]; then mount -t tmpfs -o mode=700 tmpfs /var/lib/nomad-driver-nspawn; fi
echo ready
exec sleep infinity
`;

/** Opens a view; undefined if the kernel gives user namespaces no emulators of their own. Needs root. */
export async function openArm64View({ program, libraries }: Arm64Emulator): Promise<Arm64View | undefined> {
  const registration = `:arm64:M::${MAGIC}:${MASK}:${program}:${FLAGS}`;
  const child = Bun.spawn(
    [
      ...["setpriv", "--pdeathsig", "KILL", "unshare", "--user"],
      ...["sh", "-ec", JOIN, "sh", PREPARE, "sh", registration, libraries],
    ],
    { stdin: "pipe", stdout: "pipe", stderr: "ignore" },
  );
  const end = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const lines = child.stdout.getReader();
  const said = async () => new TextDecoder().decode((await lines.read()).value).trim();
  const made = (await said()) === "made";
  if (made) {
    for (const map of ["uid_map", "gid_map"]) await writeFile(join(`/proc/${child.pid}`, map), MAPPING);
    child.stdin.write("\n");
    await child.stdin.end();
  }
  if (!made || (await said()) !== "ready") {
    await end();
    return undefined;
  }
  const namespaces = ["--user", "--mount", "--net", "--ipc", "--uts", "--cgroup"];
  const enter = ["nsenter", `--target=${child.pid}`, ...namespaces, `--wdns=${projectRoot}`, "--"];
  return {
    inside: (argv) => [...enter, ...argv],
    [Symbol.asyncDispose]: end,
  };
}
