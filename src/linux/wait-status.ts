/** How a process ended: its exit code, or the signal that killed it; the other is 0. */
export interface ProcessEnd {
  readonly code: number;
  readonly signal: number;
}

/** The parts of a wait status (wait(2)). */
export function decodeWaitStatus(status: number): ProcessEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff, signal: 0 } : { code: 0, signal };
}
