import * as v from "valibot";
import { option, schemasOf } from "./option";
import { checked, filledText } from "./validators";

const IMAGE_TYPES = ["tar", "raw", "docker", "oci"] as const;
const VERIFICATIONS = ["no", "checksum", "signature"] as const;

const downloadOptions = {
  url: option({
    type: { kind: "string" },
    schema: v.pipe(
      filledText,
      checked((url: string) => (/[\s\p{Cc}]/u.test(url) ? "it must not contain white space" : undefined)),
    ),
    allowed: "an http:// or https:// URL, or the reference of an image in a registry",
    meaning: "Where the image is: an `http://` or `https://` URL, or a registry's image reference.",
  }),
  type: option({
    type: { kind: "string", values: IMAGE_TYPES },
    schema: v.optional(v.picklist(IMAGE_TYPES), "tar"),
    defaultInSpec: true,
    meaning: "What is downloaded.",
  }),
  verify: option({
    type: { kind: "string", values: VERIFICATIONS },
    schema: v.optional(v.picklist(VERIFICATIONS), "no"),
    defaultInSpec: true,
    meaning: "How the download is checked before it is used.",
  }),
  force: option({
    type: { kind: "bool" },
    schema: v.optional(v.boolean(), false),
    defaultInSpec: true,
    meaning: "Download even when the image is there already.",
  }),
};

const authOptions = {
  username: option({ type: { kind: "string" }, schema: filledText, secret: true, meaning: "User name." }),
  password: option({ type: { kind: "string" }, schema: filledText, secret: true, meaning: "Password or token." }),
};

/** Where the image comes from. */
export const imageOptions = {
  image_download: option({
    type: { kind: "block", options: downloadOptions },
    schema: v.optional(
      v.pipe(
        v.strictObject(schemasOf(downloadOptions)),
        v.forward(
          v.check(
            ({ type, url }) => type === "docker" || type === "oci" || /^https?:\/\/[^/]/.test(url),
            "it must be an http:// or https:// URL for an image of type tar or raw",
          ),
          ["url"],
        ),
      ),
    ),
    meaning: "Download the image before the task starts.",
    example: 'image_download {\n  url  = "https://example.com/debian.tar.xz"\n  type = "tar"\n}',
  }),
  auth: option({
    type: { kind: "block", options: authOptions },
    schema: v.optional(v.strictObject(schemasOf(authOptions))),
    secret: true,
    meaning: "Credentials for the registry the image comes from.",
    example: 'auth {\n  username = "ci"\n  password = "secret"\n}',
  }),
};
