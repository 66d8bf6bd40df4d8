/** The speed that tests may expect of the machine they run on. */

/** The variable that sets the pace of a machine without KVM (vm.ts). */
export const TIMEOUT_SCALE_VARIABLE = "NSPAWN_TEST_PACE";

/** How many times longer than usual an operation may take here; for timeouts that only a hanging test reaches. */
export const timeoutScale: number = Number(process.env[TIMEOUT_SCALE_VARIABLE] ?? 1);
