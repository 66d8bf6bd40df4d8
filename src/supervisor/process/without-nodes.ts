import { nspawnSwitches } from "../nspawn-switches";

/**
 * Where nothing limits the devices a container opens, it must not make nodes of them: the host's disks are one mknod(2) away.
 * systemd-nspawn makes those of its /dev before it gives the capability up.
 */
export function withoutNodes(argv: readonly string[]): readonly string[] {
  const asked = nspawnSwitches(argv).some((argument) =>
    /^--capability=(?:.*,)?(?:all|CAP_MKNOD)(?:,|$)/.test(argument),
  );
  const [program = "", ...rest] = argv;
  return asked ? argv : [program, "--drop-capability=CAP_MKNOD", ...rest];
}
