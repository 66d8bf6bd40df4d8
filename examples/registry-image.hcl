# An image from a registry: what it runs, as whom and where, its author has said. The job says what is different.
#
#   nomad job run -var image=docker.io/library/redis:8 registry-image.hcl
#
# It is downloaded once per client, and each task gets a root of its own on it within milliseconds. docs/images.md tells the rest.

variable "image" {
  type        = string
  description = "REGISTRY/NAME:TAG, or oci:/PATH:TAG for an OCI image layout on the client."
}

job "registry-image" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image        = var.image
        network_veth = false # use the host's network

        # Without it the image's own Entrypoint and Cmd run.
        command = ["/bin/sh", "-c", "echo \"$GREETING from $(cat /etc/os-release | head -n 1), as user $(id -u)\""]
      }

      env {
        GREETING = "Hello"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
