import { decodePluginConfig } from "../config/plugin/decode";
import type { PluginOptions } from "../config/plugin/options";

/** The plugin's config; the agent may set it several times. */
export class LiveConfig {
  readonly #listeners = new Set<() => void>();
  #options: PluginOptions = decodePluginConfig(new Uint8Array());

  get options(): PluginOptions {
    return this.#options;
  }

  set(options: PluginOptions): void {
    this.#options = options;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` after every change until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
