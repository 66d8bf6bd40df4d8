# An image that runs only because it is signed: the client's operator decides that, in the agent's configuration, and not the job.
#
#   plugin "nspawn" {
#     config {
#       signature_policy = "/etc/nomad.d/policy.json"
#     }
#   }
#
# with this /etc/nomad.d/policy.json, for a key of "cosign generate-key-pair" or "skopeo generate-sigstore-key":
#
#   {
#     "default": [{ "type": "reject" }],
#     "transports": {
#       "docker": {
#         "registry.example.com/team": [{ "type": "sigstoreSigned", "keyPath": "/etc/nomad.d/team.pub" }]
#       }
#     }
#   }
#
#   skopeo copy --sign-by-sigstore-private-key=team.private oci:app docker://registry.example.com/team/app:1
#   nomad job run -var image=registry.example.com/team/app:1 signed-image.hcl
#
# Without a signature by that key the task fails with a sentence that names the image, its digest, the policy and what is missing; nothing
# is downloaded. See docs/images.md, "Signatures".

variable "image" {
  type        = string
  description = "REGISTRY/NAME:TAG of a signed image."
}

job "signed-image" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image        = var.image
        network_veth = false # use the host's network
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
