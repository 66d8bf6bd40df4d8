import { declareGoTests } from "./go-tests";

// The test of the memory limit is run where there is a memory controller: test/vm/conformance.test.ts.
await declareGoTests((name) => name !== "TestOOMKilled");
