import { create } from "@bufbuild/protobuf";
import {
  type FingerprintResponse,
  FingerprintResponse_HealthState,
  FingerprintResponseSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { AsyncQueue } from "../lib/async-queue";
import { version } from "../lib/executable";
import { type FingerprintFacts, healthProblem } from "./host-probe";
import type { Services } from "./services";

/** The fingerprint of a host; it has attributes only if tasks can run. */
export function fingerprint(facts: FingerprintFacts): FingerprintResponse {
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
      "driver.nspawn.driver_version": text(version),
      ...Object.fromEntries(
        Object.entries(facts.allowed).map(([name, value]) => [
          `driver.nspawn.${name}`,
          typeof value === "string" ? text(value) : flag(value),
        ]),
      ),
      "driver.nspawn.network": text("host,group,none,veth,bridge,zone,macvlan,ipvlan,interface"),
    },
  });
}

/** The host's fingerprint now, and again whenever systemd-nspawn is installed or removed or the config changes. */
export async function* fingerprints(
  { host, log }: Pick<Services, "host" | "log">,
  signal: AbortSignal,
): AsyncGenerator<FingerprintResponse> {
  const changes = new AsyncQueue<"changed">(1, ["changed"]);
  const stopHost = host.onChange(() => changes.push("changed"));
  const stopWatching = changes.endWith(signal);
  let last = "";
  try {
    for await (const _change of changes) {
      const facts = await host.facts();
      const description = JSON.stringify(facts);
      if (description === last) continue;
      last = description;
      const problem = healthProblem(facts);
      const fields = {
        supervisor: facts.supervisor,
        nspawn: facts.nspawnVersion,
        cgroup: facts.cgroup,
      };
      if (problem === undefined) log.info("ready for tasks", fields);
      else log.info("not ready for tasks", { reason: problem, ...fields });
      yield fingerprint(facts);
    }
  } finally {
    stopHost();
    stopWatching();
  }
}
