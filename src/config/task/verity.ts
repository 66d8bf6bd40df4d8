import * as v from "valibot";
import { option } from "../option";
import { string } from "../row-types";
import { absolutePathProblem, checked, filledText } from "../validators";

/** Verification of disk images by dm-verity (systemd-nspawn(1), "Image Options"; systemd.image-policy(7)). */

const SIGNATURE = /^base64:[A-Za-z0-9+/]+={0,2}$/;

/** The names of a policy's parts and uses, with the signs between them. */
const POLICY = /^[a-z0-9~*:+=-]+$/;

/** How a disk image is verified. */
export const verityOptions = {
  root_hash: option({
    ...string(
      v.pipe(
        filledText,
        checked((hash: string) =>
          /^(?:[0-9a-f]{2}){16,128}$/i.test(hash)
            ? undefined
            : "it must be a root hash of dm-verity: an even number of hexadecimal digits, at least 32",
        ),
      ),
    ),
    meaning:
      "The root hash of a disk image that dm-verity protects: every block is verified when it is read. Without it systemd-nspawn looks for an attribute or a file `NAME.roothash` beside the image. The client needs libcryptsetup and the kernel's dm-verity.",
    nspawn: "--root-hash=",
    example: 'root_hash = "4f2c3b1e9a7d58604f2c3b1e9a7d58604f2c3b1e9a7d58604f2c3b1e9a7d5860"',
    switches: (hash) => [`--root-hash=${hash}`],
  }),
  root_hash_signature: option({
    ...string(
      v.pipe(
        filledText,
        checked((text: string) =>
          SIGNATURE.test(text) || absolutePathProblem(text) === undefined
            ? undefined
            : 'it must be an absolute path, or "base64:" and the signature in Base64',
        ),
      ),
    ),
    allowed: 'an absolute path, or "base64:" and the signature',
    meaning:
      "The PKCS#7 signature of `root_hash`, which the kernel verifies: a file that `image_paths` allows, or the signature itself.",
    nspawn: "--root-hash-sig=",
    example: 'root_hash_signature = "/srv/images/web.roothash.p7s"',
    switches: (signature) => [`--root-hash-sig=${signature}`],
  }),
  verity_data: option({
    ...string(v.pipe(filledText, checked(absolutePathProblem))),
    allowed: "an absolute path",
    meaning:
      "The file or block device with the hashes of dm-verity, if the image has only the data; `image_paths` has to allow it.",
    nspawn: "--verity-data=",
    example: 'verity_data = "/srv/images/web.verity"',
    switches: (path) => [`--verity-data=${path}`],
  }),
  image_policy: option({
    ...string(
      v.pipe(
        filledText,
        checked((policy: string) =>
          POLICY.test(policy) ? undefined : 'it must be a policy such as "root=verity+signed:usr=verity+signed"',
        ),
      ),
    ),
    meaning:
      "Which partitions a disk image must have, and how each must be protected (`systemd.image-policy(7)`); any other image is refused. It needs systemd-nspawn 254.",
    nspawn: "--image-policy=",
    example: 'image_policy = "root=verity+signed:=absent"',
    switches: (policy) => [`--image-policy=${policy}`],
  }),
};
