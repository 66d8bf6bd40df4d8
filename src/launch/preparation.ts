import type { Rootfs } from "../rootfs/rootfs";
import { namespaced } from "../values/private-users";

/**
 * What may keep systemd-nspawn busy before it starts a container's program, as the end of a sentence: only what takes longer with a larger
 * image, or waits for another host (run() and outer_child() of nspawn.c).
 */
export function preparationNote({ image, options }: Pick<Rootfs, "image" | "options">): string {
  const { ephemeral, private_users_ownership: ownership = "auto" } = options;
  const works = [
    ...(ephemeral ? ["copying the image (ephemeral = true)"] : []),
    ...(namespaced(options) && (ownership === "chown" || ownership === "auto")
      ? ["changing the owners of the image's files (user_namespacing, private_users_ownership)"]
      : []),
    ...(image.kind === "image" ? ["checking and mounting the disk image"] : []),
  ];
  return works.length === 0 ? "making its mounts" : works.join(", or ");
}
