import { expect, test } from "bun:test";
import type { TaskRecord } from "../machine/task-record";
import { labelField, unitIdentity } from "./unit-identity";

const record: TaskRecord = {
  ...{
    task: "web",
    allocation: "4be1",
    job: "site",
    jobName: "Site",
    group: "front",
    namespace: "default",
    node: "",
    nodeId: "n",
  },
  ...{ image: "debian", mode: "boot", directory: "/a", stdoutPath: "/o", stderrPath: "/e", config: {} },
};

test("Nomad's names and the labels are fields, and empty names are left out", () => {
  expect(unitIdentity(record, { "com.example/team": "100%" })).toEqual({
    description: "Nomad task web of job site (group front, allocation 4be1, namespace default)",
    identifier: "web",
    fields: {
      ...{ NOMAD_JOB_ID: "site", NOMAD_JOB_NAME: "Site", NOMAD_GROUP_NAME: "front", NOMAD_TASK_NAME: "web" },
      ...{ NOMAD_ALLOC_ID: "4be1", NOMAD_NAMESPACE: "default", NOMAD_NODE_ID: "n" },
      NOMAD_LABEL_COM_EXAMPLE_TEAM: "100%",
    },
  });
});

test.each([
  ["team", "NOMAD_LABEL_TEAM"],
  ["a.b-c_d/e9", "NOMAD_LABEL_A_B_C_D_E9"],
])("%p", (name, field) => {
  expect(labelField(name)).toBe(field);
});
