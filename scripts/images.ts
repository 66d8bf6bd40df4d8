/** Builds every image of the tests that is not cached yet and prints where each lies. */

import { busyboxImage, debianImage, diskImage, hostImage } from "./images/images";

for (const image of [busyboxImage, diskImage, debianImage, hostImage]) {
  console.log(await image((line) => console.log(line)));
}
