import * as v from "valibot";
import { parseReference } from "../../values/image-reference";
import { optionalDuration } from "../duration-row";
import { option, schemasOf } from "../option";
import { choice, flag, string } from "../row-types";
import { checked, filledText } from "../validators";

const IMAGE_TYPES = ["tar", "raw", "docker", "oci"] as const;
const VERIFICATIONS = ["no", "checksum", "signature"] as const;

/** Whether a URL, even an invalid one, may contain a password, or a query with a secret. A digest contains an @ as well. */
function mayHoldCredentials(url: unknown): boolean {
  return typeof url === "string" && /\?|\/\/.*@|:.*@(?!sha\d+:)/s.test(url);
}

const downloadOptions = {
  url: option({
    type: { kind: "string" },
    schema: v.pipe(
      filledText,
      checked((url: string) => (/[\s\p{Cc}]/u.test(url) ? "it must not contain white space" : undefined)),
    ),
    secret: mayHoldCredentials,
    allowed: "an http:// or https:// URL, the absolute path of a file, or the reference of an image in a registry",
    meaning:
      "Where the image is: an `http://` or `https://` URL or a file of the client (an absolute path or `file://` URL) for the types `tar` and `raw`, a registry's image reference for `docker` and `oci`.",
  }),
  type: option({
    type: { kind: "string", values: IMAGE_TYPES },
    schema: v.optional(v.picklist(IMAGE_TYPES), "tar"),
    defaultInSpec: true,
    meaning:
      "What is downloaded: an archive of a root directory (`tar`) or a disk image (`raw`), each plain or compressed by gzip, zstd, xz or bzip2, or a container (OCI) image (`docker` and `oci` are the same).",
  }),
  verify: option({
    type: { kind: "string", values: VERIFICATIONS },
    schema: v.optional(v.picklist(VERIFICATIONS), "no"),
    defaultInSpec: true,
    meaning:
      "How a download of type `tar` or `raw` is verified before it is used: by a checksum file beside it (`SHA256SUMS` or `NAME.sha256`), or also by the signature of that file.",
  }),
  force: option({
    type: { kind: "bool" },
    schema: v.optional(v.boolean(), false),
    defaultInSpec: true,
    meaning: "Download the image even if it exists, and replace the existing one.",
  }),
};

const authOptions = {
  username: option({ type: { kind: "string" }, schema: filledText, secret: true, meaning: "User name." }),
  password: option({ type: { kind: "string" }, schema: filledText, secret: true, meaning: "Password or token." }),
  server_address: option({
    ...string(filledText),
    allowed: "the host of a registry, with or without a port",
    meaning:
      "The registry that the credentials are for, as with the Docker driver. A task whose image is in another one is refused, so that it does not get them.",
  }),
};

function isReference(url: string): boolean {
  try {
    parseReference(url);
    return true;
  } catch {
    return false;
  }
}

function isFileUrl(url: string): boolean {
  return url.startsWith("/") || (/^(?:https?:\/\/[^/]|file:\/\/\/)/.test(url) && URL.canParse(url));
}

/** Where the image comes from, and what is taken from its config. */
export const imageOptions = {
  pull: option({
    ...choice(["missing", "always", "never", "newer"]),
    meaning:
      "When the registry of a container (OCI) image is asked what its name means: only if the image is not in the store (`missing`), at each start (`always`), never, so that an image that is not in the store is refused (`never`), or at each start, with the stored image and a task event if the registry cannot be reached (`newer`). Without this option a tag is asked for once, and `latest` at each start.",
    example: 'pull = "newer"',
  }),
  template: option({
    ...string(filledText),
    allowed: "a directory, or the name of one known to machinectl",
    meaning:
      "A directory of the client from which the image is made, once: a copy in `/var/lib/machines` under the name that `image` is. Later starts use the copy, with what earlier tasks have changed in it. The driver never removes it; `machinectl remove NAME` does (docs/images.md).",
    nspawn: "--template=",
    example: 'template = "debian"',
  }),
  image_pull_timeout: option({
    ...optionalDuration(1000),
    meaning: "How long the download of this task's image may take, instead of the plugin option `pull_timeout`.",
    example: 'image_pull_timeout = "30m"',
  }),
  auth_soft_fail: option({
    ...flag(false),
    meaning:
      "Fetch the image without credentials if the registry refuses those of the job or the operator, or if the operator's cannot be read.",
  }),
  image_volumes: option({
    ...choice(["keep", "tmpfs"]),
    meaning:
      "What the directories are that a container (OCI) image declares as volumes (`VOLUME`): directories of the task's root (`keep`, the default), or an empty tmpfs each (`tmpfs`). Where the job mounts something itself, that is used.",
    example: 'image_volumes = "tmpfs"',
  }),
  image_download: option({
    type: { kind: "block", options: downloadOptions },
    schema: v.optional(
      v.pipe(
        v.strictObject(schemasOf(downloadOptions)),
        v.forward(
          v.check(
            ({ type, url }) => (type === "docker" || type === "oci" ? isReference(url) : isFileUrl(url)),
            "it must be an http:// or https:// URL or the absolute path of a file for an image of type tar or raw, and an image reference for one of type docker or oci",
          ),
          ["url"],
        ),
      ),
    ),
    meaning:
      "Download the image before the task starts, unless an image named `image` exists. Images of type `tar` and `raw` are stored in `/var/lib/machines` (docs/images.md).",
    example: 'image_download {\n  url  = "https://example.com/debian.tar.xz"\n  type = "tar"\n}',
  }),
  auth: option({
    type: { kind: "block", options: authOptions },
    schema: v.optional(v.strictObject(schemasOf(authOptions))),
    secret: true,
    meaning: "Credentials for the image's registry.",
    example: 'auth {\n  username = "ci"\n  password = "secret"\n}',
  }),
};
