import { createClient, type Message, type MessageBus, messageType } from "dbus-native";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { isRecord } from "../lib/objects";
import { callMethod, DbusError } from "./dbus";
import { FdSocket } from "./dbus-socket";
import type { SignalHeader } from "./message-filter";

/**
 * PID 1's own D-Bus socket, which systemctl uses as root too: it needs no bus daemon, so tasks can start and stop while
 * the daemon restarts.
 */
const PRIVATE_SOCKET = "/run/systemd/private";
const DESTINATION = "org.freedesktop.systemd1";
const MANAGER_PATH = "/org/freedesktop/systemd1";
const MANAGER_INTERFACE = "org.freedesktop.systemd1.Manager";
const PEER_INTERFACE = "org.freedesktop.DBus.Peer";
const PROPERTIES_INTERFACE = "org.freedesktop.DBus.Properties";
const UNIT_INTERFACE = "org.freedesktop.systemd1.Unit";
const SERVICE_INTERFACE = "org.freedesktop.systemd1.Service";
const RECONNECT_DELAY_MS = 100;
const NUDGE_INTERVAL_MS = 10;

/** Signals of the manager that are used, beside the changes of watched units. */
const SIGNALS: readonly string[] = ["JobRemoved", "UnitRemoved"];
/**
 * The properties that refresh() fetches. A service has several hundred, and reading all of them takes longer than all else that a start
 * does (measured on systemd 257).
 */
const SERVICE_PROPERTIES = [
  "MainPID",
  "ExecMainPID",
  "ExecMainCode",
  "ExecMainStatus",
  "ExecMainStartTimestamp",
  "ExecMainExitTimestamp",
  "Result",
] as const;
/** Those of them that a service has whose process runs since its start. */
const RUNNING_PROPERTIES = ["MainPID", "ExecMainStartTimestamp"] as const;

/** A unit property with its D-Bus signature; a descriptor has signature "h" and an index into `fds`. */
export type UnitProperty = readonly [name: string, value: readonly [signature: string, value: unknown]];

/** Changed or fetched property values by name; 64-bit values are bigints. */
export type PropertyValues = Readonly<Record<string, unknown>>;

/** A change of a unit; "lost" means that changes may have been missed and must be fetched. */
export type UnitChange =
  | { readonly kind: "properties"; readonly values: PropertyValues }
  | { readonly kind: "removed" }
  | { readonly kind: "lost" };

