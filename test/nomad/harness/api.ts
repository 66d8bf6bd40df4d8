/** The parts of Nomad's HTTP API that the tests need, with validated responses. */

import * as v from "valibot";
import { timeoutScale } from "../../../tools/timeout-scale";

const taskEvent = v.looseObject({
  Type: v.string(),
  /** Nanoseconds since the epoch. */
  Time: v.number(),
  DisplayMessage: v.string(),
  DriverMessage: v.string(),
  ExitCode: v.number(),
  Signal: v.number(),
  Details: v.nullable(v.record(v.string(), v.string())),
});

const taskState = v.looseObject({
  State: v.pipe(
    v.picklist(["pending", "running", "dead", ""]),
    // Empty for a task that was stopped before its client knew it.
    v.transform((state) => (state === "" ? "pending" : state)),
  ),
  Failed: v.boolean(),
  Restarts: v.number(),
  Events: v.array(taskEvent),
});

const port = v.looseObject({ Label: v.string(), Value: v.number() });

const allocation = v.looseObject({
  ID: v.string(),
  Name: v.string(),
  NodeID: v.string(),
  ClientStatus: v.string(),
  DesiredStatus: v.string(),
  TaskStates: v.nullish(v.record(v.string(), taskState)),
  AllocatedResources: v.nullish(v.looseObject({ Shared: v.looseObject({ Ports: v.nullish(v.array(port)) }) })),
});

const driverInfo = v.looseObject({
  Attributes: v.nullable(v.record(v.string(), v.string())),
  Detected: v.boolean(),
  Healthy: v.boolean(),
  HealthDescription: v.string(),
});

const node = v.looseObject({
  ID: v.string(),
  Status: v.string(),
  Attributes: v.record(v.string(), v.string()),
  Drivers: v.record(v.string(), driverInfo),
});

const service = v.looseObject({ Address: v.string(), Port: v.number() });
const job = v.looseObject({ ID: v.string() });
const evaluation = v.looseObject({ ID: v.string(), Status: v.string(), StatusDescription: v.optional(v.string()) });
const registered = v.looseObject({ EvalID: v.string() });
const validation = v.looseObject({ Error: v.optional(v.string(), ""), DriverConfigValidated: v.boolean() });
const agentSelf = v.looseObject({ stats: v.looseObject({ client: v.looseObject({ node_id: v.string() }) }) });

export type TaskEvent = v.InferOutput<typeof taskEvent>;
export type TaskState = v.InferOutput<typeof taskState>;
export type Allocation = v.InferOutput<typeof allocation>;
export type Node = v.InferOutput<typeof node>;
export type Service = v.InferOutput<typeof service>;
export type Job = v.InferOutput<typeof job>;
export type Validation = v.InferOutput<typeof validation>;
export type Evaluation = v.InferOutput<typeof evaluation>;

/** Thrown for a response other than 200; the message is the agent's. */
export class NomadApiError extends Error {
  override readonly name = "NomadApiError";
  readonly status: number;

  constructor(request: string, status: number, text: string) {
    super(`${request}: ${status} ${text.trim()}`);
    this.status = status;
  }
}

/** Default timeout in milliseconds. */
const defaultTimeout = 30_000 * timeoutScale;

/** One agent's HTTP API. */
export class NomadApi {
  readonly address: string;

  constructor(address: string) {
    this.address = address;
  }

