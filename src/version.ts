/** Which build this is. */

import { version as packageVersion } from "../package.json";

/** Put in place by the bundler (scripts/build/compile.ts); not there when the sources are run as they are. */
declare const BUILD_COMMIT: string;

/** Version from package.json, such as "0.1.0". */
export const version: string = packageVersion;

/** Git commit the binary was built from, with "-dirty" where sources differed from it; "unknown" outside a build. */
export const commit: string = typeof BUILD_COMMIT === "undefined" ? "unknown" : BUILD_COMMIT;
