import { errorText } from "../../lib/errors";
import type { Logger } from "../../lib/logger";
import { hasTable } from "../../linux/netlink/netfilter";
import { watchTables } from "../../linux/netlink/watch";
import { withRecords } from "../private/records";
import { flushStaleFlows } from "./forwarding";
import { applyRules } from "./nftables";
import { TABLE_NAME } from "./ruleset";

/**
 * Keeps the rules for containers in force while this process follows any: a restart of nftables.service, or
 * another program that flushes all rules of a host, also removes the driver's.
 */
export class RuleReconciler {
  #holders = 0;
  #unwatch: (() => void) | undefined;
  #restoring = false;

  /** @param onRestored called when a missing table was restored */
  constructor(
    private readonly log: Logger,
    private readonly onRestored: () => void = () => {},
  ) {}

  /** Keeps the rules for one more container. @returns stops that for this container */
  hold(): () => void {
    this.#holders += 1;
    if (this.#holders === 1) this.#startWatching();
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#holders -= 1;
      if (this.#holders > 0) return;
      this.#unwatch?.();
      this.#unwatch = undefined;
    };
  }

  #startWatching(): void {
    try {
      this.#unwatch = watchTables(() => this.#check());
      // They may have been removed since they were applied for this container.
      this.#check();
    } catch (error) {
      this.log.warn("cannot watch nftables: removed rules will not be restored", { error: errorText(error) });
    }
  }

  #check(): void {
    if (this.#restoring) return;
    this.#restoring = true;
    this.#restore().then(
      (restored) => {
        this.#restoring = false;
        // Changes during the restore were not checked.
        if (restored) this.#check();
      },
      (error: unknown) => {
        this.#restoring = false;
        this.log.error("forwarded ports may be unreachable: cannot apply nftables rules", { error: errorText(error) });
      },
    );
  }

  async #restore(): Promise<boolean> {
    if (hasTable(TABLE_NAME) || !(await restoreRules())) return false;
    this.log.warn("an nftables table was removed by another program; restored", { table: TABLE_NAME });
    this.onRestored();
    return true;
  }
}

/** Restores a missing table that should exist; another driver on this host may have been faster. */
async function restoreRules(): Promise<boolean> {
  return withRecords(async (records) => {
    if ((await records.rules()) === "" || hasTable(TABLE_NAME)) return false;
    await applyRules(records, { anyway: true });
    for (const record of await records.all()) flushStaleFlows(record);
    return true;
  });
}
