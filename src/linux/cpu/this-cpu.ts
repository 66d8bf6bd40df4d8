import { AMD64 } from "./amd64";
import { ARM64 } from "./arm64";
import type { Cpu } from "./cpu";

/** The CPU that this executable is for. Others are refused by the runtime's own headers. */
export const CPU: Cpu = process.arch === "arm64" ? ARM64 : AMD64;
