import { createHash } from "node:crypto";
import { idOf, TRANSFER_PREFIX } from "./pool";
import type { MachineImage } from "./request";

/** A current transfer of systemd-importd (org.freedesktop.import1(5), ListTransfers()). */
export interface Transfer {
  readonly id: number;
  /** Such as "pull-tar". */
  readonly type: string;
  readonly remote: string;
  /** The name for the image. */
  readonly local: string;
  readonly path: string;
}

/** How to start a download by systemd-importd. */
export type Step =
  | { readonly kind: "begin" }
  /** A driver that was killed started the same transfer: importd continues it. */
  | { readonly kind: "join"; readonly transfer: Transfer }
  /** A killed driver started another transfer under this name. */
  | { readonly kind: "cancel"; readonly transfer: Transfer }
  /** Another client is downloading from the same URL; importd does not allow that twice. */
  | { readonly kind: "wait"; readonly transfer: Transfer };

/**
 * The name under which importd creates an image, before it gets its own: a unique one that identifies the whole request. So
 * nothing that a killed driver started ever replaces an image by itself, and what it started is recognized later.
 */
export function transferName({ name, url, type, verify }: MachineImage): string {
  const wanted = createHash("sha256")
    .update(JSON.stringify([url.href, type, verify]))
    .digest("hex")
    .slice(0, 12);
  return `${transferPrefix(name)}${wanted}`;
}

/** Decides by importd's current transfers. The caller holds the image's lock: no other driver downloads an image of its name. */
export function nextStep(transfers: readonly Transfer[], image: MachineImage): Step {
  const own = transfers.find(({ local }) => local.startsWith(transferPrefix(image.name)));
  if (own !== undefined) return { kind: own.local === transferName(image) ? "join" : "cancel", transfer: own };
  const same = transfers.find(({ type, remote }) => type === `pull-${image.type}` && remote === image.url.href);
  return same === undefined ? { kind: "begin" } : { kind: "wait", transfer: same };
}

/** The common prefix of the transfer names of an image. */
export function transferPrefix(name: string): string {
  return `${TRANSFER_PREFIX}${idOf(name)}-`;
}
