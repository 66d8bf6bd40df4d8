import { errorText } from "../host/error-text";
import type { Logger } from "../plugin/logger";
import { applyRules } from "./firewall";
import { watchTables } from "./netlink/events";
import { hasTable } from "./netlink/tables";
import { withRecords } from "./records";
import { tableName } from "./rules";
import { forgetEarlierFlows } from "./stale-flows";

/**
 * Keeps the rules for containers in force while there are any that this process follows: a restart of nftables.service, or
 * whoever else flushes all rules of a host, takes the driver's away with its own.
 */
export class RulesKeeper {
  readonly #log: Logger;
  #held = 0;
  #unwatch: (() => void) | undefined;
  #restoring = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Keeps them for one container more.
   *
   * @returns lets go, for this container
   */
  hold(): () => void {
    this.#held += 1;
    if (this.#held === 1) this.#begin();
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#held -= 1;
      if (this.#held === 0) this.#end();
    };
  }

  #begin(): void {
    try {
      this.#unwatch = watchTables(() => this.#look());
      // They may have been taken away since they were put in force for this container.
      this.#look();
    } catch (error) {
      this.#log.warn("rules that somebody takes away are not put in force again", { error: errorText(error) });
    }
  }

  #end(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #look(): void {
    if (this.#restoring) return;
    this.#restoring = true;
    this.#restore().then(
      (restored) => {
        this.#restoring = false;
        // What happened meanwhile was not looked at.
        if (restored) this.#look();
      },
      (error: unknown) => {
        this.#restoring = false;
        this.#log.error("ports of tasks may not be reached", { error: errorText(error) });
      },
    );
  }

  async #restore(): Promise<boolean> {
    if (hasTable(tableName) || !(await restoreRules())) return false;
    this.#log.warn(`somebody removed the nftables table ${tableName}; its rules are in force again`);
    return true;
  }
}

/** Where there is no such table though there should be one; another driver of this host may have been faster. */
async function restoreRules(): Promise<boolean> {
  return withRecords(async (records) => {
    if ((await records.rules()) === "" || hasTable(tableName)) return false;
    await applyRules(records, { anyway: true });
    for (const record of await records.all()) forgetEarlierFlows(record);
    return true;
  });
}
