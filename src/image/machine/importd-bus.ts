import { createHash } from "node:crypto";
import { createClient, type Message, type MessageBus, messageType } from "dbus-native";
import { callMethod, DbusError } from "../../systemd/dbus";
import { SYSTEM_BUS } from "../../systemd/presence";
import { type ImportdLine, progressOf } from "./importd-log";
import { idOf, TRANSFER_PREFIX } from "./pool";
import type { MachineImage } from "./request";

const DESTINATION = "org.freedesktop.import1";
const MANAGER_PATH = "/org/freedesktop/import1";
const MANAGER_INTERFACE = "org.freedesktop.import1.Manager";
/** importd's error if another client is downloading the same already (bus-common-errors.h). */
const IN_PROGRESS = "org.freedesktop.import1.TransferInProgress";

/** The result of a transfer: importd's own ("done", "canceled", "failed"), or "lost" if importd itself disappeared. */
type TransferResult = string;

/** What the signals reported about a transfer. */
class Watched {
  readonly lines: ImportdLine[] = [];
  readonly over = Promise.withResolvers<TransferResult>();
  onPercent: (percent: number) => void = () => {};
}

/** A connection to systemd-importd that follows every transfer from its first moment on (org.freedesktop.import1(5)). */
export class ImportdBus implements AsyncDisposable {
  readonly #bus: MessageBus;
  /** By path: a transfer may be over before the answer to the call that started it is read. */
  readonly #watched = new Map<string, Watched>();
  #closed = false;

  private constructor(bus: MessageBus) {
    this.#bus = bus;
  }

  /** @throws Error if no system bus exists */
  static async connect(): Promise<ImportdBus> {
    const bus = createClient({ socket: SYSTEM_BUS, authMethods: ["EXTERNAL"], fdTransport: false });
    const importd = new ImportdBus(bus);
    // Without a listener, an error of the connection would end the process.
    bus.connection.on("error", () => {});
    bus.connection.on("close", () => {
      importd.#closed = true;
      importd.#failAll();
    });
    bus.connection.on("message", (message: Message) => importd.#take(message));
    try {
      await bus.addMatch(`type='signal',sender='${DESTINATION}'`);
      await bus.addMatch(`type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${DESTINATION}'`);
      return importd;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  /** importd's current transfers. @throws Error */
  async transfers(): Promise<Transfer[]> {
    const [list] = await this.#call("ListTransfers", "", []);
    const found: Transfer[] = [];
    for (const entry of Array.isArray(list) ? list : []) {
      if (!Array.isArray(entry)) continue;
      const [id, type, remote, local, , path] = entry;
      if (typeof id !== "number" || typeof path !== "string") continue;
      found.push({ id, type: String(type), remote: String(remote), local: String(local), path });
    }
    return found;
  }

  /**
   * Starts a transfer.
   *
   * @returns undefined if the same URL is being downloaded already
   * @throws Error with importd's reason
   */
  async begin({ url, type, verify }: MachineImage, local: string): Promise<Pick<Transfer, "id" | "path"> | undefined> {
    const member = type === "tar" ? "PullTar" : "PullRaw";
    try {
      // With force: the decision to download is made already, and importd fails on its own copy of an earlier download if
      // the server sends no ETag (measured with 257).
      const [id, path] = await this.#call(member, "sssb", [url.href, local, verify, true]);
      if (typeof id === "number" && typeof path === "string") return { id, path };
    } catch (error) {
      if (error instanceof DbusError && error.dbusName === IN_PROGRESS) return undefined;
      throw error;
    }
    throw new Error("systemd-importd returned no transfer path.");
  }

  /** Cancels a transfer; does nothing if it is over already. */
  cancel(id: number): void {
    this.#call("CancelTransfer", "u", [id]).catch(() => {});
  }

  /** Settles with the result of a transfer. @param onPercent gets its progress */
  ended(path: string, onPercent: (percent: number) => void = () => {}): Promise<TransferResult> {
    const watched = this.#watch(path);
    watched.onPercent = onPercent;
    if (this.#closed) watched.over.resolve("lost");
    return watched.over.promise;
  }

  /** importd's log lines about a transfer since this connection was opened. */
  lines(path: string): readonly ImportdLine[] {
    return this.#watch(path).lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus.close();
  }

  #take({ type, member, path, body }: Message): void {
    if (type !== messageType.signal) return;
    const [first, second, third] = body ?? [];
    if (member === "TransferRemoved" && typeof second === "string" && typeof third === "string") {
      this.#watch(second).over.resolve(third);
    } else if (member === "NameOwnerChanged" && first === DESTINATION && third === "") {
      this.#failAll();
    } else if (
      member === "LogMessage" &&
      path !== undefined &&
      typeof first === "number" &&
      typeof second === "string"
    ) {
      const percent = progressOf(second);
      const watched = this.#watch(path);
      if (percent === undefined) watched.lines.push({ priority: first, text: second });
      else watched.onPercent(percent);
    }
  }

  #watch(path: string): Watched {
    const known = this.#watched.get(path) ?? new Watched();
    this.#watched.set(path, known);
    return known;
  }

  /** A restarted importd, which the next call starts, uses the same paths for its transfers again. */
  #failAll(): void {
    for (const { over } of this.#watched.values()) over.resolve("lost");
    this.#watched.clear();
  }

  #call(member: string, signature: string, body: readonly unknown[]): Promise<readonly unknown[]> {
    const call = {
      destination: DESTINATION,
      path: MANAGER_PATH,
      interface: MANAGER_INTERFACE,
      member,
      signature,
      body,
    };
    return callMethod(this.#bus, call);
  }
}

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
