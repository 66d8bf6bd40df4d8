import { errorText } from "../lib/errors";
import { readCgroupLayout } from "../linux/cgroup/layout";
import { MINIMUM_VERSION } from "../nspawn/features";
import { type InstalledNspawn, readNspawn, watchNspawn } from "../nspawn/installation";
import type { SupervisorName } from "../supervisor/supervisors";
import type { LiveConfig } from "./live-config";
import { policyAttributes } from "./policy-attributes";

/** The host's properties that the fingerprint depends on. */
export interface FingerprintFacts {
  readonly enabled: boolean;
  readonly root: boolean;
  /** Major version of systemd-nspawn; undefined when it is not installed. */
  readonly nspawnVersion: number | undefined;
  /** Why systemd-nspawn does not run although it is installed. */
  readonly nspawnProblem?: string;
  readonly volumes: boolean;
  readonly cgroup: "v1" | "v2";
  readonly supervisor: SupervisorName;
  /** What the operator allows, as attributes; see policyAttributes(). */
  readonly allowed: Readonly<Record<string, string | boolean>>;
}

/** Why no task can run on this host, as a sentence; undefined if the driver is healthy. */
export function healthProblem(facts: FingerprintFacts): string | undefined {
  if (!facts.enabled) return "The driver is disabled (enabled = false in the nspawn plugin's config).";
  if (!facts.root) return "The driver must run as root: run the Nomad agent as root.";
  if (facts.nspawnProblem !== undefined) return `systemd-nspawn does not run: ${facts.nspawnProblem}`;
  if (facts.nspawnVersion === undefined) {
    return "systemd-nspawn is not installed: install it (Debian and Ubuntu: package systemd-container).";
  }
  if (facts.nspawnVersion < MINIMUM_VERSION) {
    return `systemd-nspawn ${facts.nspawnVersion} is too old: version ${MINIMUM_VERSION} or newer is needed.`;
  }
  return undefined;
}

/** Reads the current state of the host: supervisor, cgroups, systemd-nspawn. */
export class HostProbe {
  /** @param supervisor name of the supervisor for new tasks */
  constructor(
    private readonly config: LiveConfig,
    private readonly supervisor: () => SupervisorName,
  ) {}

  /** Reads everything the fingerprint depends on. */
  async facts(): Promise<FingerprintFacts> {
    const { enabled, volumes } = this.config.options;
    const nspawn = await readNspawn().catch((error: unknown) => errorText(error));
    return {
      enabled,
      volumes,
      root: process.getuid?.() === 0,
      nspawnVersion: typeof nspawn === "object" ? nspawn.version : undefined,
      ...(typeof nspawn === "string" ? { nspawnProblem: nspawn } : {}),
      cgroup: readCgroupLayout().kind === "v2" ? "v2" : "v1",
      supervisor: this.supervisor(),
      allowed: policyAttributes(this.config.options),
    };
  }

  /** The installed systemd-nspawn, for the start of a task. @throws Error with the reason why no task can run on this host */
  async requireHealthy(): Promise<InstalledNspawn> {
    const nspawn = await readNspawn();
    if (nspawn !== undefined && this.config.options.enabled) return nspawn;
    throw new Error(healthProblem(await this.facts()) ?? "systemd-nspawn is not installed.");
  }

  /** Calls `listener` when systemd-nspawn is installed or removed or the config changes, until the returned function is called. */
  onChange(listener: () => void): () => void {
    const stops = [watchNspawn(listener), this.config.onChange(listener)];
    return () => {
      for (const stop of stops) stop();
    };
  }
}
