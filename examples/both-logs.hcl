# Output in Nomad's files and in the client's journal, found there by the names of the job and by a label.
#
#   nomad job run -var image=/var/lib/machines/debian both-logs.hcl
#   nomad alloc logs ALLOCATION
#   journalctl NOMAD_JOB_ID=both-logs
#   journalctl NOMAD_LABEL_TEAM=web --follow

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "both-logs" {
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
        log_driver = "both"

        labels {
          team = "web"
        }
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
