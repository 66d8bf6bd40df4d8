import type { HostFacts } from "./facts";
import type { Finding } from "./finding";

/** Evaluates what image downloads need (docs/images.md). */
export function downloadFindings(facts: HostFacts): Finding[] {
  return [downloads(facts), signatures(facts), certificates(facts)];
}

function downloads({ downloads: { importd, xz } }: HostFacts): Finding {
  const check = "image downloads";
  if (importd) {
    return { check, level: "ok", text: "systemd-importd downloads images (image_download of type tar and raw)." };
  }
  if (xz) return { check, level: "ok", text: "The driver downloads images itself: systemd-importd is not available." };
  return {
    check,
    level: "warning",
    text: "Neither systemd-importd nor xz is installed: image_download cannot unpack xz-compressed images, which most images are.",
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
      text: 'No keyring for image signatures exists: image_download with verify = "signature" fails.',
      fix: "Import the public keys that your images are signed with into /etc/systemd/import-pubring.gpg.",
    };
  }
  return { check, level: "ok", text: `Image signatures are checked with the keyring ${keyring}.` };
}

function certificates({ downloads: { certificates: count } }: HostFacts): Finding {
  const check = "certificates";
  return count > 0
    ? {
        check,
        level: "ok",
        text: `Registry TLS uses ${count} CA certificates of this host and the driver's built-in ones.`,
      }
    : {
        check,
        level: "ok",
        text: "This host has no CA certificates: registry TLS uses the driver's built-in ones and registry { ca }.",
      };
}
