import { createClient, type Message, type MessageBus, messageType } from "dbus-native";
import { SYSTEM_BUS } from "../../host/importd";
import { abortError } from "../http/transfer-error";
import { failureOf, type ImportdLine, progressOf } from "./importd-log";
import type { Fetch } from "./machine-image";
import { type MachineImage, subjectOf } from "./request";

const destination = "org.freedesktop.import1";
const managerPath = "/org/freedesktop/import1";
const managerInterface = "org.freedesktop.import1.Manager";
/** It may have to be started first. */
const callTimeoutMs = 60_000;

/** What a download by systemd-importd needs. */
export interface ImportdContext {
  readonly signal: AbortSignal;
  /** Told how far it is, in percent. */
  readonly onPercent?: (percent: number) => void;
}

/** How a transfer ended: importd's word ("done", "canceled", "failed"), or "lost" when importd itself did. */
type Result = string;

/** Has systemd-importd download an image, as machinectl does (org.freedesktop.import1(5)). */
export function fetchByImportd({ signal, onPercent }: ImportdContext): Fetch {
  return async (image) => {
    const bus = createClient({ socket: SYSTEM_BUS, authMethods: ["EXTERNAL"], fdTransport: false });
    // Without a listener a connection that breaks would end the process.
    bus.connection.on("error", () => {});
    try {
      await transfer(bus, image, signal, onPercent);
    } finally {
      await bus.close();
    }
  };
}

async function transfer(
  bus: MessageBus,
  image: MachineImage,
  signal: AbortSignal,
  onPercent: (percent: number) => void = () => {},
): Promise<void> {
  const lines: ImportdLine[] = [];
  // A transfer may be over before the answer to the call that began it was read.
  const ended = new Map<string, Result>();
  let wanted: string | undefined;
  const over = Promise.withResolvers<Result>();
  const look = () => {
    const result = wanted === undefined ? undefined : ended.get(wanted);
    if (result !== undefined) over.resolve(result);
  };
  bus.connection.on("close", () => over.resolve("lost"));
  bus.connection.on("message", (message: Message) => {
    if (message.type !== messageType.signal) return;
    const [first, second, third] = message.body ?? [];
    if (message.member === "TransferRemoved" && typeof second === "string" && typeof third === "string") {
      ended.set(second, third);
      look();
    } else if (message.member === "NameOwnerChanged" && first === destination && third === "") {
      over.resolve("lost");
    } else if (message.member === "LogMessage" && typeof first === "number" && typeof second === "string") {
      if (wanted !== undefined && message.path !== wanted) return;
      const percent = progressOf(second);
      if (percent === undefined) lines.push({ priority: first, text: second });
      else onPercent(percent);
    }
  });
  const subject = subjectOf(image);
  await bus.addMatch(`type='signal',sender='${destination}'`);
  await bus.addMatch(`type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${destination}'`);
  let id: unknown;
  try {
    [id, wanted] = await begin(bus, image);
  } catch (error) {
    throw failureOf(subject, [{ priority: 3, text: error instanceof Error ? error.message : String(error) }]);
  }
  look();
  const cancel = () => {
    // Of one that is over by now nothing is left to cancel.
    call(bus, "CancelTransfer", "u", [id]).catch(() => {});
  };
  signal.addEventListener("abort", cancel);
  try {
    if (signal.aborted) cancel();
    const result = await over.promise;
    if (result === "done") return;
    if (signal.aborted) throw abortError(subject, signal);
    throw failureOf(subject, result === "lost" ? [{ priority: 3, text: "systemd-importd ended" }] : lines);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function begin(bus: MessageBus, { name, url, type, verify }: MachineImage): Promise<[unknown, string]> {
  const member = type === "tar" ? "PullTar" : "PullRaw";
  // By force: that it is to be downloaded is decided already, and importd stumbles over its own copy of an earlier download where
  // the server gives no ETag (measured with 257).
  const [id, path] = await call(bus, member, "sssb", [url.href, name, verify, true]);
  if (typeof path !== "string") throw new Error("systemd-importd did not tell the transfer's path.");
  return [id, path];
}

function call(bus: MessageBus, member: string, signature: string, body: readonly unknown[]): Promise<unknown[]> {
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
    bus.invoke(message, { timeout: callTimeoutMs }, (error: Error | null, ...values: unknown[]) => {
      if (error === null) resolve(values);
      else reject(error);
    });
  });
}
