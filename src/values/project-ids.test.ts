import { expect, test } from "bun:test";
import { candidateProjects, isOwnProject, OWN_PROJECTS } from "./project-ids";

test.each([
  [0, false],
  [1, false],
  [1_048_577, false],
  [OWN_PROJECTS.first - 1, false],
  [OWN_PROJECTS.first, true],
  [OWN_PROJECTS.first + OWN_PROJECTS.count - 1, true],
  [OWN_PROJECTS.first + OWN_PROJECTS.count, false],
  [0xffff_ffff, false],
])("project %d is the driver's own: %j", (project, own) => {
  expect(isOwnProject(project)).toBe(own);
});

test("every own project is tried once, from another one for each machine", () => {
  const [one, other] = ["one", "other"].map((machine) => [...candidateProjects(machine)]);
  expect(new Set(one).size).toBe(OWN_PROJECTS.count);
  expect(one?.every(isOwnProject)).toBe(true);
  expect(one?.[0]).not.toBe(other?.[0]);
  expect([...candidateProjects("one")][0]).toBe(one?.[0]);
});
