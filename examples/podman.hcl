# Containers inside a container: podman in a task with user namespaces, and so without rights on the client.
#
#   nomad job run -var image=/var/lib/machines/podman -var inner=docker.io/library/alpine:3 podman.hcl
#
# The image is a Debian with podman, such as `mmdebstrap --include=podman,crun,netavark trixie /var/lib/machines/podman`.

variable "image" {
  type        = string
  description = "A directory or disk image with podman."
}

variable "inner" {
  type        = string
  description = "What podman runs: an image of a registry, or an archive such as oci-archive:/images/app.tar."
}

variable "images" {
  type        = string
  description = "A directory of the client with archives of images."
  default     = "/srv/images"
}

job "podman" {
  type = "batch"

  group "nested" {
    task "podman" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"

        # podman's images and containers. An overlay cannot have its changes on another overlay, as the root of this task is; a tmpfs counts
        # as the task's memory.
        tmpfs = ["/var/lib/containers:mode=0755"]

        # Each container of podman gets a session keyring.
        system_call_filter = ["@keyring"]

        bind_read_only = {
          (var.images) = "/images"
        }

        # With the network of the task, which is a private one, and with its limits for all containers together. On a client with cgroup v2
        # only, podman can make cgroups of its own: leave --cgroups=disabled out.
        command = ["podman", "run", "--rm", "--network=host", "--cgroups=disabled", var.inner]
      }

      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
