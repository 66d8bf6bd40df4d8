/** Running commands in tasks, as `nomad alloc exec` does through the agent. */

import type { ExecTaskStreamingResponse } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { DriverClient } from "./driver-client";
import { type TextWatch, watchText } from "./text-watch";

/** The result of a command. */
export interface ExecEnd {
  readonly code: number;
  readonly signal: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs in a task. */
export interface RunningExec {
  readonly stdout: Pick<TextWatch, "text" | "waitFor">;
  /** Sends input. */
  type(text: string): Promise<void>;
  /** Ends the input. */
  endInput(): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  /** Disconnects, like a client whose connection breaks. */
  disconnect(): void;
  /** Resolves when the command has exited; rejects if it never ran. */
  readonly ended: Promise<ExecEnd>;
}

/** Starts a command. */
export async function startExec(
  client: DriverClient,
  taskId: string,
  command: readonly string[],
  tty = false,
): Promise<RunningExec> {
  const call = client.execTaskStreaming();
  const stdout = watchText();
  const stderr = watchText();
  const collect = async (): Promise<ExecEnd> => {
    const decoder = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    let last: ExecTaskStreamingResponse | undefined;
    for await (const message of call.responses) {
      if (message.stdout) stdout.append(decoder.stdout.decode(message.stdout.data, { stream: true }));
      if (message.stderr) stderr.append(decoder.stderr.decode(message.stderr.data, { stream: true }));
      last = message;
    }
    if (last?.exited !== true) throw new Error("The stream ended before the command did.");
    return {
      code: last.result?.exitCode ?? -1,
      signal: last.result?.signal ?? -1,
      stdout: stdout.text(),
      stderr: stderr.text(),
    };
  };
  const ended = collect();
  ended.catch(() => {});
  await call.send({ setup: { taskId, command: [...command], tty } });
  return {
    stdout,
    type: (text) => call.send({ stdin: { data: Buffer.from(text) } }),
    endInput: () => call.send({ stdin: { close: true } }),
    resize: (height, width) => call.send({ ttySize: { height, width } }),
    disconnect: () => call.responses.cancel(),
    ended,
  };
}

/** Runs a shell script in a task, without input, to its end. */
export async function exec(client: DriverClient, taskId: string, script: string): Promise<ExecEnd> {
  const running = await startExec(client, taskId, ["/bin/sh", "-c", script]);
  await running.endInput();
  return running.ended;
}
