/** The speed that tests may expect of the machine they run on. */

/** The variable that sets the pace of a machine without KVM (vm.ts), and of one that runs several levels at once (levels.ts). */
export const TIMEOUT_SCALE_VARIABLE = "NSPAWN_TEST_PACE";

/** The variable that says how slow the processor of a machine without KVM is. */
export const PROCESSOR_SCALE_VARIABLE = "NSPAWN_TEST_PROCESSOR_PACE";

/** How many times longer than usual an operation may take here; for timeouts that only a hanging test reaches. */
export const timeoutScale: number = Number(process.env[TIMEOUT_SCALE_VARIABLE] ?? 1);

/** How many times more of the processor's time than usual an operation may use, which does not depend on what else runs. */
export const processorScale: number = Number(process.env[PROCESSOR_SCALE_VARIABLE] ?? 1);
