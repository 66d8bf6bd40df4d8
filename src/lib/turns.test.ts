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
