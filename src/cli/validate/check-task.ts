import { encode } from "@msgpack/msgpack";
import type { PluginOptions } from "../../config/plugin/options";
import { checkPolicy } from "../../config/policy";
import { decodeTaskConfig } from "../../config/task/decode";
import { type TaskOptions, writableOptions } from "../../config/task/options";
import { ConfigError } from "../../lib/errors";
import { taskImageRef } from "../../rootfs/image-ref";
import { adviceFor, FOREIGN_DRIVERS } from "./foreign-options";
import type { JobTask } from "./job-file";

/** Something about a task, with the line and option that it is about. */
export interface Remark {
  readonly line: number | undefined;
  readonly option: string;
  readonly message: string;
}

/** What is known of a task. */
export interface TaskReport {
  readonly task: Pick<JobTask, "job" | "group" | "task" | "driver">;
  /** Whether the driver can judge it: its own, or one whose options it knows. */
  readonly kind: "nspawn" | "foreign" | "other";
  /** What is wrong; the job cannot run so. */
  readonly problems: readonly Remark[];
  /** For a task of another driver: the lines to change. */
  readonly changes: readonly Remark[];
  /** What was not judged. */
  readonly notes: readonly Remark[];
}

/** What a task is checked against. */
interface CheckContext {
  /** What relative image paths are relative to. */
  readonly pluginDir: string;
  /** The operator's config; undefined: not checked. */
  readonly plugin: PluginOptions | undefined;
}

/** Drivers that use the client's network and files where Nomad gives them none of their own. */
const ON_THE_HOST: readonly string[] = ["exec", "raw_exec", "exec2", "java"];

/** Checks a task as StartTask would, as far as that is possible without a client. */
export function checkTask(task: JobTask, context: CheckContext): TaskReport {
  if (task.driver === "nspawn") {
    const { problems, notes } = checkConfig(task, task.config, context);
    return { task, kind: "nspawn", problems, changes: [], notes };
  }
  const known: readonly string[] = FOREIGN_DRIVERS;
  if (!known.includes(task.driver)) return { task, kind: "other", problems: [], changes: [], notes: [] };
  return checkForeign(task, context);
}

function checkForeign(task: JobTask, context: CheckContext): TaskReport {
  const changes: Remark[] = [
    { line: task.driverLine, option: "driver", message: `driver = "${task.driver}" becomes driver = "nspawn"` },
  ];
  const kept: Record<string, unknown> = {};
  for (const [option, { line }] of task.options) {
    const value = task.config[option];
    const advice = adviceFor(option, value, Object.hasOwn(writableOptions, option));
    if (advice === undefined) kept[option] = value;
    else if ("write" in advice) changes.push({ line, option, message: `${option} becomes ${advice.write}` });
    else changes.push({ line, option, message: `${option} is left out: ${advice.drop}` });
  }
  const added: Record<string, unknown> = {};
  if (ON_THE_HOST.includes(task.driver)) {
    const add = (option: string, value: unknown, message: string) => {
      if (Object.hasOwn(kept, option)) return;
      added[option] = value;
      changes.push({ line: task.driverLine, option, message });
    };
    add(
      "image",
      "debian",
      'image is added: the root of the task, such as a directory with a Debian or "docker.io/library/debian:13"',
    );
    add(
      "boot",
      false,
      "boot = false is added if the image is a directory or a disk image: the task runs its command only",
    );
    add("network", "host", 'network = "host" is added if the task uses the client\'s network, as with this driver');
  }
  const { problems, notes } = checkConfig(task, { ...added, ...kept }, context);
  return { task, kind: "foreign", problems, changes, notes };
}

/** @param config the options to check, by name */
function checkConfig(task: JobTask, config: Readonly<Record<string, unknown>>, context: CheckContext) {
  const problems: Remark[] = [];
  const notes: Remark[] = [];
  const lineOf = (option: string) => task.options.get(option)?.line;
  // An option without any known value is left out.
  const entries = Object.entries(config).filter(([, value]) => value !== undefined);
  const raw: Record<string, unknown> = Object.fromEntries(entries);
  for (const [option, { line, open }] of task.options) {
    if (open && (option in config || !(option in task.config))) {
      notes.push({
        line,
        option,
        message: `option ${option} depends on what Nomad or a function puts in, and is checked in part`,
      });
    }
  }
  const openImage = !("image" in raw) && task.options.has("image");
  if (openImage) raw["image"] = "x";
  const sentence = decodeProblem(raw, openImage, context);
  if (sentence !== undefined) {
    const option = optionIn(sentence, Object.keys(raw));
    const remark = { line: lineOf(option) ?? task.driverLine, option, message: sentence };
    if (task.options.get(option)?.open === true) notes.push({ ...remark, message: `perhaps: ${sentence}` });
    else problems.push(remark);
  }
  problems.push(...portProblems(task, raw));
  return { problems, notes };
}

/** The sentence of the first rule that a config breaks, as StartTask would have it. */
function decodeProblem(
  raw: Readonly<Record<string, unknown>>,
  openImage: boolean,
  context: CheckContext,
): string | undefined {
  const bytes = encode(raw);
  const runsCommand = (wanted: Pick<TaskOptions, "image" | "image_download">) =>
    taskImageRef(wanted, { pluginDir: context.pluginDir, local: "/nonexistent" }).kind !== "host";
  const sentences = (openImage ? [() => false, () => true] : [runsCommand]).map((decide) => {
    try {
      const options = decodeTaskConfig(bytes, decide);
      if (context.plugin !== undefined) checkPolicy(options, context.plugin);
      return undefined;
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
  });
  return sentences.includes(undefined) ? undefined : sentences[0];
}

/** The option that a sentence is about: the first one that it names. */
function optionIn(sentence: string, names: readonly string[]): string {
  const words = sentence.match(/[a-z][a-z0-9_]*/g) ?? [];
  return (
    words.find((word) => names.includes(word)) ?? words.find((word) => Object.hasOwn(writableOptions, word)) ?? "config"
  );
}

/** Labels that the group's network block does not define; see networkPlan(). */
function portProblems({ ports, options }: JobTask, raw: Readonly<Record<string, unknown>>): Remark[] {
  const wanted = raw["ports"];
  if (ports === undefined || !Array.isArray(wanted) || options.get("ports")?.open === true) return [];
  return wanted.flatMap((label) =>
    typeof label !== "string" || ports.includes(label)
      ? []
      : [
          {
            line: options.get("ports")?.line,
            option: "ports",
            message: `Option ports names the port ${JSON.stringify(label)}, which the group's network block does not define.`,
          },
        ],
  );
}
