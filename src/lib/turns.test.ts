import { expect, test } from "bun:test";
import { Turns } from "./turns";

test("as many run at once as allowed, the others in the order of their arrival, and a turn ends once", async () => {
  const turns = new Turns(2);
  const order: number[] = [];
  const take = async (number: number) => {
    const end = await turns.take();
    order.push(number);
    return end;
  };
  const [first, second, third, fourth] = [take(1), take(2), take(3), take(4)];
  const end = await first;
  await second;
  expect(order).toEqual([1, 2]);
  end();
  end();
  await third;
  expect(order).toEqual([1, 2, 3]);
  (await third)();
  await fourth;
  expect(order).toEqual([1, 2, 3, 4]);
  for (const held of [second, fourth]) (await held)();
  await Promise.all([take(5), take(6)]);
  expect(order).toEqual([1, 2, 3, 4, 5, 6]);
});

test("one that gives up leaves its place to the next, and one that has given up before takes none", async () => {
  const turns = new Turns(1);
  const end = await turns.take();
  const [stopped, late] = [new AbortController(), new AbortController()];
  const [given, next] = [turns.take(stopped.signal), turns.take(late.signal)];
  stopped.abort(new Error("the agent is gone"));
  expect(await given.catch(String)).toBe("Error: the agent is gone");
  expect(await turns.take(stopped.signal).catch(String)).toBe("Error: the agent is gone");
  end();
  const endNext = await next;
  // Its turn has begun: giving up does not change it.
  late.abort();
  endNext();
  (await turns.take())();
});
