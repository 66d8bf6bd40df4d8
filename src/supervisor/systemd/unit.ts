import { settles } from "../../lib/deadline";
import { errorText } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { type Certain, certain } from "../../lib/promises";
import { removeLeftovers } from "../../nspawn/leftovers";
import type { Exit } from "../../nspawn/payload";
import { type PayloadWatch, watchPayload } from "../../nspawn/payload-watch";
import { signalPayload } from "../../nspawn/processes";
import type { StartNotice } from "../../nspawn/start-notice";
import type { SystemdManager, UnitChange, UnitProperty } from "../../systemd/manager";
import { SIGKILL } from "../../values/signals";
import { type Container, type ContainerRef, NotSupervisedError } from "../supervisor";
import { exitOfUnit } from "./exit-details";
import { drainCopies, removeCopies } from "./log-copy";
import { cpuMask, removeDropIn, unitName } from "./unit-properties";
import { awaitsRestart, hasEnded, mergeProperties, processEnd, type UnitState, unknownUnit } from "./unit-state";
import { unlessGone } from "./unless-gone";

/** How long systemd-nspawn may take to clean up after its container was killed. */
const ORDERLY_END_MS = 3000;
/** A unit that is read so often as ended without an exit has none: it was stopped before it ran. Once may have been during its end. */
const READS_WITHOUT_CODE = 2;

/** The calls of PID 1 that a unit uses. */
export type UnitManager = Pick<
  SystemdManager,
  "watch" | "refresh" | "stopUnit" | "killUnit" | "resetFailed" | "restartUnit" | "setUnitProperties"
>;

/** One container as a transient service of PID 1. */
export class SystemdUnit implements Container {
  readonly ref: ContainerRef;
  readonly started: Promise<void>;
  readonly exit: Certain<Exit>;
  readonly #manager: UnitManager;
  readonly #log: Logger;
  readonly #unit: string;
  readonly #ended = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<void>();
  readonly #removed = Promise.withResolvers<void>();
  readonly #unwatch: () => void;
  readonly #restartListeners = new Set<() => void>();
  #state: UnitState = unknownUnit;
  #payload: PayloadWatch | undefined;
  #watchedPid = 0;
  #locks: readonly string[] = [];
  #releasing: Promise<void> | undefined;
  #killed = false;
  #restarting = false;
  #verifying: Promise<void> | undefined;
  /** Whether the unit's properties are being read: until the last one, some of the state is older than the rest. */
  #reading = 0;
  /** How often in a row the unit was read as ended without an exit. */
  #endsWithoutCode = 0;
  #verifyAgain = false;

  /** Announces the first start; a container that reboots is searched for without it. */
  #notice: StartNotice | undefined;

