# Reserved and maximal memory, and processors of its own. The scheduler places the task by "memory"; up to "memory_max" it may use what is free, if
# the cluster allows it (nomad operator scheduler set-config -memory-oversubscription=true). Tasks without "cores" leave these processors free.
#
#   nomad job run -var image=/var/lib/machines/busybox memory-and-cores.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "memory-and-cores" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay"
        network_mode = "none"
        command      = ["/bin/sh", "-c", "echo \"$NOMAD_MEMORY_LIMIT $NOMAD_MEMORY_MAX_LIMIT $NOMAD_CPU_CORES\"; grep Cpus_allowed_list /proc/self/status"]
      }

      resources {
        cores      = 1
        memory     = 32
        memory_max = 64
      }
    }
  }
}
