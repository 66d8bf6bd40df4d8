import type { ListedTask } from "./read-tasks";

/** What identifies a task. */
type Named = Pick<ListedTask, "machine" | "unit" | "record">;

/** Candidates that an error lists. */
const SHOWN = 8;

/**
 * The task that an argument means: the name of its machine or unit, the name of the task, the beginning of its allocation's ID, or both
 * as ALLOCATION/TASK. A whole name goes before a beginning of an ID.
 *
 * @throws Error with a sentence if no task or more than one fits
 */
export function resolveTask<Task extends Named>(tasks: readonly Task[], text: string): Task {
  const ways: readonly ((task: Task) => boolean)[] = [
    ({ machine, unit }) => text === machine || (unit !== undefined && (text === unit || `${text}.service` === unit)),
    ({ record }) => record?.task === text,
    (task) => text !== "" && allocationOf(task).startsWith(text.toLowerCase()),
    (task) => isBoth(task, text),
  ];
  for (const fits of ways) {
    const [found, ...more] = tasks.filter(fits);
    if (found === undefined) continue;
    if (more.length === 0) return found;
    throw new Error(`${JSON.stringify(text)} means ${more.length + 1} tasks: ${listed([found, ...more])}.`);
  }
  if (tasks.length === 0)
    throw new Error(`No task ${JSON.stringify(text)}: no task of this driver exists on this host.`);
  throw new Error(
    `No task ${JSON.stringify(text)} of this driver exists on this host. Its tasks are ${listed(tasks)}.`,
  );
}

function isBoth(task: Named, text: string): boolean {
  const slash = text.indexOf("/");
  if (slash < 1) return false;
  return (
    task.record?.task === text.slice(slash + 1) && allocationOf(task).startsWith(text.slice(0, slash).toLowerCase())
  );
}

/** The ID of a task's allocation; of a task without a record from its machine's name, which ends with it. */
export function allocationOf({ machine, record }: Pick<Named, "machine" | "record">): string {
  return record?.allocation ?? /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.exec(machine)?.[0] ?? "";
}

/** The first part of an allocation's ID, as Nomad's own commands show it. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

function listed(tasks: readonly Named[]): string {
  const names = tasks.slice(0, SHOWN).map((task) => {
    const { record, machine } = task;
    return record === undefined ? machine : `${shortId(allocationOf(task))}/${record.task}`;
  });
  return `${names.join(", ")}${tasks.length > SHOWN ? ` and ${tasks.length - SHOWN} more` : ""}`;
}