  /** Any request; `body` is sent as JSON. */
  async request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const response = await fetch(`${this.address}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (!response.ok) throw new NomadApiError(`${method} ${path}`, response.status, await response.text());
    return response;
  }

  /** Node id of the client that answers at this address. */
  async selfNodeId(): Promise<string> {
    const answer = await this.request("GET", "/v1/agent/self");
    return v.parse(agentSelf, await answer.json()).stats.client.node_id;
  }

  /**
   * A job file → the job as JSON, defaults filled in.
   *
   * @param variables values of the job file's variables, as `nomad job run -var` takes them
   */
  async parseJob(hcl: string, variables: Readonly<Record<string, string>> = {}): Promise<Job> {
    const given = Object.entries(variables).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`);
    const body = { JobHCL: hcl, Canonicalize: true, Variables: given.join("") };
    const answer = await this.request("POST", "/v1/jobs/parse", body);
    return v.parse(job, await answer.json());
  }

  /** What the server says about a job before it is registered, as for `nomad job validate`. */
  async validateJob(definition: Job): Promise<Validation> {
    const answer = await this.request("POST", "/v1/validate/job", { Job: definition });
    return v.parse(validation, await answer.json());
  }

  /** Registers a job; returns its evaluation's id. */
  async registerJob(definition: Job): Promise<string> {
    const answer = await this.request("POST", "/v1/jobs", { Job: definition });
    return v.parse(registered, await answer.json()).EvalID;
  }

  /** Stops a job, and forgets it with `purge`. */
  async stopJob(id: string, purge = false): Promise<void> {
    await this.request("DELETE", `/v1/job/${encodeURIComponent(id)}?purge=${purge}`);
  }

  async jobIds(): Promise<string[]> {
    const answer = await this.request("GET", "/v1/jobs");
    return v.parse(v.array(job), await answer.json()).map(({ ID }) => ID);
  }

  evaluation(id: string, until: (found: Evaluation) => boolean, timeout?: number): Promise<Evaluation> {
    return this.#until(`/v1/evaluation/${id}`, evaluation, until, timeout);
  }

  /** Waits for allocations of a job that satisfy the condition. */
  allocations(jobId: string, until: (found: Allocation[]) => boolean, timeout?: number): Promise<Allocation[]> {
    return this.#until(
      `/v1/job/${encodeURIComponent(jobId)}/allocations?all=true`,
      v.array(allocation),
      until,
      timeout,
    );
  }

  /** Waits for an allocation to satisfy the condition. */
  allocation(id: string, until: (found: Allocation) => boolean, timeout?: number): Promise<Allocation> {
    return this.#until(`/v1/allocation/${id}`, allocation, until, timeout);
  }

  /** Waits for the addresses of a service in Nomad's service discovery to satisfy the condition. */
  services(name: string, until: (found: Service[]) => boolean, timeout?: number): Promise<Service[]> {
    return this.#until(`/v1/service/${name}`, v.array(service), until, timeout);
  }

  /** Waits for a node to satisfy the condition. */
  node(id: string, until: (found: Node) => boolean, timeout?: number): Promise<Node> {
    return this.#until(`/v1/node/${id}`, node, until, timeout);
  }

  /** Sends a signal to a task through the agent. */
  async signalTask(allocId: string, task: string, signal: string): Promise<void> {
    await this.request("POST", `/v1/client/allocation/${allocId}/signal`, { Signal: signal, Task: task });
  }

  /** Restarts a task through the agent. */
  async restartTask(allocId: string, task: string): Promise<void> {
    await this.request("POST", `/v1/client/allocation/${allocId}/restart`, { TaskName: task });
  }

  /** What `nomad alloc logs` prints. */
  async logs(allocId: string, task: string, type: "stdout" | "stderr" = "stdout"): Promise<string> {
    const answer = await this.request("GET", logsPath(allocId, task, type, false));
    return answer.text();
  }

  /** A file of an allocation, by its path from the allocation's directory. */
  async file(allocId: string, path: string): Promise<string> {
    const response = await this.request("GET", `/v1/client/fs/cat/${allocId}?path=${encodeURIComponent(path)}`);
    return response.text();
  }

  /** The log as soon as it contains `part`, followed as `nomad alloc logs -f` does. */
  async logsUntil(
    allocId: string,
    task: string,
    part: string | RegExp,
    type: "stdout" | "stderr" = "stdout",
    timeout: number = defaultTimeout,
  ): Promise<string> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeout);
    let text = "";
    try {
      const answer = await this.request("GET", logsPath(allocId, task, type, true), undefined, stop.signal);
      const decoder = new TextDecoder();
      for await (const chunk of answer.body ?? []) {
        text += decoder.decode(chunk, { stream: true });
        if (typeof part === "string" ? text.includes(part) : part.test(text)) return text;
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
    throw new Error(`${task} did not log ${String(part)} to ${type} within ${timeout} ms, only:\n${text}`);
  }

  /** Makes servers and client garbage-collect finished allocations, so that the client removes their directories. */
  async collectGarbage(): Promise<void> {
    await this.request("PUT", "/v1/system/gc");
  }

  /** Blocking queries: the agent answers when something has changed. */
  async #until<T>(
    path: string,
    schema: v.GenericSchema<unknown, T>,
    until: (found: T) => boolean,
    timeout: number = defaultTimeout,
  ): Promise<T> {
    const deadline = performance.now() + timeout;
    let index = "0";
    let last: unknown;
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(`${path} was not as wanted within ${timeout} ms:\n${Bun.inspect(last, { depth: 8 })}`);
      const separator = path.includes("?") ? "&" : "?";
      const answer = await this.request("GET", `${path}${separator}index=${index}&wait=${Math.ceil(left)}ms`);
      index = answer.headers.get("X-Nomad-Index") ?? "0";
      last = await answer.json();
      const found = v.parse(schema, last);
      if (until(found)) return found;
    }
  }
}

function logsPath(allocId: string, task: string, type: string, follow: boolean): string {
  const query = new URLSearchParams({ task, type, plain: "true", origin: "start", follow: String(follow) });
  return `/v1/client/fs/logs/${allocId}?${query}`;
}
