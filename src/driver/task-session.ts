import { openSession, type Session } from "../exec/session";
import type { Driver } from "./driver";

/**
 * Runs a command in a task's container.
 *
 * @throws TaskNotFoundError, ContainerGoneError, EnterError
 */
export function openTaskSession(
  driver: Driver,
  taskId: string,
  command: readonly string[],
  terminal: boolean,
): Promise<Session> {
  const task = driver.tasks.get(taskId);
  return openSession(task.supervised, task.exec, {
    command,
    terminal,
    filters: (container) => task.filters.of(container),
  });
}
