import { option } from "../option";
import { choice, stringMap } from "../row-types";

/** Where a task's output goes. */
export const LOG_DRIVERS = ["nomad", "journal", "both"] as const;
export type LogDriver = (typeof LOG_DRIVERS)[number];

/** Longest name of a label: with its prefix it is the name of a journal field, which has at most 64 characters. */
const LONGEST_LABEL = 52;

/** How the host finds a task, and its logs. */
export const logOptions = {
  labels: option({
    ...stringMap({ name: labelNameProblem }),
    allowed: "a map of name to text",
    meaning:
      "Labels of the task, as with the Docker driver: fields `NOMAD_LABEL_NAME` of all messages of its unit in the client's journal, beside Nomad's own, and shown by `nomad-driver-nspawn inspect` (docs/logging.md). Without systemd as PID 1 only `inspect` shows them.",
    example: 'labels = {\n  team = "web"\n}',
  }),
  log_driver: option({
    ...choice(LOG_DRIVERS),
    meaning:
      "Where the task's stdout and stderr go: to `nomad alloc logs` (`nomad`), to the client's journal instead, with Nomad's names as fields (`journal`), or to both (`both`; docs/logging.md). The default is the plugin option `log_driver`. `journal` and `both` need systemd as PID 1.",
    example: 'log_driver = "journal"',
  }),
};

function labelNameProblem(name: string): string | undefined {
  if (name.length > LONGEST_LABEL) return `its name must not be longer than ${LONGEST_LABEL} characters`;
  return /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(name)
    ? undefined
    : 'its name must consist of letters, digits, ".", "_", "/" and "-", and begin with a letter or digit';
}
