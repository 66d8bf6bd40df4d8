import { createHash } from "node:crypto";
import { idOf, TRANSFER_PREFIX } from "./lock";
import type { MachineImage } from "./request";

/** A transfer that systemd-importd is busy with (org.freedesktop.import1(5), ListTransfers()). */
export interface Transfer {
  readonly id: number;
  /** Such as "pull-tar". */
  readonly type: string;
  readonly remote: string;
  /** Name that the image gets. */
  readonly local: string;
  readonly path: string;
}

/** What a download by systemd-importd begins with. */
export type Step =
  | { readonly kind: "begin" }
  /** The very same was begun by a driver that was killed: importd goes on by itself. */
  | { readonly kind: "join"; readonly transfer: Transfer }
  /** A killed driver wanted something else under this name. */
  | { readonly kind: "cancel"; readonly transfer: Transfer }
  /** Somebody is downloading from the same URL; importd does that once at a time. */
  | { readonly kind: "wait"; readonly transfer: Transfer };

/**
 * The name under which importd makes an image, before it gets its own: one that nobody else's has, which tells all that is wanted. So
 * nothing that a killed driver began ever takes the place of an image by itself, and what it began is known again.
 */
export function transferName({ name, url, type, verify }: MachineImage): string {
  const wanted = createHash("sha256")
    .update(JSON.stringify([url.href, type, verify]))
    .digest("hex")
    .slice(0, 12);
  return `${transferPrefix(name)}${wanted}`;
}

/** Decides by what importd is doing already. The caller holds the image's lock: nobody else is downloading one of its name. */
export function nextStep(transfers: readonly Transfer[], image: MachineImage): Step {
  const own = transfers.find(({ local }) => local.startsWith(transferPrefix(image.name)));
  if (own !== undefined) return { kind: own.local === transferName(image) ? "join" : "cancel", transfer: own };
  const same = transfers.find(({ type, remote }) => type === `pull-${image.type}` && remote === image.url.href);
  return same === undefined ? { kind: "begin" } : { kind: "wait", transfer: same };
}

/** What the names of all transfers of an image begin with. */
export function transferPrefix(name: string): string {
  return `${TRANSFER_PREFIX}${idOf(name)}-`;
}
