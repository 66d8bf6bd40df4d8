import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { Driver as DriverService } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { taskConfigSpec } from "../config/hclspec";
import { requireSignal } from "../nspawn/stop-signal";
import { capabilities } from "./capabilities";
import { destroyTask } from "./destroy-task";
import { execTask } from "./exec-task";
import { execTaskStreaming } from "./exec-task-streaming";
import { fingerprints } from "./fingerprint";
import { inspectTask } from "./inspect-task";
import { recoverTask } from "./recover-task";
import { emptyRpc, rpc, rpcStream } from "./rpc";
import type { Services } from "./services";
import { startTask } from "./start-task";
import { taskEvents } from "./task-events";
import { taskStats } from "./task-stats";
import { waitTask } from "./wait-task";

/** Registers Nomad's Driver service. */
export function registerDriver(router: ConnectRouter, services: Services): void {
  router.service(DriverService, {
    taskConfigSchema: () => ({ spec: taskConfigSpec() }),
    capabilities: () => capabilities(),
    fingerprint: (_request, context) => fingerprints(services, context.signal),
    recoverTask: emptyRpc((request) => recoverTask(services, request)),
    startTask: rpc((request, context) => startTask(services, request, context.signal)),
    waitTask: rpc(({ taskId }, context) => waitTask(services, taskId, context.signal)),
    stopTask: emptyRpc(async ({ taskId, timeout, signal }) => {
      await services.tasks.cancelStart(taskId);
      await services.tasks.get(taskId).stop(signal, timeout === undefined ? 0 : durationMs(timeout));
    }),
    destroyTask: emptyRpc((request) => destroyTask(services, request)),
    inspectTask: rpc(({ taskId }) => inspectTask(services.tasks.get(taskId))),
    taskEvents: (_request, context) => taskEvents(services, context.signal),
    taskStats: (request, context) => rpcStream(taskStats(services, request, context.signal)),
    execTask: rpc((request) => execTask(services, request)),
    execTaskStreaming: (requests, context) => rpcStream(execTaskStreaming(services, requests, context.signal)),
    init: emptyRpc(() => {
      // Unused images of an earlier process are removed even on a client that gets no tasks.
      if (services.lifecycle.init()) services.scheduleImageGc();
    }),
    shutdown: emptyRpc(() => services.lifecycle.shutdown()),
    signalTask: emptyRpc(({ taskId, signal }) => services.tasks.get(taskId).signal(requireSignal(signal))),
  });
}
