# Limits, mounts and environment of a single command.
#
#   nomad job run -var image=/var/lib/machines/busybox limits-and-mounts.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

variable "read_only" {
  type        = bool
  default     = false
  description = "Mount the image read-only. A directory then has to hold /alloc, /local, /secrets and the targets of all mounts."
}

job "limits" {
  type = "batch"

  group "limits" {
    task "worker" {
      driver = "nspawn"

      config {
        image        = var.image
        read_only    = var.read_only
        boot         = false
        network_veth = false
        command      = ["/bin/sh", "${NOMAD_TASK_DIR}/worker.sh"]

        # Paths of the host. Quoted names need the attribute form; they are not possible in a block.
        bind_read_only = {
          "/usr/share/zoneinfo" = "/run/zoneinfo"
        }

        # A relative path is relative to the task directory.
        bind = {
          "local/data" = "/run/data"
        }

        tmpfs = ["/run/scratch:size=8M,mode=1777"]

        environment = {
          GREETING = "hello"
        }

        rlimits = {
          NOFILE = "1024"
        }

        # At most 64 processes and threads, and `cpu` below as a hard limit.
        pids_limit     = 64
        cpu_hard_limit = true

        # The OOM killer prefers this task when memory runs out.
        oom_score_adjust = 500
      }

      template {
        destination = "local/worker.sh"
        data        = <<-EOT
          echo "$GREETING from $(hostname), with $(ulimit -n) open files at most"
          ls -d /run/zoneinfo /run/data /run/scratch
          date > /run/scratch/written
          echo "killed before others by $(cat /proc/self/oom_score_adj)"
          cat /run/data/note
        EOT
      }

      template {
        destination = "local/data/note"
        data        = "a note that the task finds below /run/data\n"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
