import { describe, expect, test } from "bun:test";
import { decodePluginConfig } from "./plugin/decode";
import { decodeTaskConfig } from "./task/decode";

/**
 * Recorded from Nomad 1.11.3's own code (jobspec2, hclspecutils, hclutils.ParseHclInterface, cty's msgpack): what it makes
 * of a config block and of taskConfigSpec().
 */
describe("a task's config as Nomad sends it", () => {
  const recorded: readonly [hcl: string, base64: string, expected: object][] = [
    [
      'image = "i"',
      "3gAlpGF1dGjApGJpbmTArmJpbmRfcmVhZF9vbmx5wKRib290w6pjYXBhYmlsaXR5wKdjb21tYW5kwKdjb25zb2xlwKdkZXZpY2VzwK9kcm9wX2NhcGFiaWxpdHnAq2Vudmlyb25tZW50wKllcGhlbWVyYWzAqGhvc3RuYW1lwKVpbWFnZaFprmltYWdlX2Rvd25sb2FkwKxpbmFjY2Vzc2libGXArm5ldHdvcmtfYnJpZGdlwKxuZXR3b3JrX3ZldGjDrG5ldHdvcmtfem9uZcCxbm9fbmV3X3ByaXZpbGVnZXPAsG9vbV9zY29yZV9hZGp1c3TAp292ZXJsYXnAqnBpdm90X3Jvb3TAqHBvcnRfbWFwwKVwb3J0c8CtcHJpdmF0ZV91c2Vyc8C3cHJpdmF0ZV91c2Vyc19vd25lcnNoaXDAq3Byb2Nlc3NfdHdvwKpwcm9wZXJ0aWVzwKlyZWFkX29ubHnAq3Jlc29sdl9jb25mwKdybGltaXRzwLJzeXN0ZW1fY2FsbF9maWx0ZXLApXRtcGZzwKR1c2VywLB1c2VyX25hbWVzcGFjaW5nw6h2b2xhdGlsZcCxd29ya2luZ19kaXJlY3RvcnnA",
      {},
    ],
    [
      'image = "i"\nbind = { "/a" = "/b" }',
      "3gAlpGF1dGjApGJpbmSRgaIvYaIvYq5iaW5kX3JlYWRfb25secCkYm9vdMOqY2FwYWJpbGl0ecCnY29tbWFuZMCnY29uc29sZcCnZGV2aWNlc8CvZHJvcF9jYXBhYmlsaXR5wKtlbnZpcm9ubWVudMCpZXBoZW1lcmFswKhob3N0bmFtZcClaW1hZ2Whaa5pbWFnZV9kb3dubG9hZMCsaW5hY2Nlc3NpYmxlwK5uZXR3b3JrX2JyaWRnZcCsbmV0d29ya192ZXRow6xuZXR3b3JrX3pvbmXAsW5vX25ld19wcml2aWxlZ2VzwLBvb21fc2NvcmVfYWRqdXN0wKdvdmVybGF5wKpwaXZvdF9yb290wKhwb3J0X21hcMClcG9ydHPArXByaXZhdGVfdXNlcnPAt3ByaXZhdGVfdXNlcnNfb3duZXJzaGlwwKtwcm9jZXNzX3R3b8CqcHJvcGVydGllc8CpcmVhZF9vbmx5wKtyZXNvbHZfY29uZsCncmxpbWl0c8Cyc3lzdGVtX2NhbGxfZmlsdGVywKV0bXBmc8CkdXNlcsCwdXNlcl9uYW1lc3BhY2luZ8Oodm9sYXRpbGXAsXdvcmtpbmdfZGlyZWN0b3J5wA==",
      { bind: { "/a": "/b" } },
    ],
    [
      'image = "i"\nenvironment {\n  FOO = "bar"\n}',
      "3gAlpGF1dGjApGJpbmTArmJpbmRfcmVhZF9vbmx5wKRib290w6pjYXBhYmlsaXR5wKdjb21tYW5kwKdjb25zb2xlwKdkZXZpY2VzwK9kcm9wX2NhcGFiaWxpdHnAq2Vudmlyb25tZW50kYGjRk9Po2JhcqllcGhlbWVyYWzAqGhvc3RuYW1lwKVpbWFnZaFprmltYWdlX2Rvd25sb2FkwKxpbmFjY2Vzc2libGXArm5ldHdvcmtfYnJpZGdlwKxuZXR3b3JrX3ZldGjDrG5ldHdvcmtfem9uZcCxbm9fbmV3X3ByaXZpbGVnZXPAsG9vbV9zY29yZV9hZGp1c3TAp292ZXJsYXnAqnBpdm90X3Jvb3TAqHBvcnRfbWFwwKVwb3J0c8CtcHJpdmF0ZV91c2Vyc8C3cHJpdmF0ZV91c2Vyc19vd25lcnNoaXDAq3Byb2Nlc3NfdHdvwKpwcm9wZXJ0aWVzwKlyZWFkX29ubHnAq3Jlc29sdl9jb25mwKdybGltaXRzwLJzeXN0ZW1fY2FsbF9maWx0ZXLApXRtcGZzwKR1c2VywLB1c2VyX25hbWVzcGFjaW5nw6h2b2xhdGlsZcCxd29ya2luZ19kaXJlY3RvcnnA",
      { environment: { FOO: "bar" } },
    ],
    [
      'image = "i"\nbind_read_only {\n  a = "/b"\n}\nbind_read_only {\n  c = "/d"\n}',
      "3gAlpGF1dGjApGJpbmTArmJpbmRfcmVhZF9vbmx5koGhYaIvYoGhY6IvZKRib290w6pjYXBhYmlsaXR5wKdjb21tYW5kwKdjb25zb2xlwKdkZXZpY2VzwK9kcm9wX2NhcGFiaWxpdHnAq2Vudmlyb25tZW50wKllcGhlbWVyYWzAqGhvc3RuYW1lwKVpbWFnZaFprmltYWdlX2Rvd25sb2FkwKxpbmFjY2Vzc2libGXArm5ldHdvcmtfYnJpZGdlwKxuZXR3b3JrX3ZldGjDrG5ldHdvcmtfem9uZcCxbm9fbmV3X3ByaXZpbGVnZXPAsG9vbV9zY29yZV9hZGp1c3TAp292ZXJsYXnAqnBpdm90X3Jvb3TAqHBvcnRfbWFwwKVwb3J0c8CtcHJpdmF0ZV91c2Vyc8C3cHJpdmF0ZV91c2Vyc19vd25lcnNoaXDAq3Byb2Nlc3NfdHdvwKpwcm9wZXJ0aWVzwKlyZWFkX29ubHnAq3Jlc29sdl9jb25mwKdybGltaXRzwLJzeXN0ZW1fY2FsbF9maWx0ZXLApXRtcGZzwKR1c2VywLB1c2VyX25hbWVzcGFjaW5nw6h2b2xhdGlsZcCxd29ya2luZ19kaXJlY3RvcnnA",
      { bind_read_only: { a: "/b", c: "/d" } },
    ],
    [
      'image = "i"\nenvironment = { N = 5, F = 0.1, L = 12345678901234567890 }',
      "3gAlpGF1dGjApGJpbmTArmJpbmRfcmVhZF9vbmx5wKRib290w6pjYXBhYmlsaXR5wKdjb21tYW5kwKdjb25zb2xlwKdkZXZpY2VzwK9kcm9wX2NhcGFiaWxpdHnAq2Vudmlyb25tZW50kYOhRqMwLjGhTLQxMjM0NTY3ODkwMTIzNDU2NzE2OKFOBallcGhlbWVyYWzAqGhvc3RuYW1lwKVpbWFnZaFprmltYWdlX2Rvd25sb2FkwKxpbmFjY2Vzc2libGXArm5ldHdvcmtfYnJpZGdlwKxuZXR3b3JrX3ZldGjDrG5ldHdvcmtfem9uZcCxbm9fbmV3X3ByaXZpbGVnZXPAsG9vbV9zY29yZV9hZGp1c3TAp292ZXJsYXnAqnBpdm90X3Jvb3TAqHBvcnRfbWFwwKVwb3J0c8CtcHJpdmF0ZV91c2Vyc8C3cHJpdmF0ZV91c2Vyc19vd25lcnNoaXDAq3Byb2Nlc3NfdHdvwKpwcm9wZXJ0aWVzwKlyZWFkX29ubHnAq3Jlc29sdl9jb25mwKdybGltaXRzwLJzeXN0ZW1fY2FsbF9maWx0ZXLApXRtcGZzwKR1c2VywLB1c2VyX25hbWVzcGFjaW5nw6h2b2xhdGlsZcCxd29ya2luZ19kaXJlY3RvcnnA",
      { environment: { N: "5", F: "0.1", L: "12345678901234567168" } },
    ],
    [
      'image = "i"\ncommand = ["a", 5]\nboot = "false"\noom_score_adjust = "7"',
      "3gAlpGF1dGjApGJpbmTArmJpbmRfcmVhZF9vbmx5wKRib290wqpjYXBhYmlsaXR5wKdjb21tYW5kkqFhoTWnY29uc29sZcCnZGV2aWNlc8CvZHJvcF9jYXBhYmlsaXR5wKtlbnZpcm9ubWVudMCpZXBoZW1lcmFswKhob3N0bmFtZcClaW1hZ2Whaa5pbWFnZV9kb3dubG9hZMCsaW5hY2Nlc3NpYmxlwK5uZXR3b3JrX2JyaWRnZcCsbmV0d29ya192ZXRow6xuZXR3b3JrX3pvbmXAsW5vX25ld19wcml2aWxlZ2VzwLBvb21fc2NvcmVfYWRqdXN0B6dvdmVybGF5wKpwaXZvdF9yb290wKhwb3J0X21hcMClcG9ydHPArXByaXZhdGVfdXNlcnPAt3ByaXZhdGVfdXNlcnNfb3duZXJzaGlwwKtwcm9jZXNzX3R3b8CqcHJvcGVydGllc8CpcmVhZF9vbmx5wKtyZXNvbHZfY29uZsCncmxpbWl0c8Cyc3lzdGVtX2NhbGxfZmlsdGVywKV0bXBmc8CkdXNlcsCwdXNlcl9uYW1lc3BhY2luZ8Oodm9sYXRpbGXAsXdvcmtpbmdfZGlyZWN0b3J5wA==",
      { command: ["a", "5"], boot: false, oom_score_adjust: 7 },
    ],
    [
      '{ "image": "i", "bind": { "/a": "/b" } } (a job in JSON)',
      "3gAlpGF1dGjApGJpbmSBoi9hoi9irmJpbmRfcmVhZF9vbmx5wKRib290w6pjYXBhYmlsaXR5wKdjb21tYW5kwKdjb25zb2xlwKdkZXZpY2VzwK9kcm9wX2NhcGFiaWxpdHnAq2Vudmlyb25tZW50wKllcGhlbWVyYWzAqGhvc3RuYW1lwKVpbWFnZaFprmltYWdlX2Rvd25sb2FkwKxpbmFjY2Vzc2libGXArm5ldHdvcmtfYnJpZGdlwKxuZXR3b3JrX3ZldGjDrG5ldHdvcmtfem9uZcCxbm9fbmV3X3ByaXZpbGVnZXPAsG9vbV9zY29yZV9hZGp1c3TAp292ZXJsYXnAqnBpdm90X3Jvb3TAqHBvcnRfbWFwwKVwb3J0c8CtcHJpdmF0ZV91c2Vyc8C3cHJpdmF0ZV91c2Vyc19vd25lcnNoaXDAq3Byb2Nlc3NfdHdvwKpwcm9wZXJ0aWVzwKlyZWFkX29ubHnAq3Jlc29sdl9jb25mwKdybGltaXRzwLJzeXN0ZW1fY2FsbF9maWx0ZXLApXRtcGZzwKR1c2VywLB1c2VyX25hbWVzcGFjaW5nw6h2b2xhdGlsZcCxd29ya2luZ19kaXJlY3RvcnnA",
      { bind: { "/a": "/b" } },
    ],
  ];

  test.each(recorded)("%s", (_, base64, expected) => {
    expect(decodeTaskConfig(Buffer.from(base64, "base64"))).toMatchObject({
      image: "i",
      network_veth: true,
      ...expected,
    });
  });
});

