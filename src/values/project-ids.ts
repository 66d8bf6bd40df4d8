import { createHash } from "node:crypto";

/** The project IDs of this driver ("ns" and sixteen bits): tools that count from 1, or from 2^20 as kubelet does, do not get there. */
export const OWN_PROJECTS = { first: 0x6e73_0000, count: 0x1_0000 } as const;

/** Whether a project ID is one of this driver. */
export function isOwnProject(project: number): boolean {
  return project >= OWN_PROJECTS.first && project < OWN_PROJECTS.first + OWN_PROJECTS.count;
}

/** All project IDs of this driver, in the order in which to try them for a machine: it is another one for each machine. */
export function* candidateProjects(machine: string): Generator<number> {
  const start = createHash("sha256").update(machine).digest().readUInt16LE(0);
  for (let attempt = 0; attempt < OWN_PROJECTS.count; attempt += 1) {
    yield OWN_PROJECTS.first + ((start + attempt) % OWN_PROJECTS.count);
  }
}