/** The object path of a unit: everything but letters and digits is written as _xx (sd_bus_path_encode(3)). */
export function unitPath(unit: string): string {
  const encoded = Buffer.from(unit)
    .toString("latin1")
    .replace(/[^A-Za-z0-9]|^[0-9]/g, (character) => `_${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `${MANAGER_PATH}/unit/${encoded}`;
}

interface Connection {
  readonly bus: MessageBus;
  /** PID 1's version, once it was asked for. A PID 1 of another version comes with another connection: it re-executes itself. */
  version?: Promise<number>;
}

/** The systemd manager (PID 1) over D-Bus: calls, and the changes of the units that are watched. Connects on first use. */
export class SystemdManager {
  readonly #watches = new Map<string, Set<(change: UnitChange) => void>>();
  /** Callbacks for finished jobs by unit; a job's end may be reported before StartTransientUnit's own response is read. */
  readonly #jobs = new Map<string, (result: string) => void>();
  #connection: Promise<Connection> | undefined;
  #ended = false;

  /** @param socket PID 1's; tests use another one */
  constructor(
    private readonly log: Logger,
    private readonly socket = PRIVATE_SOCKET,
  ) {}

  /** Calls `listener` for every change of a unit until the returned function is called. */
  watch(unit: string, listener: (change: UnitChange) => void): () => void {
    const path = unitPath(unit);
    const listeners = this.#watches.get(path) ?? new Set();
    listeners.add(listener);
    this.#watches.set(path, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#watches.delete(path);
    };
  }

  /**
   * Starts a transient unit and waits until its start job has ended.
   *
   * @param fds descriptors that properties of signature "h" refer to by index
   * @returns the job's result (org.freedesktop.systemd1(5), JobRemoved): "done" if the service has started
   * @throws DbusError if PID 1 rejects the unit
   */
  startTransientUnit(unit: string, properties: readonly UnitProperty[], fds: readonly number[]): Promise<string> {
    const body = [unit, "fail", properties, []];
    return this.#job(unit, () =>
      this.#call(MANAGER_PATH, MANAGER_INTERFACE, "StartTransientUnit", "ssa(sv)a(sa(sv))", body, fds),
    );
  }

  /**
   * Restarts a unit as one job, and waits until the job has ended.
   *
   * @returns the job's result, as of startTransientUnit(); "canceled" if the unit was stopped meanwhile
   * @throws DbusError if PID 1 rejects it
   */
  restartUnit(unit: string): Promise<string> {
    return this.#job(unit, () => this.#call(MANAGER_PATH, MANAGER_INTERFACE, "RestartUnit", "ss", [unit, "replace"]));
  }

  /** The version of PID 1, such as 257; 0 if it reports none. It is asked for once per connection. */
  async version(): Promise<number> {
    const connection = await this.#connected();
    connection.version ??= this.#fetchVersion().catch((error: unknown) => {
      delete connection.version;
      throw error;
    });
    return connection.version;
  }

  async #fetchVersion(): Promise<number> {
    const body = [MANAGER_INTERFACE, "Version"];
    const [value] = await this.#call(MANAGER_PATH, PROPERTIES_INTERFACE, "Get", "ss", body);
    return Number(/\d+/.exec(String(value))?.[0] ?? 0);
  }

  /** Starts a job with a call, and waits for its end. */
  async #job(unit: string, call: () => Promise<unknown>): Promise<string> {
    const result = Promise.withResolvers<string>();
    // A unit has one job at a time, so the job is identified by the unit's name without waiting for the job's path.
    this.#jobs.set(unit, result.resolve);
    try {
      await call();
      return await result.promise;
    } finally {
      this.#jobs.delete(unit);
    }
  }

  /** Requests a stop of a unit; resolves when the job is queued. */
  async stopUnit(unit: string): Promise<void> {
    await this.#call(MANAGER_PATH, MANAGER_INTERFACE, "StopUnit", "ss", [unit, "replace"]);
  }

  /** Sends a signal to every process of a unit. */
  async killUnit(unit: string, signal: number): Promise<void> {
    await this.#call(MANAGER_PATH, MANAGER_INTERFACE, "KillUnit", "ssi", [unit, "all", signal]);
  }

  /**
   * Changes properties of a unit while it runs, until the next boot (org.freedesktop.systemd1(5), SetUnitProperties). PID 1 writes them
   * into a drop-in, which it removes together with a transient unit.
   *
   * @throws DbusError if PID 1 rejects one of them
   */
  async setUnitProperties(unit: string, properties: readonly UnitProperty[]): Promise<void> {
    const body = [unit, true, properties];
    await this.#call(MANAGER_PATH, MANAGER_INTERFACE, "SetUnitProperties", "sba(sv)", body);
  }

  /** Resets a unit's failed state, so that it can be unloaded. */
  async resetFailed(unit: string): Promise<void> {
    await this.#call(MANAGER_PATH, MANAGER_INTERFACE, "ResetFailedUnit", "s", [unit]);
  }

  /**
   * Fetches the state of a service unit and notifies its listeners of it as changes, one property each, in the order in which PID 1
   * sent responses and changes. For a unit that is gone, only LoadState is reported, because PID 1 would return defaults. Resolves
   * when all listeners were notified.
   *
   * @param what "running" for a unit that was just started: only what one has whose process runs, in a third of the calls
   */
  async refresh(unit: string, what?: "running"): Promise<void> {
    const path = unitPath(unit);
    let loaded = true;
    const get = (iface: string, name: string) =>
      this.#call(path, PROPERTIES_INTERFACE, "Get", "ss", [iface, name], [], (value) => {
        if (name === "LoadState") loaded = value !== "not-found";
        this.#notify(path, { kind: "properties", values: { [name]: value } });
      });
    if (what === undefined) await get(UNIT_INTERFACE, "LoadState");
    if (!loaded) return;
    const names = what === undefined ? SERVICE_PROPERTIES : RUNNING_PROPERTIES;
    // The service's properties first: when the unit is known to have exited, its exit status must be known too.
    await Promise.all([...names.map((name) => get(SERVICE_INTERFACE, name)), get(UNIT_INTERFACE, "SubState")]);
  }

  /** Closes the connection; listeners are not notified any more. */
  async close(): Promise<void> {
    this.#ended = true;
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.bus.close();
  }

  async #call(
    path: string,
    iface: string,
    member: string,
    signature: string,
    body: readonly unknown[],
    fds: readonly number[] = [],
    answered?: (value: unknown) => void,
  ): Promise<readonly unknown[]> {
    const { bus } = await this.#connected();
    try {
      return await callMethod(
        bus,
        { destination: DESTINATION, path, interface: iface, member, signature, body, fds },
        answered,
      );
    } catch (error) {
      if (!(error instanceof DbusError)) throw error;
      throw new DbusError(error.dbusName, `systemd rejected ${member}: ${error.message}`, { cause: error });
    }
  }

  #connected(): Promise<Connection> {
    if (this.#connection === undefined) {
      const connection = this.#connect();
      this.#connection = connection;
      connection.catch(() => {
        if (this.#connection === connection) this.#connection = undefined;
      });
    }
    return this.#connection;
  }

  async #connect(): Promise<Connection> {
    const stream = await FdSocket.connect(this.socket, (signal) => this.#wants(signal)).catch((error: unknown) => {
      throw new DbusError("", `cannot connect to systemd's socket ${this.socket}: ${errorText(error)}`);
    });
    const bus = createClient({ stream, direct: true, authMethods: ["EXTERNAL"] });
    const ready = Promise.withResolvers<void>();
    bus.connection.on("connect", () => ready.resolve());
    bus.connection.on("error", (error) => {
      this.log.debug("connection to systemd failed", { error: error.message });
      ready.reject(error);
    });
    bus.connection.on("close", () => {
      ready.reject(new DbusError("", "systemd closed the connection"));
      this.#lost();
    });
    bus.connection.on("message", (message) => this.#dispatch(message));
    await ready.promise;
    await subscribe(bus);
    return { bus };
  }

  /** PID 1 drops its connections when it re-executes itself: everything watched must be fetched again. */
  #lost(): void {
    this.#connection = undefined;
    if (this.#ended) return;
    setTimeout(() => {
      if (this.#ended || (this.#watches.size === 0 && this.#jobs.size === 0)) return;
      this.#connected().then(
        () => this.#notifyLost(),
        () => this.#lost(),
      );
    }, RECONNECT_DELAY_MS);
  }

  #notifyLost(): void {
    // The end of a job during the disconnect is not reported; the state of its unit shows the result.
    for (const resolve of this.#jobs.values()) resolve("lost");
    for (const listeners of this.#watches.values()) for (const listener of listeners) listener({ kind: "lost" });
  }

  /** Most signals are about other units: they are dropped before they are decoded. */
  #wants({ path, member }: SignalHeader): boolean {
    return member === "PropertiesChanged" ? this.#watches.has(path) : SIGNALS.includes(member);
  }

  #dispatch(message: Message): void {
    if (message.type !== messageType.signal) return;
    const { path, member, body = [] } = message;
    if (member === "PropertiesChanged" && path !== undefined) {
      const [iface, changed] = body;
      if (iface !== UNIT_INTERFACE && iface !== SERVICE_INTERFACE) return;
      this.#notify(path, { kind: "properties", values: isRecord(changed) ? changed : {} });
    } else if (member === "JobRemoved") {
      const [, , unit, result] = body;
      if (typeof unit === "string" && typeof result === "string") this.#jobs.get(unit)?.(result);
    } else if (member === "UnitRemoved") {
      const [, removed] = body;
      if (typeof removed === "string") this.#notify(removed, { kind: "removed" });
    }
  }

  #notify(path: string, change: UnitChange): void {
    for (const listener of this.#watches.get(path) ?? []) listener(change);
  }
}

/**
 * Subscribes to PID 1's signals about its units (org.freedesktop.systemd1(5), Subscribe).
 *
 * A message that PID 1 reads together with the "BEGIN" that ends the authentication stays in its buffer until more bytes
 * arrive (measured on systemd 257: the response came with the next message, however late). So this first call is followed by
 * pings until the response arrives.
 */
async function subscribe(bus: MessageBus): Promise<void> {
  const ping = () =>
    bus.invoke({ destination: DESTINATION, path: MANAGER_PATH, interface: PEER_INTERFACE, member: "Ping" }, () => {});
  const nudge = setInterval(ping, NUDGE_INTERVAL_MS);
  try {
    await bus.invoke({
      destination: DESTINATION,
      path: MANAGER_PATH,
      interface: MANAGER_INTERFACE,
      member: "Subscribe",
    });
  } finally {
    clearInterval(nudge);
  }
}
