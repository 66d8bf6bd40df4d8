import { describe, expect, test } from "bun:test";
import type { Address } from "../ip";
import { begin, type ClientState, type Granted, type Reply, received, timeout } from "./client-state";

const at = (value: number): Address => ({ family: 4, value: BigInt(value) });
const granted = (value: number, seconds = 3600): Granted => ({
  address: { ...at(value), prefix: 24 },
  server: at(1),
  seconds,
});
const offer: Reply = { kind: "offer", granted: granted(9) };
const acknowledge = (value = 9, seconds = 3600): Reply => ({ kind: "acknowledge", granted: granted(value, seconds) });
const refuse: Reply = { kind: "refuse" };

const selecting: ClientState = { kind: "selecting", tries: 0 };
const requesting: ClientState = { kind: "requesting", offer: granted(9), tries: 0 };
const rebooting: ClientState = { kind: "rebooting", address: at(9), tries: 0 };
const bound: ClientState = { kind: "bound", address: at(9), tries: 0 };

/** For tables: names and what they refer to. */
const named = (...states: readonly ClientState[]) => states.map((state) => [state.kind, state] as const);

describe("a client", () => {
  test("discovers servers, or confirms its earlier address", () => {
    expect(begin(undefined)).toEqual({ state: selecting, send: { kind: "discover" }, wait: 250 });
    expect(begin(at(9))).toEqual({ state: rebooting, send: { kind: "confirm", address: at(9) }, wait: 250 });
  });

  test("selects the first offer", () => {
    expect(received(selecting, offer)).toEqual({
      state: requesting,
      send: { kind: "select", address: granted(9).address, server: at(1) },
      wait: 250,
    });
  });

  test.each(named(requesting, rebooting, bound))("has an address once it is acknowledged: %s", (_, state) => {
    const step = received(state, acknowledge());
    expect(step).toEqual({
      state: { kind: "bound", address: granted(9).address, tries: 0 },
      take: granted(9),
      wait: 1_800_000,
    });
  });

  test.each(named(rebooting, bound))("replaces its address by another one: %s", (_, state) => {
    expect(received(state, acknowledge(8))).toMatchObject({ drop: at(9), take: granted(8) });
  });

  test("does not renew an infinite lease", () => {
    expect(received(requesting, acknowledge(9, 2 ** 32 - 1))?.wait).toBeUndefined();
    // A lease of no time must not make it send requests without a pause, either.
    expect(received(requesting, acknowledge(9, 0))?.wait).toBe(250);
  });

  test.each(named(rebooting, bound))("starts over, without its address, after a refusal: %s", (_, state) => {
    expect(received(state, refuse)).toEqual({
      state: selecting,
      send: { kind: "discover" },
      wait: 250,
      drop: at(9),
    });
  });

  test("starts over if the selected offer is refused", () => {
    expect(received(requesting, refuse)).toEqual({ state: selecting, send: { kind: "discover" }, wait: 250 });
  });

  test.each([
    ["selecting", "a lease", selecting, acknowledge()],
    ["selecting", "a refusal", selecting, refuse],
    ["requesting", "an offer", requesting, offer],
    ["rebooting", "an offer", rebooting, offer],
    ["bound", "an offer", bound, offer],
  ] as const)("in state %s it ignores %s", (_, __, state, reply) => {
    expect(received(state, reply)).toBeUndefined();
  });

  test("backs off", () => {
    let state: ClientState = selecting;
    const waits: (number | undefined)[] = [];
    for (let round = 0; round < 10; round += 1) {
      const step = timeout(state);
      waits.push(step.wait);
      state = step.state;
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  test("gives up a server that does not answer after its offer, but not its own address", () => {
    expect(timeout({ ...requesting, tries: 3 })).toMatchObject({ state: selecting, send: { kind: "discover" } });
    for (const [state, kind] of [
      [rebooting, "confirm"],
      [bound, "renew"],
    ] as const) {
      const step = timeout({ ...state, tries: 30 });
      expect(step).toMatchObject({ state: { kind: state.kind }, send: { kind, address: at(9) }, wait: 60_000 });
      expect(step.drop).toBeUndefined();
    }
  });
});
