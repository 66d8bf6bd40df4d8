import { openSession, type Session } from "../exec/session";
import type { Driver } from "../runtime/driver";

/**
 * Runs a command in a task's container.
 *
 * @throws ShuttingDownError, TaskNotFoundError, ContainerGoneError, EnterError
 */
export function openTaskSession(
  driver: Driver,
  taskId: string,
  command: readonly string[],
  terminal: boolean,
): Promise<Session> {
  const task = driver.tasks.get(taskId);
  driver.lifecycle.requireWork(`A command in task "${task.identity.name}"`);
  return openSession(task.container, task.exec, {
    command,
    terminal,
    filters: (container) => task.filters.of(container),
  });
}
