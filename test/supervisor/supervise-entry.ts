// The shim of these tests: what src/main.ts does for the arguments "supervise ORDER".
import("../../src/supervisor/process/shim").then(async ({ shimMain }) => {
  process.exit(await shimMain(process.argv.slice(2)));
});
