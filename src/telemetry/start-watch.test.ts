import { expect, test } from "bun:test";
import { ConfigError, ImageError, StoreError } from "../lib/errors";
import type { LogFields } from "../lib/logger";
import { otlpLine } from "./otlp";
import { failureKind, type StartTrace, StartWatch } from "./start-watch";

const subject = { task: "web", alloc: "a1", job: "site", namespace: "default", machine: "web-a1" };

function watched(times: readonly number[]) {
  const lines: (LogFields | undefined)[] = [];
  const counted: unknown[] = [];
  const traces: StartTrace[] = [];
  const left = [...times];
  const watch = new StartWatch(
    {
      log: { trace: (_message, fields) => lines.push(fields) },
      metrics: { add: (...all) => counted.push(all), observe: (...all) => counted.push(all) },
      onTrace: (trace) => traces.push(trace),
      now: () => left.shift() ?? 0,
    },
    subject,
  );
  return { watch, lines, counted, traces };
}

test("each stage is a line with the time since the one before, an observation, and a part of the trace", () => {
  const { watch, lines, counted, traces } = watched([100, 101.26, 151.3, 160]);
  watch.done("plan");
  watch.done("image");
  watch.succeeded();
  expect(lines).toEqual([
    { ...subject, stage: "plan", ms: 1.3 },
    { ...subject, stage: "image", ms: 50 },
  ]);
  expect(counted).toEqual([
    ["nomad_nspawn_start_stage_duration_seconds", { stage: "plan" }, expect.closeTo(0.00126, 5)],
    ["nomad_nspawn_start_stage_duration_seconds", { stage: "image" }, expect.closeTo(0.05004, 5)],
    ["nomad_nspawn_starts_total", { result: "success" }],
    ["nomad_nspawn_start_duration_seconds", {}, 0.06],
  ]);
  expect(traces).toEqual([
    {
      subject,
      from: 100,
      to: 160,
      stages: [
        { stage: "plan", from: 100, to: 101.26 },
        { stage: "image", from: 101.26, to: 151.3 },
      ],
    },
  ]);
});

test("a failed start counts by the kind of its error, and its trace has the sentence", () => {
  const { watch, counted, traces } = watched([100, 130]);
  watch.failed(new StoreError("The disk is full.", { recoverable: true }), "The disk is full.");
  expect(counted).toEqual([
    ["nomad_nspawn_starts_total", { result: "failure" }],
    ["nomad_nspawn_start_failures_total", { kind: "store" }],
  ]);
  expect(traces[0]?.failure).toEqual({ kind: "store", message: "The disk is full." });
});

test.each([
  [new ConfigError("x"), "job"],
  [new ImageError("x"), "image"],
  [new Error("x"), "other"],
  ["text", "other"],
  [Object.assign(new Error("x"), { name: "constructor" }), "other"],
] as const)("the kind of an error", (error, kind) => {
  expect(failureKind(error)).toBe(kind);
});

test("a trace as OTLP/JSON has the field names of trace.proto", () => {
  let next = 0;
  const origin = {
    host: "client1",
    version: "1.2.3",
    randomBytes: (length: number) => new Uint8Array(length).fill(++next),
  };
  const from = 1_790_000_000_000.25;
  const stages = [{ stage: "plan", from, to: from + 1.5 }] as const;
  const line = otlpLine({ subject, from, to: from + 2, stages, failure: { kind: "job", message: "No." } }, origin);
  expect(line).not.toContain("\n");
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
  expect(JSON.parse(line)).toEqual({
    resourceSpans: [
      {
        resource: {
          attributes: [
            text("service.name", "nomad-driver-nspawn"),
            text("service.version", "1.2.3"),
            text("host.name", "client1"),
          ],
        },
        scopeSpans: [
          {
            scope: { name: "nomad-driver-nspawn", version: "1.2.3" },
            spans: [
              {
                traceId: "01".repeat(16),
                spanId: "02".repeat(8),
                name: "start",
                kind: 1,
                startTimeUnixNano: "1790000000000250000",
                endTimeUnixNano: "1790000000002250000",
                attributes: [
                  text("nomad.task.name", "web"),
                  text("nomad.alloc.id", "a1"),
                  text("nomad.job.id", "site"),
                  text("nomad.namespace", "default"),
                  text("nspawn.machine", "web-a1"),
                  text("error.type", "job"),
                ],
                status: { code: 2, message: "No." },
              },
              {
                traceId: "01".repeat(16),
                spanId: "03".repeat(8),
                parentSpanId: "02".repeat(8),
                name: "plan",
                kind: 1,
                startTimeUnixNano: "1790000000000250000",
                endTimeUnixNano: "1790000000001750000",
              },
            ],
          },
        ],
      },
    ],
  });
});
