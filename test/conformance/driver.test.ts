import { declareGoTests } from "./go-tests";

// The test of the memory limit needs a memory controller and runs in test/vm/conformance.test.ts.
await declareGoTests((name) => name !== "TestOOMKilled");
