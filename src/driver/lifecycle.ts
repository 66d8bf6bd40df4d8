import { RecoverableError } from "../lib/errors";

/** Thrown for work that arrives after Driver.Shutdown; the agent may retry it with the plugin's next process. */
export class ShuttingDownError extends RecoverableError {
  override readonly name = "ShuttingDownError";

  constructor(action: string) {
    super(`${action} was rejected: the agent is shutting this plugin process down.`, { recoverable: true });
  }
}

/** The state of this plugin process as announced by the agent: since Nomad 2.0.4, agents call Driver.Init and Driver.Shutdown. */
export class Lifecycle {
  #stopping = new AbortController();
  #initialized = false;

  /**
   * Whether the agent called Init. Such an agent also sets the volume's name in each mount of a volume (Mount.request_name, Nomad
   * 2.0.0), so a mount without a name is not a volume.
   */
  get initialized(): boolean {
    return this.#initialized;
  }

  /** Aborts when this process accepts no more work. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Driver.Init. It also makes the process accept work again after a Shutdown: an agent that was restarted before it ended the
   * process reattaches to it. Returns whether it was the first call, for work that is done once per process.
   */
  init(): boolean {
    const first = !this.#initialized;
    this.#initialized = true;
    if (this.#stopping.signal.aborted) this.#stopping = new AbortController();
    return first;
  }

  /** Driver.Shutdown: from now on, new work is rejected. Running tasks are not touched. */
  shutdown(): void {
    this.#stopping.abort();
  }

  /** @throws ShuttingDownError after Shutdown */
  requireWork(action: string): void {
    if (this.#stopping.signal.aborted) throw new ShuttingDownError(action);
  }
}
