import type { TaskOptions } from "../config/task/options";
import type { Features } from "./features";

/**
 * The root has to be verified; other partitions are as without a policy (systemd.image-policy(7)). That of the signature is named because
 * "signed" alone would require it, also of an image that only has the hashes (image-policy.c, image_policy_get()).
 */
const VERIFIED_ROOT = "root=verity+signed:root-verity-sig=unprotected+unused+absent:=open";

/**
 * The policy of a disk image for systemd's programs: that of the job, or one that follows from its root hash. They ignore a root hash if
 * the image is a file system without partitions and hashes (systemd-nspawn 252 and 257, systemd-dissect 252, 257 and 262, measured): the
 * policy makes them refuse an image that is not verified.
 */
export function imagePolicy(
  { root_hash: hash, image_policy: policy }: Pick<TaskOptions, "root_hash" | "image_policy">,
  features: Pick<Features, "imagePolicy">,
): string | undefined {
  return policy ?? (hash !== undefined && features.imagePolicy ? VERIFIED_ROOT : undefined);
}
