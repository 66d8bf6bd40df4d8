/**
 * `validate`: what the driver would say about a job, without an agent. job-file.ts reads the tasks of a job file, in HCL or as JSON;
 * check-task.ts decodes the config of a task as StartTask does; foreign-options.ts knows what to write for options of other drivers, and
 * validate.ts prints the result.
 */

import { isRecord, parseJson } from "../../lib/objects";
import { bodyValue, evaluate, isOpen, type Scope, scopeOf } from "../hcl/evaluate";
import { type Block, type Body, parseHcl } from "../hcl/parse";

/** A task of a job file. */
export interface JobTask {
  readonly job: string;
  readonly group: string;
  readonly task: string;
  readonly driver: string;
  /** Line of the driver's name; undefined in JSON. */
  readonly driverLine: number | undefined;
  /** The raw config block, as Nomad passes it to the driver. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Options of the config by name: their lines (undefined in JSON), and whether their values are not known before the job runs. */
  readonly options: ReadonlyMap<string, { readonly line: number | undefined; readonly open: boolean }>;
  /** Labels of the group's ports; undefined if they are not known. */
  readonly ports: readonly string[] | undefined;
}

/** Thrown for a text that is no job; the message is a sentence. */
export class JobFileError extends Error {
  override readonly name = "JobFileError";
}

/**
 * The tasks of a job file.
 *
 * @param variables values of HCL variables by name
 * @throws JobFileError, HclError
 */
export function tasksOf(text: string, variables: Readonly<Record<string, string>>): JobTask[] {
  return text.trimStart().startsWith("{") ? jsonTasks(text) : hclTasks(parseHcl(text), variables);
}

function hclTasks(file: Body, variables: Readonly<Record<string, string>>): JobTask[] {
  const scope = scopeOf(file, variables);
  const jobs = file.blocks.filter(({ type }) => type === "job");
  if (jobs.length === 0) throw new JobFileError("The file has no job block.");
  return jobs.flatMap((job) => {
    const jobName = job.labels[0] ?? "";
    const inGroups = blocksOf(job, "group").flatMap((group) => {
      const labels = blocksOf(group, "network").flatMap((network) => blocksOf(network, "port").map(labelOf));
      const ports = blocksOf(group, "dynamic").length > 0 ? undefined : labels;
      const place = { job: jobName, group: labelOf(group), ports };
      return [
        ...blocksOf(group, "task").map((task) => hclTask(task, place, scope)),
        ...sidecarsOf(group, scope).map(([name, task]) => hclTask(task, place, scope, name)),
      ];
    });
    const alone = blocksOf(job, "task").map((task) =>
      hclTask(task, { job: jobName, group: labelOf(task), ports: undefined }, scope),
    );
    return [...inGroups, ...alone];
  });
}

/** The sidecar_task blocks of a group that name a driver, with the names that Nomad gives these tasks ("connect-proxy-SERVICE"). */
function sidecarsOf(group: Block, scope: Scope): readonly (readonly [name: string, block: Block])[] {
  return blocksOf(group, "service").flatMap((service) => {
    const own = service.body.attributes.find(({ name }) => name === "name");
    const value = own === undefined ? undefined : evaluate(own.value, scope).value;
    const name = `connect-proxy-${typeof value === "string" ? value : group.labels[0]}`;
    const sidecars = blocksOf(service, "connect").flatMap((connect) => blocksOf(connect, "sidecar_task"));
    return sidecars
      .filter(({ body }) => body.attributes.some((attribute) => attribute.name === "driver"))
      .map((block) => [name, block] as const);
  });
}

const labelOf = ({ labels }: Block): string => labels[0] ?? "";
const blocksOf = ({ body }: Block, type: string): Block[] => body.blocks.filter((block) => block.type === type);

function hclTask(
  block: Block,
  place: Pick<JobTask, "job" | "group" | "ports">,
  scope: Scope,
  taskName = labelOf(block),
): JobTask {
  const driver = block.body.attributes.find(({ name }) => name === "driver");
  const configs = blocksOf(block, "config");
  const body: Body = {
    attributes: configs.flatMap((config) => config.body.attributes),
    blocks: configs.flatMap((config) => config.body.blocks),
  };
  const options = new Map<string, { line: number; open: boolean }>();
  for (const { name, line, value } of body.attributes) options.set(name, { line, open: evaluate(value, scope).open });
  for (const { type, labels, line, body: inner } of body.blocks) {
    const name = type === "dynamic" ? (labels[0] ?? type) : type;
    const open = type === "dynamic" || isOpen(inner, scope) || options.get(name)?.open === true;
    options.set(name, { line: options.get(name)?.line ?? line, open });
  }
  const plain = { ...body, blocks: body.blocks.filter(({ type }) => type !== "dynamic") };
  const name = driver === undefined ? undefined : evaluate(driver.value, scope).value;
  return {
    ...place,
    task: taskName,
    driver: typeof name === "string" ? name : "",
    driverLine: driver?.line ?? block.line,
    config: bodyValue(plain, scope),
    options,
  };
}

function jsonTasks(text: string): JobTask[] {
  const file = parseJson(text);
  const job = isRecord(file) && isRecord(file["Job"]) ? file["Job"] : file;
  if (!isRecord(job) || !Array.isArray(job["TaskGroups"])) {
    throw new JobFileError(
      'The file is no job in JSON, as "nomad job run -output" or "nomad job inspect" prints it: it has no TaskGroups.',
    );
  }
  return records(job["TaskGroups"]).flatMap((group) =>
    records(group["Tasks"]).map((task) => {
      const config = isRecord(task["Config"]) ? task["Config"] : {};
      return {
        job: String(job["ID"] ?? job["Name"] ?? ""),
        group: String(group["Name"] ?? ""),
        task: String(task["Name"] ?? ""),
        driver: String(task["Driver"] ?? ""),
        driverLine: undefined,
        config: Object.fromEntries(Object.entries(config).map(([name, value]) => [name, withoutCode(value)])),
        options: new Map(
          Object.entries(config).map(([name, value]) => [
            name,
            { line: undefined, open: withoutCode(value) !== value && JSON.stringify(value).includes("${") },
          ]),
        ),
        ports: portsOf(group),
      };
    }),
  );
}

function records(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function portsOf(group: Readonly<Record<string, unknown>>): string[] {
  return records(group["Networks"]).flatMap((network) =>
    [...records(network["ReservedPorts"]), ...records(network["DynamicPorts"])].map((port) =>
      String(port["Label"] ?? ""),
    ),
  );
}

/** A value with "x" for what Nomad puts in when the job runs. */
function withoutCode(value: unknown): unknown {
  if (typeof value === "string") return value.replace(/\$\{[^}]*\}/g, "x");
  if (Array.isArray(value)) return value.map(withoutCode);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withoutCode(part)]));
}
