import type { Session } from "../exec/session";
import type { Services } from "./services";

/**
 * Runs a command in a task's container, as both RPCs for it do.
 *
 * @throws ShuttingDownError, TaskNotFoundError, ContainerGoneError, EnterError
 */
export function openTaskSession(
  { tasks, lifecycle }: Pick<Services, "tasks" | "lifecycle">,
  taskId: string,
  command: readonly string[],
  terminal: boolean,
): Promise<Session> {
  const task = tasks.get(taskId);
  lifecycle.requireWork(`A command in task "${task.identity.name}"`);
  return task.exec(command, terminal);
}
