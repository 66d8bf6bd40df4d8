/** The calls of a Nomad agent to a driver plugin. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { encode } from "@msgpack/msgpack";
import { Health } from "../../gen/grpc/health/v1/health_pb";
import { BasePlugin, type NomadConfigSchema } from "../../gen/hashicorp/nomad/plugins/base/proto/base_pb";
import {
  Driver,
  type ExecTaskStreamingRequestSchema,
  type ExecTaskStreamingResponse,
  type TaskConfigSchema,
  type TaskHandle,
} from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { GRPCController } from "../../gen/plugin/grpc_controller_pb";
import { type CallLimits, type DhcpSession, GrpcCaller } from "./grpc-caller";

type TaskConfig = MessageInitShape<typeof TaskConfigSchema>;

/** A connection to one plugin. Every method is one RPC; errors are grpc-js ServiceErrors. */
export class DriverClient {
  /** For calls without a method here, such as the broker's. */
  readonly grpc: GrpcCaller;

  constructor(socketPath: string) {
    this.grpc = new GrpcCaller(socketPath);
  }

  health(service = "plugin") {
    return this.grpc.unary(Health.method.check, { service });
  }

  pluginInfo() {
    return this.grpc.unary(BasePlugin.method.pluginInfo, {});
  }

  configSchema() {
    return this.grpc.unary(BasePlugin.method.configSchema, {});
  }

  /** Sends the `plugin "nspawn" { config {} }` block. */
  setConfig(config: Readonly<Record<string, unknown>> = {}, nomadConfig?: MessageInitShape<typeof NomadConfigSchema>) {
    return this.grpc.unary(BasePlugin.method.setConfig, {
      msgpackConfig: encode(config),
      pluginApiVersion: "0.1.0",
      ...(nomadConfig === undefined ? {} : { nomadConfig }),
    });
  }

  /** Driver.Init, which agents from 2.0.4 on call after SetConfig. */
  init() {
    return this.grpc.unary(Driver.method.init, {});
  }

  /** Driver.Shutdown, which the same agents call before they end a plugin. */
  shutdownDriver() {
    return this.grpc.unary(Driver.method.shutdown, {});
  }

  taskConfigSchema() {
    return this.grpc.unary(Driver.method.taskConfigSchema, {});
  }

  capabilities() {
    return this.grpc.unary(Driver.method.capabilities, {});
  }

  fingerprint(limits?: CallLimits) {
    return this.grpc.serverStream(Driver.method.fingerprint, {}, limits);
  }

  startTask(task: TaskConfig, limits?: CallLimits) {
    return this.grpc.unary(Driver.method.startTask, { task }, limits);
  }

  /** As an agent calls it: task_id is left empty. */
  recoverTask(handle: TaskHandle, taskId = "") {
    return this.grpc.unary(Driver.method.recoverTask, { taskId, handle });
  }

  waitTask(taskId: string, limits?: CallLimits) {
    return this.grpc.unary(Driver.method.waitTask, { taskId }, limits);
  }

  /** `timeout` in milliseconds; an empty signal is the driver's own choice. */
  stopTask(taskId: string, { signal = "", timeout = 5_000 }: { signal?: string; timeout?: number } = {}) {
    return this.grpc.unary(Driver.method.stopTask, { taskId, signal, timeout: durationFromMs(timeout) });
  }

  destroyTask(taskId: string, force = false) {
    return this.grpc.unary(Driver.method.destroyTask, { taskId, force });
  }

  inspectTask(taskId: string) {
    return this.grpc.unary(Driver.method.inspectTask, { taskId });
  }

  signalTask(taskId: string, signal: string) {
    return this.grpc.unary(Driver.method.signalTask, { taskId, signal });
  }

  /** `interval` in milliseconds. */
  taskStats(taskId: string, interval: number, limits?: CallLimits) {
    const collectionInterval = durationFromMs(interval);
    return this.grpc.serverStream(Driver.method.taskStats, { taskId, collectionInterval }, limits);
  }

  taskEvents(limits?: CallLimits) {
    return this.grpc.serverStream(Driver.method.taskEvents, {}, limits);
  }

  /** `timeout` in milliseconds. */
  execTask(taskId: string, command: string[], timeout = 10_000) {
    return this.grpc.unary(Driver.method.execTask, { taskId, command, timeout: durationFromMs(timeout) });
  }

  /** The first message must be the setup. */
  execTaskStreaming(
    limits?: CallLimits,
  ): DhcpSession<MessageInitShape<typeof ExecTaskStreamingRequestSchema>, ExecTaskStreamingResponse> {
    return this.grpc.bidi(Driver.method.execTaskStreaming, limits);
  }

  /** Asks the plugin to exit, like an agent during a planned stop. */
  shutdown() {
    return this.grpc.unary(GRPCController.method.shutdown, {});
  }

  close(): void {
    this.grpc.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
