# A job by the clock. If a run has not ended when the next one is due, that one is left out (prohibit_overlap).
#
#   nomad job run -var image=/var/lib/machines/busybox periodic.hcl
#   nomad job periodic force periodic      # now, without waiting for the clock

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "periodic" {
  type = "batch"

  periodic {
    cron             = "15 3 * * *"
    time_zone        = "Europe/Berlin"
    prohibit_overlap = true
  }

  group "report" {
    task "report" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay" # what the task writes is gone afterwards; any number of tasks use the image at once
        network_mode = "none"    # a report needs no network
        command      = ["/bin/sh", "-c", "echo \"A report of $NOMAD_JOB_PARENT_ID\""]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
