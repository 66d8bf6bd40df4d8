import { RecoverableError } from "../host/recoverable-error";

/** Thrown for work that comes after Driver.Shutdown; the agent may try again with the plugin's next process. */
export class ShuttingDownError extends RecoverableError {
  override readonly name = "ShuttingDownError";

  constructor(action: string) {
    super(`${action} is refused: the agent is shutting this plugin process down.`, { recoverable: true });
  }
}

/** What the agent said about this plugin process: agents from Nomad 2.0.4 on call Driver.Init and Driver.Shutdown. */
export class Lifecycle {
  #stopping = new AbortController();
  #initialized = false;

  /**
   * Whether the agent called Init. Such an agent also gives each mount of a volume the volume's name (Mount.request_name, Nomad
   * 2.0.0), so that a mount without one is no volume.
   */
  get initialized(): boolean {
    return this.#initialized;
  }

  /** Aborts when this process takes no more work. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Driver.Init. Also the begin of work after a Shutdown: an agent that was restarted before it ended the process finds it again.
   * Returns whether it was the first call: what may be done once per process is done then.
   */
  init(): boolean {
    const first = !this.#initialized;
    this.#initialized = true;
    if (this.#stopping.signal.aborted) this.#stopping = new AbortController();
    return first;
  }

  /** Driver.Shutdown: new work is refused from now on. Running tasks are not touched. */
  shutdown(): void {
    this.#stopping.abort();
  }

  /** @throws ShuttingDownError after Shutdown */
  requireWork(action: string): void {
    if (this.#stopping.signal.aborted) throw new ShuttingDownError(action);
  }
}
