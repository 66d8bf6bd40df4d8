import { type Command, parseArguments } from "../command";
import { type ListedTask, readTasks } from "./read-tasks";
import { allocationOf, shortId } from "./resolve-task";
import { bytesText, durationText, tableText } from "./table";

/** `ps`: the tasks of this host. */
export const psCommand: Command = {
  name: "ps",
  summary: "list the tasks of this client",
  usage: "[--json]",
  help: [
    "Lists the tasks of this driver on this host, of all of its Nomad agents: job, group, task, allocation, namespace, state, the PID of",
    "the container's PID 1, memory, the addresses of a private network, and how long it has been running. Needs root, and changes nothing.",
    "",
    "States: preparing (an image is downloaded, or leftovers are removed), starting, running, restarting (a container reboots), exited,",
    "and unknown (its record cannot be read).",
    "",
    "  --json   print JSON, with the machine, the unit, the PID of systemd-nspawn and the directory of the allocation as well",
  ].join("\n"),
  async run(args, terminal) {
    const { values } = parseArguments(args, { json: { type: "boolean" } });
    const tasks = await readTasks();
    if (values.json === true) terminal.out(`${JSON.stringify({ tasks: tasks.map(taskJson) }, undefined, 2)}\n`);
    else terminal.out(tasks.length === 0 ? "No tasks.\n" : psText(tasks, Date.now()));
    return 0;
  },
};

/** The tasks as a table. @param now milliseconds since the epoch */
export function psText(tasks: readonly ListedTask[], now: number): string {
  const header = [
    "JOB",
    "GROUP",
    "TASK",
    "ALLOC",
    "NAMESPACE",
    "STATE",
    "LEADER",
    "MEMORY",
    "FOR",
    "ADDRESSES",
    "MACHINE",
  ];
  const rows = tasks.map((task) => [
    task.record?.job ?? "-",
    task.record?.group ?? "-",
    task.record?.task ?? "-",
    shortId(allocationOf(task)) || "-",
    task.record?.namespace || "-",
    task.state,
    task.leader === undefined ? "-" : String(task.leader),
    bytesText(task.memory),
    task.startedAt === undefined ? "-" : durationText(now - task.startedAt),
    task.addresses.length === 0 ? (task.record?.network ?? "-") : task.addresses.join(","),
    task.machine,
  ]);
  return tableText([header, ...rows]);
}

/** A task as JSON: names as in Nomad, sizes in bytes, times in ISO 8601; null for what is not known. */
export function taskJson(task: ListedTask) {
  const { record } = task;
  return {
    job: record?.job ?? null,
    group: record?.group ?? null,
    task: record?.task ?? null,
    alloc_id: allocationOf(task) || null,
    namespace: record?.namespace ?? null,
    node: record?.node ?? null,
    state: task.state,
    machine: task.machine,
    supervisor: task.supervisor ?? null,
    unit: task.unit ?? null,
    leader: task.leader ?? null,
    nspawn_pid: task.nspawnPid ?? null,
    memory_bytes: task.memory ?? null,
    network: record?.network ?? null,
    addresses: task.addresses,
    started_at: task.startedAt === undefined ? null : new Date(task.startedAt).toISOString(),
    image: record?.image ?? null,
    alloc_dir: record?.directory ?? null,
  };
}
