# Output in the client's journal instead of Nomad's files, found by the names of the job and by a label.
#
#   nomad job run -var image=/var/lib/machines/debian client-journal.hcl
#   journalctl NOMAD_JOB_ID=client-journal
#   journalctl NOMAD_LABEL_TEAM=web --follow

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "client-journal" {
  type = "batch"

  group "one" {
    task "greeter" {
      driver = "nspawn"

      config {
        image      = var.image
        boot       = false
        volatile   = "overlay"
        network    = "none"
        command    = ["/bin/sh", "-c", "echo hello from $NOMAD_TASK_NAME"]
        log_driver = "journal"

        labels {
          team = "web"
        }
      }

      # Nothing is left for Nomad to collect.
      logs {
        disabled = true
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
