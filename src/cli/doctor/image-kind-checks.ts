import { MOUNT_STACK_SINCE } from "../../nspawn/features";
import { readableSize } from "../../values/units";
import { about, type Finding } from "./finding";

/** What the operator's signature policy says, or why it cannot be used. */
export type PolicyFact =
  | { readonly file: string; readonly problem: string }
  | {
      readonly file: string;
      /** Scopes whose requirements no image can fulfil with this driver, and what they are. */
      readonly unsupported: readonly string[];
      /** The number of scopes with requirements, the default included. */
      readonly scopes: number;
    };

/** What kinds of images need that not every client has. */
export interface ImageKindFacts {
  /** Whether disk images can be mounted for roots of the driver's own: by a program, with the kernel's loop devices. */
  readonly disks: { readonly program: boolean; readonly loops: boolean };
  /** Whether the kernel and the library that systemd-nspawn loads have dm-verity. */
  readonly verity: { readonly kernel: boolean; readonly library: boolean };
  /** Architectures whose programs run by an emulator, in Go's terms. */
  readonly emulated: readonly string[];
  /** Undefined if the option signature_policy is not set, or not known. */
  readonly policy?: PolicyFact;
  /** The sizes of the image store, if the option gc.image_max_size is known and set: bytes. */
  readonly size?: { readonly stored: number; readonly most: number };
}

/**
 * Evaluates what single kinds of images need; what a client lacks matters only to jobs that use it.
 *
 * @param nspawn the version of systemd-nspawn, if there is one
 */
export function imageKindFindings(facts: ImageKindFacts, nspawn: number | undefined): Finding[] {
  return [
    disks(facts),
    verity(facts),
    ...(nspawn === undefined ? [] : [mountStacks(nspawn)]),
    emulators(facts),
    ...(facts.policy === undefined ? [] : [policy(facts.policy)]),
    ...(facts.size === undefined ? [] : [size(facts.size)]),
  ];
}

function disks({ disks: { program, loops } }: ImageKindFacts): Finding {
  const report = about("disk images");
  if (!loops) {
    return report.ok("Disk images cannot run on this client, only block devices: the kernel has no loop devices.");
  }
  if (program) return report.ok("Any number of tasks can share a disk image that they do not change.");
  return report.ok(
    'systemd-nspawn copies disk images at each start with ephemeral, and with volatile = "overlay" in user namespaces: the program systemd-dissect is not installed.',
  );
}

function verity({ verity: { kernel, library } }: ImageKindFacts): Finding {
  const report = about("dm-verity");
  if (kernel && library) return report.ok("Disk images with dm-verity can be verified (root_hash).");
  const missing = [
    ...(kernel ? [] : ["the kernel has no dm-verity"]),
    ...(library ? [] : ["libcryptsetup is not installed (Debian: libcryptsetup12)"]),
  ];
  return report.ok(`Disk images with dm-verity (root_hash) cannot run on this client: ${missing.join(", and ")}.`);
}

function mountStacks(version: number): Finding {
  const report = about("mount stacks");
  return report.ok(
    version >= MOUNT_STACK_SINCE
      ? "Stacks of mounts (.mstack) can be images, with user_namespacing = false."
      : `Stacks of mounts (.mstack) cannot be images: they need systemd-nspawn ${MOUNT_STACK_SINCE}, and this client has ${version}.`,
  );
}

function emulators({ emulated }: ImageKindFacts): Finding {
  const report = about("emulators");
  return report.ok(
    emulated.length === 0
      ? "Images for other CPUs are refused: no emulator is registered with binfmt_misc."
      : `Programs for ${emulated.join(", ")} run by emulators (binfmt_misc).`,
  );
}

function policy(found: PolicyFact): Finding {
  const report = about("signature policy");
  if ("problem" in found) {
    return report.warning(
      `No container (OCI) image can run: ${found.problem}`,
      `Correct ${found.file}, or the plugin option signature_policy.`,
    );
  }
  if (found.unsupported.length > 0) {
    return report.warning(
      `Container images of these scopes of ${found.file} are refused, because the driver cannot verify them: ${found.unsupported.join("; ")}.`,
      "Require sigstoreSigned with keys for them, or accept that they do not run on this client.",
    );
  }
  return report.ok(`Container images have to fulfil the signature policy ${found.file} (${found.scopes} scopes).`);
}

function size({ stored, most }: NonNullable<ImageKindFacts["size"]>): Finding {
  const report = about("image store size");
  const text = `The image store has ${readableSize(stored)} of at most ${readableSize(most)} (gc.image_max_size)`;
  if (stored <= most) return report.ok(`${text}.`);
  return report.warning(
    `${text}: no image can be pulled until images that are in use are released.`,
    "Stop tasks whose images are not needed, or set a larger gc.image_max_size.",
  );
}
