# Limits, mounts and environment of a single program.
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

        # Paths of the host; with quoted names this has to be an attribute, not a block.
        bind_read_only = {
          "/usr/share/zoneinfo" = "/run/zoneinfo"
        }

        # A relative path lies in the task's directory.
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

        # Processes and threads; and never more CPU time than `cpu` below says.
        pids_limit     = 64
        cpu_hard_limit = true

        # The kernel ends this task before others when memory runs out.
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
