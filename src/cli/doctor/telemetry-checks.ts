import type { PluginOptions } from "../../config/plugin/options";
import { errnoCode } from "../../lib/errors";
import { formatListenAddress } from "../../values/listen-address";
import { about, type Finding } from "./finding";

/** How long the driver may take to answer, in milliseconds. */
const ANSWER_MS = 3_000;

/** The address of the metrics, and what answers there: "metrics", or why not. */
export interface TelemetryFact {
  readonly address: string;
  readonly answer: "metrics" | "nothing" | "other";
}

/** Asks for the metrics at the configured address; undefined if none is configured. */
export async function readTelemetry({
  telemetry,
}: Pick<PluginOptions, "telemetry">): Promise<TelemetryFact | undefined> {
  const { address } = telemetry;
  if (address === undefined) return undefined;
  const named = formatListenAddress(address);
  const url = address.kind === "unix" ? "http://localhost/metrics" : `http://${named}/metrics`;
  const unix = address.kind === "unix" ? { unix: address.path } : {};
  try {
    const response = await fetch(url, { ...unix, signal: AbortSignal.timeout(ANSWER_MS) });
    const text = await response.text();
    return { address: named, answer: text.includes("nomad_nspawn_build_info") ? "metrics" : "other" };
  } catch (error) {
    const refused = ["ENOENT", "ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket"];
    return { address: named, answer: refused.includes(errnoCode(error) ?? "") ? "nothing" : "other" };
  }
}

const report = about("telemetry");

/** Whether the metrics can be read. Pure. */
export function telemetryFindings(fact: TelemetryFact | undefined): Finding[] {
  if (fact === undefined) return [];
  const { address, answer } = fact;
  if (answer === "metrics") return [report.ok(`The driver serves its metrics at ${address}.`)];
  if (answer === "nothing") {
    return [
      report.warning(
        `Nothing listens at telemetry.address = "${address}": the agent does not run, or the driver could not use the address.`,
        'Start the agent; if it runs, its log has the reason in the line "metrics are not served".',
      ),
    ];
  }
  return [
    report.warning(
      `What answers at telemetry.address = "${address}" is not the driver: metrics are not served there.`,
      "Choose another address in the block telemetry, and restart the agent.",
    ),
  ];
}
