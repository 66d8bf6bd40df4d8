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
import { rpc, rpcError, rpcStream } from "./rpc";
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
    recoverTask: rpc(async (request) => {
      await recoverTask(services, request);
      return {};
    }),
    startTask: async (request, context) => {
      try {
        return await startTask(services, request, context.signal);
      } catch (error) {
        throw rpcError(error);
      }
    },
    waitTask: async ({ taskId }, context) => {
      try {
        return await waitTask(services, taskId, context.signal);
      } catch (error) {
        throw rpcError(error);
      }
    },
    stopTask: rpc(async ({ taskId, timeout, signal }) => {
      await services.tasks.cancelStart(taskId);
      await services.tasks.get(taskId).stop(signal, timeout === undefined ? 0 : durationMs(timeout));
      return {};
    }),
    destroyTask: rpc(async (request) => {
      await destroyTask(services, request);
      return {};
    }),
    inspectTask: rpc(({ taskId }) => inspectTask(services.tasks.get(taskId))),
    taskEvents: (_request, context) => taskEvents(services, context.signal),
    taskStats: (request, context) => rpcStream(taskStats(services, request, context.signal)),
    execTask: rpc((request) => execTask(services, request)),
    execTaskStreaming: (requests, context) => rpcStream(execTaskStreaming(services, requests, context.signal)),
    init: () => {
      // Unused images of an earlier process are removed even on a client that gets no tasks.
      if (services.lifecycle.init()) services.scheduleImageGc();
      return {};
    },
    shutdown: () => {
      services.lifecycle.shutdown();
      return {};
    },
    signalTask: rpc(async ({ taskId, signal }) => {
      await services.tasks.get(taskId).signal(requireSignal(signal));
      return {};
    }),
  });
}
