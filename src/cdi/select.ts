import { type CdiHook, workOf } from "./hooks";
import type { CdiFile } from "./read";
import { type CdiEdits, type CdiSpec, parseCdiName } from "./spec";

/** A device of a specification, with everything that a container needs of it. */
export interface CdiDevice {
  /** "VENDOR/CLASS=NAME". */
  readonly name: string;
  /** The file that has it. */
  readonly path: string;
  readonly own: CdiEdits;
}

/** What the devices of a task need together. */
export interface CdiSelection {
  readonly devices: readonly CdiDevice[];
  /** Of the devices, and of each specification once; the latter come first. */
  readonly edits: readonly { readonly subject: string; readonly edits: CdiEdits }[];
}

/** Every device of the specifications with this name, those of the directory with the highest precedence. */
function candidates(
  files: readonly CdiFile[],
  name: string,
): { readonly file: CdiFile; readonly spec: CdiSpec; readonly own: CdiEdits }[] {
  const wanted = parseCdiName(name);
  const found = files.flatMap((file) => {
    const { spec } = file;
    if (typeof spec === "string" || spec.kind !== wanted?.kind) return [];
    const device = spec.devices.find((each) => each.name === wanted.device);
    return device === undefined ? [] : [{ file, spec, own: device.containerEdits }];
  });
  const highest = Math.max(...found.map(({ file }) => file.priority));
  return found.filter(({ file }) => file.priority === highest);
}

/** Whether there are devices of a kind, "VENDOR/CLASS". */
export function hasKind(files: readonly CdiFile[], kind: string): boolean {
  return files.some(({ spec }) => typeof spec !== "string" && spec.kind === kind);
}

/**
 * Selects devices by their names.
 *
 * @returns the problem as the end of a sentence that begins with the device's name
 */
export function selectCdi(
  files: readonly CdiFile[],
  names: readonly string[],
): CdiSelection | { readonly name: string; readonly problem: string } {
  const devices: CdiDevice[] = [];
  const shared = new Map<string, CdiEdits>();
  for (const name of new Set(names)) {
    const [first, second] = candidates(files, name);
    if (first === undefined) return { name, problem: absence(files) };
    if (second !== undefined) {
      return {
        name,
        problem: `is in two specifications, ${first.file.path} and ${second.file.path}: remove one of them`,
      };
    }
    const { path } = first.file;
    devices.push({ name, path, own: first.own });
    shared.set(path, first.spec.containerEdits);
  }
  return {
    devices,
    edits: [
      ...[...shared].map(([path, edits]) => ({ subject: `The CDI specification ${path}`, edits })),
      ...devices.map(({ name, own }) => ({ subject: `The CDI device ${name}`, edits: own })),
    ],
  };
}

/** The most devices that an error names. */
const MOST = 20;

function absence(files: readonly CdiFile[]): string {
  const known = files.flatMap(({ spec }) =>
    typeof spec === "string" ? [] : spec.devices.map(({ name }) => `${spec.kind}=${name}`),
  );
  const broken = files.flatMap(({ path, spec }) =>
    typeof spec === "string" ? [`${path} cannot be used: ${spec}`] : [],
  );
  const has =
    known.length === 0
      ? "no specification there has a device; the vendor's program writes one, for NVIDIA nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
      : `there are ${known.slice(0, MOST).join(", ")}${known.length > MOST ? " and others" : ""}`;
  return `is in no specification below /etc/cdi and /var/run/cdi: ${[has, ...broken].join("; ")}`;
}

/** What of a selection the driver does not do, as sentences for the job's author. */
export function cdiNotes({ edits }: CdiSelection): readonly string[] {
  return edits.flatMap(({ subject, edits: { hooks, netDevices, intelRdt, mounts } }) => [
    ...unknownHooks(subject, hooks),
    ...(netDevices.length === 0
      ? []
      : [`${subject} has network devices, which the driver does not move: use network_interface.`]),
    ...(intelRdt === undefined
      ? []
      : [
          `${subject} has settings of Intel RDT, which the driver does not make: remove intelRdt from it, or set the resources with resctrl on the client.`,
        ]),
    ...mounts
      .filter(({ type }) => type !== "" && type !== "bind" && type !== "none")
      .map(
        ({ containerPath, type }) =>
          `${subject} has a mount of the type ${type} at ${containerPath}, which the driver does not make.`,
      ),
  ]);
}

function unknownHooks(subject: string, hooks: readonly CdiHook[]): readonly string[] {
  const unknown = hooks.filter((hook) => workOf(hook) === undefined);
  if (unknown.length === 0) return [];
  const names = new Set(unknown.map(({ hookName, path, args }) => [hookName, path, ...args.slice(1, 2)].join(" ")));
  return [
    `${subject} has hooks, which the driver does not run: ${[...names].join(", ")}. What they would change in the container has to be in the image, or made by the command (docs/configuration.md).`,
  ];
}
