import { closeSync, openSync, readSync } from "node:fs";
import { ifThere } from "../../lib/errors";
import { type MachineEvent, parseEvent } from "../../machine/event-log";
import { machinePaths } from "../../machine/files";
import { allMachines, isRegistered } from "../../machine/registry";
import { type Command, parseArguments } from "../command";
import { optionalTask, TASK_HELP } from "./inspect";
import { LineBuffer } from "./line-buffer";
import { readTasks } from "./read-tasks";
import { resolveTask } from "./resolve-task";

/** How often new events are looked for, in milliseconds. */
const INTERVAL_MS = 200;
const PIECE = 64 * 1024;

/** `events`: what happened to the tasks of this host. */
export const eventsCommand: Command = {
  name: "events",
  summary: "print the events of tasks, and follow them",
  usage: "[TASK] [--follow] [--json]",
  completes: "tasks",
  help: [
    "Prints the driver's events of the tasks that exist on this host, or of one: started, recovered, killed for memory, exited and what",
    "else `nomad alloc status` shows of the driver. The events of a task are removed with it. Needs root, and changes nothing.",
    "",
    TASK_HELP,
    "",
    "  -f, --follow   go on; of one task until it is removed",
    "  --json         one JSON object per line, with time, machine and message",
  ].join("\n"),
  async run(args, terminal) {
    const { values, positionals } = parseArguments(
      args,
      { follow: { type: "boolean", short: "f" }, json: { type: "boolean" } },
      true,
    );
    const tasks = await readTasks();
    const named = optionalTask(positionals);
    const only = named === undefined ? undefined : resolveTask(tasks, named).machine;
    const print = (machine: string, { at, message }: MachineEvent): void => {
      const time = new Date(at).toISOString();
      terminal.out(
        values.json === true ? `${JSON.stringify({ time, machine, message })}\n` : `${time} ${machine}: ${message}\n`,
      );
    };
    await printEvents(only, values.follow === true, print);
    return 0;
  },
};

/** @param only the machine; undefined: all */
async function printEvents(
  only: string | undefined,
  follow: boolean,
  print: (machine: string, event: MachineEvent) => void,
): Promise<void> {
  using open = new OpenLogs();
  for (;;) {
    const over = only !== undefined && !isRegistered(only);
    const machines = only === undefined ? (await allMachines()).map(({ machine }) => machine) : over ? [] : [only];
    for (const { machine, event } of open.read(machines)) print(machine, event);
    if (!follow || over) return;
    await Bun.sleep(INTERVAL_MS);
  }
}

interface OpenLog {
  readonly fd: number;
  readonly lines: LineBuffer;
}

/** The event files of machines, kept open: the last events of a machine are read after its file was removed. */
class OpenLogs implements Disposable {
  readonly #logs = new Map<string, OpenLog>();

  /** The events since the last call, in their order. */
  read(machines: readonly string[]): { readonly machine: string; readonly event: MachineEvent }[] {
    for (const machine of machines) {
      if (this.#logs.has(machine)) continue;
      const fd = ifThere(() => openSync(machinePaths(machine).events, "r"), undefined);
      if (fd !== undefined) this.#logs.set(machine, { fd, lines: new LineBuffer() });
    }
    const found = [...this.#logs].flatMap(([machine, log]) => eventsOf(log).map((event) => ({ machine, event })));
    for (const [machine, { fd }] of this.#logs) {
      if (machines.includes(machine)) continue;
      closeSync(fd);
      this.#logs.delete(machine);
      found.push({ machine, event: { at: Date.now(), message: "Removed" } });
    }
    return found.toSorted((one, other) => one.event.at - other.event.at);
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#logs.values()) closeSync(fd);
    this.#logs.clear();
  }
}

function eventsOf({ fd, lines }: OpenLog): MachineEvent[] {
  const events: MachineEvent[] = [];
  const buffer = new Uint8Array(PIECE);
  for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
    for (const line of lines.push(buffer.subarray(0, length))) {
      const event = parseEvent(line);
      if (event !== undefined) events.push(event);
    }
  }
  return events;
}
