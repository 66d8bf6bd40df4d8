# Tasks before, beside and after the main one. They share /alloc, and each has its own root file system.
#
#   nomad job run -var image=/var/lib/machines/busybox task-lifecycle.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

locals {
  # The same for all four: a command in a throw-away root, without a network.
  common = {
    image        = var.image
    boot         = false
    volatile     = "overlay"
    network_mode = "none"
  }
}

job "task-lifecycle" {
  type = "batch"

  group "one" {
    task "prepare" {
      driver = "nspawn"

      lifecycle {
        hook = "prestart" # the main task starts when this one has ended with 0
      }

      config {
        image        = local.common.image
        boot         = local.common.boot
        volatile     = local.common.volatile
        network_mode = local.common.network_mode
        command      = ["/bin/sh", "-c", "echo prepared > /alloc/data/steps"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "watch" {
      driver = "nspawn"

      lifecycle {
        hook    = "poststart"
        sidecar = true # runs beside the main task, and is stopped after it
      }

      config {
        image        = local.common.image
        boot         = local.common.boot
        volatile     = local.common.volatile
        network_mode = local.common.network_mode
        command      = ["/bin/sh", "-c", "echo watched >> /alloc/data/watch; exec sleep 1000000"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "main" {
      driver = "nspawn"

      config {
        image        = local.common.image
        boot         = local.common.boot
        volatile     = local.common.volatile
        network_mode = local.common.network_mode
        command      = ["/bin/sh", "-c", "until [ -s /alloc/data/watch ]; do sleep 0.1; done; echo done >> /alloc/data/steps"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "tidy" {
      driver = "nspawn"

      lifecycle {
        hook = "poststop" # also after a failure of the main task
      }

      config {
        image        = local.common.image
        boot         = local.common.boot
        volatile     = local.common.volatile
        network_mode = local.common.network_mode
        command      = ["/bin/sh", "-c", "cat /alloc/data/steps; echo tidied"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
