/** A task as a Nomad agent prepares it: its directories, its log FIFOs and its TaskConfig. */

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { encode } from "@msgpack/msgpack";
import {
  type DeviceSchema,
  type DNSConfigSchema,
  type MountSchema,
  type NetworkIsolationSpecSchema,
  type ResourcesSchema,
  type TaskConfig,
  TaskConfigSchema,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { type LogPipe, makeLogPipe } from "./log-pipe";

/** Parameters of a task; all have working defaults. */
export interface TaskSpec {
  /** The job file's `config {}` block. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly name?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly resources?: MessageInitShape<typeof ResourcesSchema>;
  readonly mounts?: readonly MessageInitShape<typeof MountSchema>[];
  readonly devices?: readonly MessageInitShape<typeof DeviceSchema>[];
  readonly deviceEnv?: Readonly<Record<string, string>>;
  readonly network?: MessageInitShape<typeof NetworkIsolationSpecSchema>;
  /** Directory of the agent's allocations, which identifies the agent; without it each task has its own agent. */
  readonly allocRoot?: string;
  readonly dns?: MessageInitShape<typeof DNSConfigSchema>;
}

/** A prepared task. */
export interface PreparedTask {
  readonly id: string;
  readonly config: TaskConfig;
  /** Directories on this machine. */
  readonly dirs: { readonly alloc: string; readonly local: string; readonly secrets: string; readonly task: string };
  readonly stdout: LogPipe;
  readonly stderr: LogPipe;
  /** Stops reading and removes the directories; the task itself must be destroyed first. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Prepares a task: two of them never share a directory, an id or an allocation. */
export async function prepareTask(spec: TaskSpec): Promise<PreparedTask> {
  const own = await mkdtemp(join(tmpdir(), "alloc-"));
  const name = spec.name ?? "task";
  const allocId = crypto.randomUUID();
  const root = join(spec.allocRoot ?? own, allocId);
  const task = join(root, name);
  const dirs = { alloc: join(root, "alloc"), local: join(task, "local"), secrets: join(task, "secrets"), task };
  for (const shared of ["data", "logs", "tmp"]) await mkdir(join(dirs.alloc, shared), { recursive: true, mode: 0o777 });
  for (const own of ["local", "private", "secrets", "tmp"]) {
    await mkdir(join(task, own), { recursive: true, mode: own === "secrets" || own === "private" ? 0o700 : 0o777 });
  }
  const stdout = await makeLogPipe(join(dirs.alloc, `logs/.${name}.stdout.fifo`));
  const stderr = await makeLogPipe(join(dirs.alloc, `logs/.${name}.stderr.fifo`));
  const id = `${allocId}/${name}/${crypto.randomUUID().slice(0, 8)}`;
  const config = create(TaskConfigSchema, {
    id,
    name,
    allocId,
    allocDir: root,
    stdoutPath: stdout.path,
    stderrPath: stderr.path,
    msgpackDriverConfig: encode(spec.config),
    env: {
      NOMAD_ALLOC_DIR: "/alloc",
      NOMAD_TASK_DIR: "/local",
      NOMAD_SECRETS_DIR: "/secrets",
      NOMAD_ALLOC_ID: allocId,
      NOMAD_TASK_NAME: name,
      ...spec.env,
    },
    user: spec.user ?? "",
    resources: spec.resources ?? megabytes(256),
    mounts: [...(spec.mounts ?? [])],
    devices: [...(spec.devices ?? [])],
    deviceEnv: { ...spec.deviceEnv },
    jobId: "job",
    jobName: "job",
    taskGroupName: "group",
    namespace: "default",
    nodeName: "node",
    nodeId: "00000000-0000-0000-0000-000000000000",
    ...(spec.network === undefined ? {} : { networkIsolationSpec: spec.network }),
    ...(spec.dns === undefined ? {} : { dns: spec.dns }),
  });
  return {
    id,
    config,
    dirs,
    stdout,
    stderr,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([stdout.stop(), stderr.stop()]);
      await rm(root, { recursive: true, force: true });
      await rm(own, { recursive: true, force: true });
    },
  };
}

/** Resources of a task with a memory limit in MiB and 100 MHz, as the agent states them in both of its forms. */
export function megabytes(memory: number, cpu = 100): MessageInitShape<typeof ResourcesSchema> {
  return {
    allocatedResources: { cpu: { cpuShares: BigInt(cpu) }, memory: { memoryMb: BigInt(memory) } },
    linuxResources: { cpuShares: BigInt(cpu), memoryLimitBytes: BigInt(memory) * 1024n * 1024n },
  };
}
