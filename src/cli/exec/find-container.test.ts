import { expect, test } from "bun:test";
import { ContainerGoneError } from "../../exec/container";
import { findContainer } from "./find-container";

test.each(["/bin/sh", "..", "", "a b", "web\n", "-x"])(
  "%j is no machine's name, so no container has it",
  async (name) => {
    const found = findContainer(name);
    await expect(found).rejects.toBeInstanceOf(ContainerGoneError);
    await expect(found).rejects.toThrow(`No container ${JSON.stringify(name)} of this driver is running`);
  },
);
