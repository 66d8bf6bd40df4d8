import type { TaskRecord } from "../machine/task-record";
import type { UnitIdentity } from "../supervisor/supervisor";

/** Nomad's names as fields of the journal. */
const FIELDS = {
  NOMAD_JOB_ID: "job",
  NOMAD_JOB_NAME: "jobName",
  NOMAD_GROUP_NAME: "group",
  NOMAD_TASK_NAME: "task",
  NOMAD_ALLOC_ID: "allocation",
  NOMAD_NAMESPACE: "namespace",
  NOMAD_NODE_NAME: "node",
  NOMAD_NODE_ID: "nodeId",
} as const satisfies Record<string, keyof TaskRecord>;

/**
 * How the client's journal and `systemctl` name a task's unit.
 *
 * @param labels the job's, each a field NOMAD_LABEL_NAME: a field's name has capital letters, digits and underscores only
 */
export function unitIdentity(record: TaskRecord, labels: Readonly<Record<string, string>>): UnitIdentity {
  const own = Object.entries(FIELDS).map(([field, name]): [string, string] => [field, record[name]]);
  const further = Object.entries(labels).map(([name, value]): [string, string] => [labelField(name), value]);
  return {
    description: `Nomad task ${record.task} of job ${record.job} (group ${record.group}, allocation ${record.allocation}, namespace ${record.namespace})`,
    identifier: record.task,
    fields: Object.fromEntries([...own, ...further].filter(([, value]) => value !== "")),
  };
}

/** The journal field of a label. */
export function labelField(name: string): string {
  return `NOMAD_LABEL_${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`;
}