describe("the plugin's config as Nomad sends it", () => {
  test("an empty block is the same as an absent one", () => {
    const bytes = Buffer.from(
      "iqphbGxvd19jYXBzwLZhbGxvd19wcml2aWxlZ2VkX2JpbmRzwLBhbGxvd19wcm9wZXJ0aWVzwKRhdXRowKdlbmFibGVkw6JnY8CraW1hZ2VfcGF0aHPArHB1bGxfdGltZW91dMCuc3RhdHNfaW50ZXJ2YWzAp3ZvbHVtZXPD",
      "base64",
    );
    expect(decodePluginConfig(bytes)).toEqual(decodePluginConfig(new Uint8Array()));
  });

  test("a nested block keeps the defaults of absent options", () => {
    const bytes = Buffer.from(
      "iqphbGxvd19jYXBzwLZhbGxvd19wcml2aWxlZ2VkX2JpbmRzwLBhbGxvd19wcm9wZXJ0aWVzwKRhdXRowKdlbmFibGVkw6JnY4OpY29udGFpbmVywKVpbWFnZcCraW1hZ2VfZGVsYXmiMWiraW1hZ2VfcGF0aHORoi9hrHB1bGxfdGltZW91dMCuc3RhdHNfaW50ZXJ2YWzAp3ZvbHVtZXPD",
      "base64",
    );
    expect(decodePluginConfig(bytes)).toMatchObject({
      gc: { image: true, image_delay: 3_600_000, container: true },
      image_paths: ["/a"],
    });
  });
});
