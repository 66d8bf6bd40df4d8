import { declareGoTests } from "../conformance/go-tests";

await declareGoTests((name) => name === "TestOOMKilled");
