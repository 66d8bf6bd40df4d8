# What a program of another driver's job may expect around it: names of other hosts, a small init that reaps processes, a /tmp on the
# disk, its own user, a root file system of limited size; and a system whose task is running when it is up.
#
#   nomad job run -var image=docker.io/library/busybox:1 -var system=/var/lib/machines/debian container-life.hcl

variable "image" {
  type        = string
  description = "A container image, or a directory, with a shell."
}

variable "system" {
  type        = string
  default     = "/var/lib/machines/debian"
  description = "A directory with a system."
}

job "container-life" {
  type = "service"

  group "life" {
    task "reaped" {
      driver = "nspawn"

      config {
        image         = var.image
        boot          = false
        network_veth  = false
        ephemeral     = true
        init          = true
        user          = "1000:1000"
        tmp           = "disk"
        extra_hosts   = ["db.example:192.0.2.7"]
        storage_limit = "100MB"
        command       = ["/bin/sh", "-c", "grep db.example /etc/hosts; id -u; echo kept > /tmp/file && cat /tmp/file; exec sleep 3600"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }

  # A whole system: the task is running when systemd is up, with the machine ID of the image.
  group "system" {
    task "booted" {
      driver = "nspawn"

      config {
        image         = var.system
        ephemeral     = true
        network_veth  = false
        machine_id    = "image"
        notify_ready  = true
        ready_timeout = "3m"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
