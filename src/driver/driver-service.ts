import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { Driver as DriverService } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { taskConfigSpec } from "../config/hclspec";
import type { Driver } from "../runtime/driver";
import { requireSignal } from "../task/stop-signal";
import { capabilities } from "./capabilities";
import { destroyTask } from "./destroy-task";
import { execTask } from "./exec-task";
import { execTaskStreaming } from "./exec-task-streaming";
import { fingerprints } from "./fingerprint";
import { inspectTask } from "./inspect-task";
import { recoverTask } from "./recover-task";
import { rpc, rpcError, rpcStream } from "./rpc";
import { startTask } from "./start-task";
import { taskEvents } from "./task-events";
import { taskStats } from "./task-stats";
import { waitTask } from "./wait-task";

/** Registers Nomad's Driver service. */
export function registerDriver(router: ConnectRouter, driver: Driver): void {
  router.service(DriverService, {
    taskConfigSchema: () => ({ spec: taskConfigSpec() }),
    capabilities: () => capabilities(),
    fingerprint: (_request, context) => fingerprints(driver, context.signal),
    recoverTask: rpc(async (request) => {
      await recoverTask(driver, request);
      return {};
    }),
    startTask: async (request, context) => {
      try {
        return await startTask(driver, request, context.signal);
      } catch (error) {
        throw rpcError(error);
      }
    },
    waitTask: async ({ taskId }, context) => {
      try {
        return await waitTask(driver, taskId, context.signal);
      } catch (error) {
        throw rpcError(error);
      }
    },
    stopTask: rpc(async ({ taskId, timeout, signal }) => {
      await driver.tasks.get(taskId).stop(signal, timeout === undefined ? 0 : durationMs(timeout));
      return {};
    }),
    destroyTask: rpc(async (request) => {
      await destroyTask(driver, request);
      return {};
    }),
    inspectTask: rpc(({ taskId }) => inspectTask(driver.tasks.get(taskId))),
    taskEvents: (_request, context) => taskEvents(driver, context.signal),
    taskStats: (request, context) => rpcStream(taskStats(driver, request, context.signal)),
    execTask: rpc((request) => execTask(driver, request)),
    execTaskStreaming: (requests, context) => rpcStream(execTaskStreaming(driver, requests, context.signal)),
    init: () => {
      // Unused images of an earlier process are removed even on a client that gets no tasks.
      if (driver.lifecycle.init()) driver.images.unused();
      return {};
    },
    shutdown: () => {
      driver.lifecycle.shutdown();
      return {};
    },
    signalTask: rpc(async ({ taskId, signal }) => {
      await driver.tasks.get(taskId).signal(requireSignal(signal));
      return {};
    }),
  });
}