  private constructor(manager: UnitManager, ref: ContainerRef, log: Logger, notice?: StartNotice) {
    this.#manager = manager;
    this.ref = ref;
    this.#log = log;
    this.#notice = notice;
    this.#unit = unitName(ref.machine);
    this.#unwatch = manager.watch(this.#unit, (change) => this.#changed(change));
    this.exit = certain(
      this.#ended.promise.then(() => this.#describeExit()),
      (error) => this.#plainExit(error),
    );
    this.started = Promise.race([this.#started.promise, this.exit.then(() => {})]);
  }

  /**
   * Finds a container's unit, running or exited.
   *
   * @throws NotSupervisedError if the unit does not exist
   */
  static async attach(manager: UnitManager, ref: ContainerRef, log: Logger): Promise<SystemdUnit> {
    const unit = new SystemdUnit(manager, ref, log);
    return unit.#known(() => unit.#refresh());
  }

  /**
   * Follows a unit whose start job has just ended. If its process runs, three of its properties are enough; PID 1 reports the others when
   * they change.
   *
   * @param notice announces the container
   * @throws NotSupervisedError if the unit does not exist
   */
  static async started(
    manager: UnitManager,
    ref: ContainerRef,
    log: Logger,
    notice: StartNotice | undefined,
  ): Promise<SystemdUnit> {
    const unit = new SystemdUnit(manager, ref, log, notice);
    return unit.#known(async () => {
      await unit.#read("running");
      if (unit.mainPid() === undefined || unit.#state.subState !== "running") await unit.#refresh();
    });
  }

  /** The unit once its state is known; it is not followed any more if that fails, or if it does not exist. */
  async #known(learn: () => Promise<void>): Promise<this> {
    try {
      await learn();
      if (this.#state.loadState !== "loaded") throw new NotSupervisedError(`systemd has no unit ${this.#unit}.`);
      return this;
    } catch (error) {
      this.#unwatch();
      this.#payload?.close();
      throw error;
    }
  }

  get startedAt(): number {
    return Math.floor(this.#state.startedAt / 1000);
  }

  mainPid(): number | undefined {
    return this.#state.mainPid === 0 ? undefined : this.#state.mainPid;
  }

  onRestart(listener: () => void): () => void {
    this.#restartListeners.add(listener);
    return () => this.#restartListeners.delete(listener);
  }

  async signal(signal: number): Promise<boolean> {
    const pid = this.mainPid();
    if (pid === undefined) return true;
    // The exit then does not count as an OOM kill, even if the kernel killed a process before.
    if (signal === SIGKILL) this.#killed = true;
    return signalPayload(pid, this.ref.mode, signal, { hold: () => this.#payload?.inspect() });
  }

  async setCpus(cpus: string): Promise<void> {
    const properties: UnitProperty[] = [["AllowedCPUs", ["ay", cpuMask(cpus)]]];
    await unlessGone(this.#manager.setUnitProperties(this.#unit, properties));
  }

  async kill(): Promise<void> {
    if (!this.#isOver()) {
      this.#killed = true;
      await this.#killContainer();
      if (!(await settles(this.exit, ORDERLY_END_MS))) {
        // The stop keeps systemd from restarting a container that is rebooting.
        await unlessGone(this.#manager.stopUnit(this.#unit));
        await unlessGone(this.#manager.killUnit(this.#unit, SIGKILL));
      }
    }
    await this.exit;
  }

  /**
   * Kills only the container's PID 1: its systemd-nspawn then cleans up its mounts, its network and its UID range, and exits.
   * If the container is still starting, waits for it.
   */
  async #killContainer(): Promise<void> {
    const pid = this.mainPid();
    if (pid === undefined) return;
    await signalPayload(pid, "boot", SIGKILL, { timeoutMs: ORDERLY_END_MS }).catch((error: unknown) => {
      this.#log.debug("orderly kill failed", {
        machine: this.ref.machine,
        error: errorText(error),
      });
    });
  }

  release(): Promise<void> {
    this.#releasing ??= this.#release().catch((error: unknown) => {
      this.#releasing = undefined;
      throw error;
    });
    return this.#releasing;
  }

  async #release(): Promise<void> {
    await this.kill();
    await unlessGone(this.#manager.stopUnit(this.#unit));
    await unlessGone(this.#manager.resetFailed(this.#unit));
    await this.#refresh();
    if (this.#state.loadState === "loaded") await this.#removed.promise;
    this.#unwatch();
    await removeCopies(this.#manager, this.ref.machine);
    await removeDropIn(this.#unit);
    const { problems } = await removeLeftovers(this.ref.machine, { locks: this.#locks });
    const { machine } = this.ref;
    for (const reason of problems) this.#log.warn("cannot remove all that a container left", { machine, reason });
  }

  #changed(change: UnitChange): void {
    if (change.kind === "properties") this.#update(mergeProperties(this.#state, change.values));
    else this.#verify();
  }

  #update(state: UnitState): void {
    this.#state = state;
    if (state.loadState === "not-found") this.#removed.resolve();
    if (state.mainPid !== 0 && state.mainPid !== this.#watchedPid) this.#watchPayload(state.mainPid);
    if (this.ref.mode === "boot" && awaitsRestart(state) && !this.#killed) this.#restart();
    this.#conclude();
  }

  /**
   * Ends the unit if its state says so. A state that is being read does not: PID 1 is asked for one property after the other, and of a
   * process that ends meanwhile, the first answers are from before its end, and the others from after it.
   */
  #conclude(): void {
    if (this.#reading > 0 || !this.#isOver()) return;
    const { execMainCode, loadState } = this.#state;
    if (execMainCode !== 0 || loadState === "not-found" || this.#endsWithoutCode >= READS_WITHOUT_CODE) {
      this.#ended.resolve();
    } else this.#verify();
  }

  /** Reads the unit's properties, which arrive as changes, and ends the unit if they say so. */
  async #refresh(): Promise<void> {
    await this.#read();
    const withoutCode = this.#isOver() && this.#state.execMainCode === 0;
    this.#endsWithoutCode = withoutCode ? this.#endsWithoutCode + 1 : 0;
    this.#conclude();
  }

  /** @param what see SystemdManager.refresh() */
  async #read(what?: "running"): Promise<void> {
    this.#reading += 1;
    try {
      await this.#manager.refresh(this.#unit, what);
    } finally {
      this.#reading -= 1;
    }
  }

  #isOver(): boolean {
    return hasEnded(this.#state) && !this.#restarting;
  }

  /** Restarts a container that rebooted. Uses a job, because systemd keeps the descriptors of a unit that has one. */
  #restart(): void {
    if (this.#restarting) return;
    this.#restarting = true;
    this.#manager
      .restartUnit(this.#unit)
      .then(
        (result) => {
          // The unit was stopped meanwhile.
          if (result === "canceled") this.#killed = true;
        },
        (error: unknown) => {
          this.#log.warn("cannot restart rebooted container", {
            machine: this.ref.machine,
            error: errorText(error),
          });
        },
      )
      .finally(() => {
        this.#restarting = false;
        this.#verify();
      });
  }

  /**
   * Fetches the unit's state. While systemd reloads or re-executes itself, it reports every unit as removed and dead, and then
   * as loaded again; it responds to the fetch when it is done.
   */
  #verify(): void {
    // The fetch in progress may return a state older than the reason for this one.
    if (this.#verifying !== undefined) {
      this.#verifyAgain = true;
      return;
    }
    this.#verifying = this.#refresh()
      .catch((error: unknown) => {
        this.#log.debug("cannot read unit properties", { machine: this.ref.machine, error: errorText(error) });
      })
      .finally(() => {
        this.#verifying = undefined;
        const again = this.#verifyAgain;
        this.#verifyAgain = false;
        if (again) this.#verify();
      });
  }

  #watchPayload(mainPid: number): void {
    const restarted = this.#watchedPid !== 0;
    this.#watchedPid = mainPid;
    this.#payload?.close();
    const found = (watch: PayloadWatch) => {
      this.#locks = watch.locks;
    };
    const started = () => this.#started.resolve();
    this.#payload = watchPayload(mainPid, this.ref.mode, { found, started }, this.#notice);
    this.#notice = undefined;
    if (restarted) for (const listener of this.#restartListeners) listener();
  }

  async #describeExit(): Promise<Exit> {
    const state = this.#state;
    const payloadStatus = this.#payload?.status();
    const payloadSeen = this.#payload?.seen ?? false;
    this.#payload?.close();
    const { machine, mode } = this.ref;
    await drainCopies(this.#manager, machine);
    const observed = { machine, mode, payloadStatus, payloadSeen, killed: this.#killed };
    return exitOfUnit(this.#unit, state, observed);
  }

  /** The exit from PID 1's state alone, if the other sources cannot be read. */
  #plainExit(error: unknown): Exit {
    this.#log.warn("exit details of a container are incomplete", {
      machine: this.ref.machine,
      error: errorText(error),
    });
    return { code: 0, signal: 0, ...processEnd(this.#state), oomKilled: false, at: Date.now() };
  }
}
