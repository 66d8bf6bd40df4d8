/** Which build this is. */

import { version as packageVersion } from "../../package.json";

/** Defined by the bundler (tools/build/compile.ts); undefined when the sources are run directly. */
declare const BUILD_COMMIT: string;

/** Version from package.json, such as "0.1.0". */
export const version: string = packageVersion;

/** Git commit the binary was built from, with "-dirty" where sources differed from it; "unknown" outside a build. */
export const commit: string = typeof BUILD_COMMIT === "undefined" ? "unknown" : BUILD_COMMIT;
