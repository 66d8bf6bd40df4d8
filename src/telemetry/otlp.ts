import type { StageTime, StartTrace } from "./start-watch";

/**
 * A trace in OTLP/JSON: an ExportTraceServiceRequest (opentelemetry-proto, trace_service.proto and trace.proto) as proto3 JSON, with the
 * IDs in hexadecimal and 64-bit numbers as strings (OTLP specification, "JSON Protobuf Encoding"). The collector's file exporter writes one such
 * object per line, and its receiver otlpjsonfile reads them.
 */

/** What the spans have in common. */
export interface TraceOrigin {
  readonly host: string;
  readonly version: string;
  /** Random bytes: 16 for a trace, 8 for a span. */
  readonly randomBytes: (length: number) => Uint8Array;
}

/** trace.proto, Span.SpanKind: work within the process. */
const SPAN_KIND_INTERNAL = 1;
/** trace.proto, Status.StatusCode. */
const STATUS = { ok: 1, error: 2 } as const;
const NS_PER_MS = 1_000_000n;

/** A start as one line, without its line break: a span for the start, and one for each of its stages below it. Pure. */
export function otlpLine(trace: StartTrace, { host, version, randomBytes }: TraceOrigin): string {
  const hex = (length: number) => Buffer.from(randomBytes(length)).toString("hex");
  const traceId = hex(16);
  const root = hex(8);
  const { subject, failure } = trace;
  const spans = [
    {
      traceId,
      spanId: root,
      name: "start",
      kind: SPAN_KIND_INTERNAL,
      ...times(trace),
      attributes: attributes({
        "nomad.task.name": subject.task,
        "nomad.alloc.id": subject.alloc,
        "nomad.job.id": subject.job,
        "nomad.namespace": subject.namespace,
        "nspawn.machine": subject.machine,
        ...(failure === undefined ? {} : { "error.type": failure.kind }),
      }),
      status: failure === undefined ? { code: STATUS.ok } : { code: STATUS.error, message: failure.message },
    },
    ...trace.stages.map((stage) => ({
      traceId,
      spanId: hex(8),
      parentSpanId: root,
      name: stage.stage,
      kind: SPAN_KIND_INTERNAL,
      ...times(stage),
    })),
  ];
  const resource = { "service.name": "nomad-driver-nspawn", "service.version": version, "host.name": host };
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributes(resource) },
        scopeSpans: [{ scope: { name: "nomad-driver-nspawn", version }, spans }],
      },
    ],
  });
}

function attributes(values: Readonly<Record<string, string>>) {
  return Object.entries(values).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}

function times({ from, to }: Pick<StageTime, "from" | "to">) {
  return { startTimeUnixNano: nanoseconds(from), endTimeUnixNano: nanoseconds(to) };
}

/** Milliseconds as a number of nanoseconds; their fraction counts to the microsecond. */
function nanoseconds(ms: number): string {
  const whole = Math.floor(ms);
  return String(BigInt(whole) * NS_PER_MS + BigInt(Math.floor((ms - whole) * 1000)) * 1000n);
}
