import { openSession, type Session } from "../exec/session";
import { errorText } from "../host/error-text";
import type { Driver } from "./driver";

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
  return openSession(task.supervised, task.exec, {
    command,
    terminal,
    filters: async (container) => {
      try {
        return await task.filters.of(container);
      } catch (error) {
        driver.log.warn(
          "the system call filters of a container cannot be read: its commands run with the driver's own",
          {
            task: task.identity.name,
            alloc: task.identity.allocId,
            error: errorText(error),
          },
        );
        return [];
      }
    },
  });
}
