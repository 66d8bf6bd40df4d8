import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { encode } from "@msgpack/msgpack";
import { type TaskConfig, TaskConfigSchema } from "../../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { RunOptions } from "./options";

/** The task's name; the machine's name is made of it and the allocation ID. */
const TASK_NAME = "run";
const MEGABYTE = 1024n * 1024n;
/** MHz; Nomad's default for a task without `cpu` in its resources. */
const CPU_SHARES = 100n;

/** The directories of a task, as a Nomad client creates them. */
export interface Allocation {
  /** The allocation directory; its parent belongs to this run alone. */
  readonly directory: string;
  /** Directory of the plugin's socket. */
  readonly sockets: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  remove(): void;
}

/** Creates an allocation's directories below the temporary directory, accessible to root alone. */
export function createAllocation(): Allocation {
  const root = mkdtempSync(join(tmpdir(), "nspawn-run-"));
  const directory = join(root, "allocation");
  // A container in a user namespace must reach what is mounted from here; the parent directory is 0700.
  for (const path of ["alloc/data", "alloc/logs", "alloc/tmp", "run/local", "run/tmp"]) makeOpen(join(directory, path));
  for (const path of ["run/secrets", "run/private"]) mkdirSync(join(directory, path), { mode: 0o700 });
  const sockets = join(root, "sockets");
  mkdirSync(sockets, { mode: 0o700 });
  return {
    directory,
    sockets,
    stdoutPath: join(directory, `alloc/logs/.${TASK_NAME}.stdout.fifo`),
    stderrPath: join(directory, `alloc/logs/.${TASK_NAME}.stderr.fifo`),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** The request to start a task, as an agent would make it from a job file. */
export function taskConfig(allocation: Allocation, options: RunOptions): TaskConfig {
  const allocId = crypto.randomUUID();
  const memory = BigInt(options.memory);
  return create(TaskConfigSchema, {
    id: `${allocId}/${TASK_NAME}/${crypto.randomUUID().slice(0, 8)}`,
    name: TASK_NAME,
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
      NOMAD_TASK_NAME: TASK_NAME,
      ...options.environment,
    },
    resources: {
      allocatedResources: { cpu: { cpuShares: CPU_SHARES }, memory: { memoryMb: memory } },
      linuxResources: { cpuShares: CPU_SHARES, memoryLimitBytes: memory * MEGABYTE },
    },
    jobId: TASK_NAME,
    jobName: TASK_NAME,
    taskGroupName: TASK_NAME,
    namespace: "default",
    nodeName: "local",
    nodeId: "00000000-0000-0000-0000-000000000000",
  });
}

/** Creates a directory with mode 0777, whatever the umask. */
function makeOpen(path: string): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o777);
}
