import { create } from "@bufbuild/protobuf";
import {
  type FingerprintResponse,
  FingerprintResponse_HealthState,
  FingerprintResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { errorText } from "../lib/errors";
import { readCgroupLayout } from "../linux/cgroup/layout";
import { MINIMUM_VERSION } from "../nspawn/features";
import { readNspawn, watchNspawn } from "../nspawn/installation";
import type { Driver } from "../runtime/driver";
import type { Supervisor } from "../supervisor/supervisor";

/** The host's properties that the fingerprint depends on. */
export interface HostFacts {
  readonly enabled: boolean;
  readonly root: boolean;
  /** Major version of systemd-nspawn; undefined when it is not installed. */
  readonly nspawnVersion: number | undefined;
  /** Why systemd-nspawn does not run although it is installed. */
  readonly nspawnProblem?: string;
  readonly volumes: boolean;
  readonly cgroup: "v1" | "v2";
  readonly supervisor: Supervisor["name"];
}

/** Why no task can run on this host, as a sentence; undefined if the driver is healthy. */
export function healthProblem(facts: HostFacts): string | undefined {
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

/** The fingerprint of a host; it has attributes only if tasks can run. */
export function fingerprint(facts: HostFacts): FingerprintResponse {
  const problem = healthProblem(facts);
  if (problem !== undefined) {
    return create(FingerprintResponseSchema, {
      health: FingerprintResponse_HealthState.UNHEALTHY,
      healthDescription: problem,
    });
  }
  const text = (value: string) => ({ value: { case: "stringVal", value } }) as const;
  const flag = (value: boolean) => ({ value: { case: "boolVal", value } }) as const;
  return create(FingerprintResponseSchema, {
    health: FingerprintResponse_HealthState.HEALTHY,
    healthDescription: "ready",
    attributes: {
      "driver.nspawn": flag(true),
      "driver.nspawn.version": text(String(facts.nspawnVersion)),
      "driver.nspawn.volumes": flag(facts.volumes),
      "driver.nspawn.cgroup": text(facts.cgroup),
      "driver.nspawn.supervisor": text(facts.supervisor),
      "driver.nspawn.network": text("host,group,none,veth,bridge,zone"),
    },
  });
}

/** Inspects the host. */
export async function readHostFacts(driver: Driver): Promise<HostFacts> {
  const { enabled, volumes } = driver.config.options;
  const nspawn = await readNspawn().catch((error: unknown) => errorText(error));
  return {
    enabled,
    volumes,
    root: process.getuid?.() === 0,
    nspawnVersion: typeof nspawn === "object" ? nspawn.version : undefined,
    ...(typeof nspawn === "string" ? { nspawnProblem: nspawn } : {}),
    cgroup: readCgroupLayout().kind === "v2" ? "v2" : "v1",
    supervisor: driver.supervisor,
  };
}

/** The host's fingerprint now, and again whenever systemd-nspawn is installed or removed or the config changes. */
export async function* fingerprints(driver: Driver, signal: AbortSignal): AsyncGenerator<FingerprintResponse> {
  let wake = () => {};
  let changed = true;
  const notice = () => {
    changed = true;
    wake();
  };
  const stops = [watchNspawn(notice), driver.config.onChange(notice)];
  const aborted = () => wake();
  signal.addEventListener("abort", aborted);
  let last = "";
  try {
    while (!signal.aborted) {
      if (changed) {
        changed = false;
        const facts = await readHostFacts(driver);
        const description = JSON.stringify(facts);
        if (description !== last) {
          last = description;
          driver.log.info(healthProblem(facts) ?? "ready for tasks", {
            supervisor: facts.supervisor,
            nspawn: facts.nspawnVersion,
            cgroup: facts.cgroup,
          });
          yield fingerprint(facts);
        }
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    for (const stop of stops) stop();
    signal.removeEventListener("abort", aborted);
  }
}
