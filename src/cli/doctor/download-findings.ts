import type { HostFacts } from "./facts";
import type { Finding } from "./finding";

/** Judges what downloads of images need (docs/images.md). */
export function downloadFindings(facts: HostFacts): Finding[] {
  return [downloads(facts), signatures(facts), certificates(facts)];
}

function downloads({ downloads: { importd, xz } }: HostFacts): Finding {
  const check = "image downloads";
  if (importd) {
    return { check, level: "ok", text: "systemd-importd downloads images (image_download of type tar and raw)." };
  }
  if (xz) return { check, level: "ok", text: "The driver downloads images itself: there is no systemd-importd." };
  return {
    check,
    level: "warning",
    text: "There is neither systemd-importd nor xz: image_download cannot use what is compressed by xz, as most images are.",
    fix: 'Install the package "xz-utils" (Debian, Ubuntu) or "xz".',
  };
}

function signatures({ downloads: { gpg, keyring } }: HostFacts): Finding {
  const check = "image signatures";
  if (!gpg) {
    return {
      check,
      level: "warning",
      text: 'gpg is not installed: image_download with verify = "signature" fails.',
      fix: 'Install the package "gpg" (Debian, Ubuntu) or "gnupg2".',
    };
  }
  if (keyring === undefined) {
    return {
      check,
      level: "warning",
      text: 'There is no keyring of images: image_download with verify = "signature" fails.',
      fix: "Put the keys that images are signed by into /etc/systemd/import-pubring.gpg.",
    };
  }
  return { check, level: "ok", text: `Signatures of images are checked by ${keyring}.` };
}

function certificates({ downloads: { certificates: count } }: HostFacts): Finding {
  const check = "certificates";
  return count > 0
    ? {
        check,
        level: "ok",
        text: `Registries are trusted by ${count} certificates of this host, and by those in the driver.`,
      }
    : {
        check,
        level: "ok",
        text: "This host has no certificates of authorities: registries are trusted by those in the driver, and by registry { ca }.",
      };
}
