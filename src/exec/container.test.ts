import { expect, test } from "bun:test";
import { ContainerGoneError, ContainerStartingError, openContainer } from "./container";

const ref = { supervisor: "process", machine: "m", mode: "pid1", bootId: "b" } as const;

test("a container whose systemd-nspawn has started no process yet is still starting", async () => {
  const child = Bun.spawn(["sleep", "60"]);
  try {
    const opened = openContainer({ mainPid: () => child.pid, ref }, 20);
    await expect(opened).rejects.toBeInstanceOf(ContainerStartingError);
  } finally {
    child.kill();
    await child.exited;
  }
});

test("a container whose systemd-nspawn exits meanwhile is gone", async () => {
  const child = Bun.spawn(["sleep", "0.05"]);
  await expect(openContainer({ mainPid: () => child.pid, ref }, 5_000)).rejects.toBeInstanceOf(ContainerGoneError);
  await expect(openContainer({ mainPid: () => undefined, ref })).rejects.toBeInstanceOf(ContainerGoneError);
});
