import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { onlineCpus, readCpus, watchCpus } from "../linux/cgroup/cpuset";
import type { Container } from "../supervisor/supervisor";

/**
 * The CPUs that a task without cores of its own may use now.
 *
 * @param cpuset see sharedCpuset()
 * @returns a list such as "0-3,7"; undefined if all of the host: then nothing has to be limited
 */
export function sharedCpus(cpuset: string | undefined): string | undefined {
  const cpus = cpuset === undefined ? undefined : readCpus(cpuset);
  return cpus === onlineCpus() ? undefined : cpus;
}

/**
 * Keeps a container on the CPUs that the agent's tasks share, until it has exited: they change whenever a task with `cores` starts or
 * ends. That a change failed is logged, and the container keeps running.
 *
 * @param cpuset see sharedCpuset(); undefined: nothing is followed
 * @param known the CPUs that the container was started with; absent: all, or, of a recovered container, unknown
 */
export function followSharedCpus(
  container: Container,
  cpuset: string | undefined,
  { known, log }: { readonly known?: string | undefined; readonly log: Logger },
): void {
  if (cpuset === undefined) return;
  const { machine } = container.ref;
  let last: Promise<void> = Promise.resolve();
  const set = async (cpus: string) => {
    await container.setCpus(cpus).catch((error: unknown) => {
      log.warn("cannot change the cores of a task", { machine, cpus, error: errorText(error) });
    });
  };
  const stop = watchCpus(cpuset, known, (cpus) => {
    // One after the other: the last change must be the last one that the kernel sees.
    last = last.then(() => set(cpus));
  });
  container.exit.then(stop);
}
