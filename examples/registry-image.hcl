# An image from a registry. The image config defines command, user and working directory; the job overrides what differs.
#
#   nomad job run -var image=docker.io/library/redis:8 registry-image.hcl
#
# It is downloaded once per client, and each task gets its own root filesystem on top of it in milliseconds. See docs/images.md.

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

        # Without this, the image's own Entrypoint and Cmd run.
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
