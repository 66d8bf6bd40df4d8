import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { encode } from "@msgpack/msgpack";
import { type TaskConfig, TaskConfigSchema } from "../../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { RunOptions } from "./options";

/** The task's name; the machine is named after it and the allocation. */
const taskName = "run";
const megabyte = 1024n * 1024n;
/** MHz, as a job file without a cpu in its resources gets. */
const cpuShares = 100n;

/** The directories of a task, as a Nomad client makes them. */
export interface Allocation {
  /** The allocation's own; the directory above belongs to this run alone. */
  readonly directory: string;
  /** Where the plugin puts its socket. */
  readonly sockets: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  remove(): void;
}

/** Makes an allocation's directories below the temporary directory, for root's eyes alone. */
export function makeAllocation(): Allocation {
  const root = mkdtempSync(join(tmpdir(), "nspawn-run-"));
  const directory = join(root, "allocation");
  // A container with user IDs of its own still has to reach what is mounted from here; the parent is 0700.
  for (const path of ["alloc/data", "alloc/logs", "alloc/tmp", "run/local", "run/tmp"]) makeOpen(join(directory, path));
  for (const path of ["run/secrets", "run/private"]) mkdirSync(join(directory, path), { mode: 0o700 });
  const sockets = join(root, "sockets");
  mkdirSync(sockets, { mode: 0o700 });
  return {
    directory,
    sockets,
    stdoutPath: join(directory, `alloc/logs/.${taskName}.stdout.fifo`),
    stderrPath: join(directory, `alloc/logs/.${taskName}.stderr.fifo`),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** The request to start a task, as an agent would make it of a job file. */
export function taskConfig(allocation: Allocation, options: RunOptions): TaskConfig {
  const allocId = crypto.randomUUID();
  const memory = BigInt(options.memory);
  return create(TaskConfigSchema, {
    id: `${allocId}/${taskName}/${crypto.randomUUID().slice(0, 8)}`,
    name: taskName,
    allocId,
    allocDir: allocation.directory,
    stdoutPath: allocation.stdoutPath,
    stderrPath: allocation.stderrPath,
    msgpackDriverConfig: encode(options.config),
    env: {
      NOMAD_ALLOC_DIR: "/alloc",
      NOMAD_TASK_DIR: "/local",
      NOMAD_SECRETS_DIR: "/secrets",
      NOMAD_ALLOC_ID: allocId,
      NOMAD_TASK_NAME: taskName,
      ...options.environment,
    },
    resources: {
      allocatedResources: { cpu: { cpuShares }, memory: { memoryMb: memory } },
      linuxResources: { cpuShares, memoryLimitBytes: memory * megabyte },
    },
    jobId: taskName,
    jobName: taskName,
    taskGroupName: taskName,
    namespace: "default",
    nodeName: "local",
    nodeId: "00000000-0000-0000-0000-000000000000",
  });
}

/** Any umask leaves it open to all. */
function makeOpen(path: string): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o777);
}
