import * as v from "valibot";
import { duration } from "../duration-row";
import { option } from "../option";
import { flag } from "../row-types";
import { SIZE, size, sizeLimit } from "../size-row";

/** Options of the block `gc`. */
export const gcOptions = {
  image: option({
    ...flag(true),
    meaning:
      "Remove unused images that the driver downloaded: container (OCI) images, and those of `image_download` (docs/images.md).",
  }),
  image_delay: option({ ...duration("3m", 0), meaning: "How long an unused image is kept." }),
  image_min_free: option({
    type: { kind: "string" },
    schema: v.optional(size, "500MB"),
    allowed: SIZE,
    meaning:
      "Free space to keep on the disk of `image_store`: below it, unused images are removed before `image_delay`, and a pull that needs more space fails; the same applies to `image_download` and the disk of `/var/lib/machines`.",
  }),
  image_max_size: option({
    ...sizeLimit,
    meaning:
      "How much the unpacked layers of container (OCI) images in `image_store` may have in sum: above it, unused images are removed before `image_delay`, and a pull that does not fit beside the images in use fails. Without it only the disk is the limit.",
    example: 'image_max_size = "50GB"',
  }),
  container: option({
    ...flag(true),
    meaning: "Remove dangling containers: those that this client's driver started and that no longer belong to a task.",
  }),
  container_delay: option({
    ...duration("5m", 0),
    meaning:
      "How long the driver waits for the agent to recover its tasks, from its start and from each recovered task on, before it looks for dangling containers.",
  }),
};
