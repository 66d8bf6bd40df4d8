import * as v from "valibot";
import { LISTEN_ADDRESS, parseListenAddress } from "../../values/listen-address";
import { option } from "../option";
import { string } from "../row-types";
import { sizeLimitOr } from "../size-row";
import { checked, normalizedPath, Problem, parsed, text } from "../validators";

/** Options of the block `telemetry`. */
export const telemetryOptions = {
  address: option({
    ...string(
      v.pipe(
        text,
        parsed((value: string) => {
          const address = parseListenAddress(value);
          return typeof address === "string" ? new Problem(address) : address;
        }),
      ),
    ),
    allowed: LISTEN_ADDRESS,
    meaning:
      "Where the driver serves its metrics, as `/metrics` over HTTP (docs/metrics.md): a Unix socket that only root may use, or a port of the loopback interface, which every user of the client may read. Off by default.",
    example: 'address = "unix:/run/nomad-nspawn-metrics.sock"',
  }),
  traces: option({
    ...string(
      v.pipe(
        normalizedPath,
        checked((path: string) => (path.endsWith("/") ? "it must be the path of a file" : undefined)),
      ),
    ),
    allowed: "the absolute path of a file",
    meaning:
      "File to which the driver appends a trace of each start, with a span for each of its stages: a line of OTLP/JSON each (docs/metrics.md). Off by default.",
    example: 'traces = "/var/log/nomad-driver-nspawn/traces.jsonl"',
  }),
  traces_max_size: option({
    ...sizeLimitOr("10MB"),
    meaning:
      "How large the file of `traces` becomes: it is then renamed, with `.1` after its name, in place of the one before.",
  }),
};
