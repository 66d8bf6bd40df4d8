/**
 * Devices by the Container Device Interface (CDI, https://github.com/cncf-tags/container-device-interface, SPEC.md): a vendor's program
 * writes what a container needs of a device into a file on the host, a *specification*, and jobs name the device, as
 * "vendor.com/class=name". A specification has *edits*: device nodes, mounts, variables and groups, some for all of its devices, some for
 * one.
 *
 * This file parses a specification; read.ts reads those of the host, and select.ts combines the edits of the devices that a task gets.
 * Specifications are the operator's, because only root may write them: but a program of a vendor wrote them, so that everything in them is
 * checked.
 */

import * as v from "valibot";
import { isRecord } from "../lib/objects";

/** Versions of the specification whose parts are known here. */
export const CDI_VERSIONS: readonly string[] = ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

const absolute = v.pipe(v.string(), v.regex(/^\/[^\0]*$/, "it must be an absolute path"));
const number = v.pipe(v.number(), v.integer(), v.minValue(0));
const count = 4096;
const list = <TItem extends v.GenericSchema>(item: TItem) => v.optional(v.pipe(v.array(item), v.maxLength(count)), []);

const edits = v.object({
  env: list(v.pipe(v.string(), v.regex(/^[^=\0]+=[^\0]*$/, "it must be NAME=VALUE"))),
  deviceNodes: list(
    v.object({
      path: absolute,
      hostPath: v.optional(absolute),
      permissions: v.optional(v.pipe(v.string(), v.regex(/^[rwm]{0,3}$/, "it must consist of r, w and m")), ""),
    }),
  ),
  mounts: list(
    v.object({
      hostPath: absolute,
      containerPath: absolute,
      type: v.optional(v.string(), ""),
      options: list(v.string()),
    }),
  ),
  hooks: list(v.object({ hookName: v.string(), path: absolute, args: list(v.string()) })),
  additionalGids: list(number),
  netDevices: list(v.unknown()),
  intelRdt: v.optional(v.unknown()),
});

const deviceName = v.pipe(
  v.union([v.string(), v.number()]),
  v.transform(String),
  v.regex(/^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/, "it must be the name of a device"),
);

const spec = v.object({
  cdiVersion: v.picklist(CDI_VERSIONS, `the driver knows the versions ${CDI_VERSIONS.join(", ")}`),
  kind: v.pipe(v.string(), v.check(isKind, "it must be VENDOR/CLASS, such as vendor.com/gpu")),
  devices: v.pipe(
    v.array(v.object({ name: deviceName, containerEdits: v.optional(edits, {}) })),
    v.minLength(1),
    v.maxLength(count),
  ),
  containerEdits: v.optional(edits, {}),
});

/** A specification: a kind of devices, and what containers need of them. */
export type CdiSpec = v.InferOutput<typeof spec>;
/** What a container needs of a device. */
export type CdiEdits = v.InferOutput<typeof edits>;

/** The name of a device: "VENDOR/CLASS=NAME". */
export interface CdiName {
  readonly kind: string;
  readonly device: string;
}

function isKind(text: string): boolean {
  return /^[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?\/[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$/.test(text);
}

/** Parses "VENDOR/CLASS=NAME"; undefined for anything else. */
export function parseCdiName(text: string): CdiName | undefined {
  const equals = text.indexOf("=");
  const [kind, device] = [text.slice(0, Math.max(equals, 0)), text.slice(equals + 1)];
  return isKind(kind) && v.is(deviceName, device) ? { kind, device } : undefined;
}

/**
 * Parses a specification.
 *
 * @param format of the text, by the file's name
 * @returns the problem as the end of a sentence if it is not one
 */
export function parseCdiSpec(text: string, format: "json" | "yaml"): CdiSpec | string {
  let value: unknown;
  try {
    value = format === "json" ? JSON.parse(text) : Bun.YAML.parse(text);
  } catch {
    return `it is not ${format.toUpperCase()}`;
  }
  if (!isRecord(value)) return "it is not an object";
  const result = v.safeParse(spec, value, { abortEarly: true });
  if (!result.success) return problemOf(result.issues[0]);
  const names = result.output.devices.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice === undefined ? result.output : `it has the device ${JSON.stringify(twice)} twice`;
}

function problemOf(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? "the specification";
  if (issue.input === undefined) return `${path} is missing`;
  // A schema's own message is of the library, and a check's is one of those above.
  return `${path} is not valid: ${issue.kind === "schema" && issue.type !== "picklist" ? "it is of another type" : issue.message}`;
}
