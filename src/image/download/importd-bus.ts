import { createClient, type Message, type MessageBus, messageType } from "dbus-native";
import { SYSTEM_BUS } from "../../host/importd";
import { type ImportdLine, progressOf } from "./importd-log";
import type { Transfer } from "./importd-transfers";
import type { MachineImage } from "./request";

const destination = "org.freedesktop.import1";
const managerPath = "/org/freedesktop/import1";
const managerInterface = "org.freedesktop.import1.Manager";
/** It may have to be started first. */
const callTimeoutMs = 60_000;
/** What importd answers that downloads the same for somebody else already (bus-common-errors.h). */
const inProgress = "org.freedesktop.import1.TransferInProgress";

/** How a transfer ended: importd's word ("done", "canceled", "failed"), or "lost" when importd itself did. */
export type TransferResult = string;

/** A transfer as far as its signals told of it. */
class Watched {
  readonly lines: ImportdLine[] = [];
  readonly over = Promise.withResolvers<TransferResult>();
  onPercent: (percent: number) => void = () => {};
}

/** A connection to systemd-importd, which hears of every transfer from its first moment on (org.freedesktop.import1(5)). */
export class ImportdBus implements AsyncDisposable {
  readonly #bus: MessageBus;
  /** By path: a transfer may be over before the answer to the call that began it was read. */
  readonly #watched = new Map<string, Watched>();
  #closed = false;

  private constructor(bus: MessageBus) {
    this.#bus = bus;
  }

  /** @throws Error where there is no system bus */
  static async connect(): Promise<ImportdBus> {
    const bus = createClient({ socket: SYSTEM_BUS, authMethods: ["EXTERNAL"], fdTransport: false });
    const importd = new ImportdBus(bus);
    // Without a listener a connection that breaks would end the process.
    bus.connection.on("error", () => {});
    bus.connection.on("close", () => {
      importd.#closed = true;
      importd.#loseAll();
    });
    bus.connection.on("message", (message: Message) => importd.#take(message));
    try {
      await bus.addMatch(`type='signal',sender='${destination}'`);
      await bus.addMatch(`type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${destination}'`);
      return importd;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  /** What importd is busy with. @throws Error */
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
   * Begins a transfer.
   *
   * @returns undefined where the same URL is being downloaded already
   * @throws Error with importd's reason
   */
  async begin({ url, type, verify }: MachineImage, local: string): Promise<Pick<Transfer, "id" | "path"> | undefined> {
    const member = type === "tar" ? "PullTar" : "PullRaw";
    try {
      // By force: that it is to be downloaded is decided already, and importd stumbles over its own copy of an earlier download where
      // the server gives no ETag (measured with 257).
      const [id, path] = await this.#call(member, "sssb", [url.href, local, verify, true]);
      if (typeof id === "number" && typeof path === "string") return { id, path };
    } catch (error) {
      if (error instanceof Error && "dbusName" in error && error.dbusName === inProgress) return undefined;
      throw error;
    }
    throw new Error("systemd-importd did not tell the transfer's path.");
  }

  /** Ends a transfer; of one that is over by now nothing is left to end. */
  cancel(id: number): void {
    this.#call("CancelTransfer", "u", [id]).catch(() => {});
  }

  /** Settles with how a transfer ended. @param onPercent told how far it is */
  ended(path: string, onPercent: (percent: number) => void = () => {}): Promise<TransferResult> {
    const watched = this.#watch(path);
    watched.onPercent = onPercent;
    if (this.#closed) watched.over.resolve("lost");
    return watched.over.promise;
  }

  /** What importd wrote of a transfer since this connection was made. */
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
    } else if (member === "NameOwnerChanged" && first === destination && third === "") {
      this.#loseAll();
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

  /** A next importd, which the next call starts, gives its transfers the same paths again. */
  #loseAll(): void {
    for (const { over } of this.#watched.values()) over.resolve("lost");
    this.#watched.clear();
  }

  #call(member: string, signature: string, body: readonly unknown[]): Promise<unknown[]> {
    const message: Message = {
      type: messageType.methodCall,
      destination,
      path: managerPath,
      interface: managerInterface,
      member,
      signature,
      body: [...body],
    };
    return new Promise((resolve, reject) => {
      this.#bus.invoke(message, { timeout: callTimeoutMs }, (error: Error | null, ...values: unknown[]) => {
        if (error === null) resolve(values);
        else reject(error);
      });
    });
  }
}
