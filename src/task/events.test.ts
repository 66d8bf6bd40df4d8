import { expect, test } from "bun:test";
import { type TaskEvent, TaskEvents } from "./events";

const event = (message: string): TaskEvent => ({
  taskId: "t",
  allocId: "a",
  taskName: "n",
  at: 0,
  message,
  annotations: {},
});

test("events from before the first subscription are delivered first", async () => {
  const events = new TaskEvents();
  events.emit(event("early"));
  const stop = new AbortController();
  const stream = events.listen(stop.signal);
  expect((await stream.next()).value?.message).toBe("early");
  const later = stream.next();
  events.emit(event("later"));
  expect((await later).value?.message).toBe("later");
  const end = stream.next();
  stop.abort();
  expect((await end).done).toBe(true);
});

test("every subscriber gets an event, and none that has left", async () => {
  const events = new TaskEvents();
  const stops = [new AbortController(), new AbortController()] as const;
  const [first, second] = stops.map(({ signal }) => events.listen(signal));
  const received = [first?.next(), second?.next()];
  events.emit(event("to both"));
  expect((await Promise.all(received)).map((item) => item?.value?.message)).toEqual(["to both", "to both"]);
  const ends = [first?.next(), second?.next()];
  for (const stop of stops) stop.abort();
  await Promise.all(ends);
  events.emit(event("kept for the next"));
  const next = events.listen(new AbortController().signal);
  expect((await next.next()).value?.message).toBe("kept for the next");
});

test("a slow subscriber loses the oldest events, and uses no more memory", async () => {
  const events = new TaskEvents();
  const stream = events.listen(new AbortController().signal);
  const first = stream.next();
  events.emit(event("first"));
  expect((await first).value?.message).toBe("first");
  for (let number = 1; number <= 1500; number += 1) events.emit(event(`event ${number}`));
  expect((await stream.next()).value?.message).toBe("event 501");
});
