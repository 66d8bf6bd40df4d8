import { nspawnSwitches } from "../nspawn-switches";

/**
 * If nothing restricts the devices that a container opens, it must not create device nodes: with mknod(2) it could open the host's
 * disks. systemd-nspawn creates the nodes of the container's /dev before it drops the capability.
 */
export function withoutNodes(argv: readonly string[]): readonly string[] {
  const requested = nspawnSwitches(argv).some((argument) =>
    /^--capability=(?:.*,)?(?:all|CAP_MKNOD)(?:,|$)/.test(argument),
  );
  const [program = "", ...rest] = argv;
  return requested ? argv : [program, "--drop-capability=CAP_MKNOD", ...rest];
}
