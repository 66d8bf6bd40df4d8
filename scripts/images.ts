/** Builds every test image that is not cached yet and prints the path of each. */

import { hostSuites } from "../tools/images/host-tree";
import { busyboxImage, debianImage, diskImage, hostImage } from "../tools/images/images";

const say = (line: string) => console.log(line);
for (const image of [busyboxImage, diskImage, debianImage]) console.log(await image(say));
for (const suite of hostSuites) console.log(await hostImage(say, suite));
