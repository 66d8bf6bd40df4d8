// The shim of these tests: what src/main.ts does for the arguments "supervise ORDER".
import("../../src/supervisor/process/supervise").then(async ({ superviseMain }) => {
  process.exit(await superviseMain(process.argv.slice(2)));
});
