# A service written in the job file, run by the systemd of a plain image: the unit and what pulls it in are templates in
# the task's directory, which systemd searches first.
#
#   nomad job run -var image=/var/lib/machines/debian systemd-unit.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with systemd."
}

job "unit" {
  type = "service"

  group "unit" {
    task "clock" {
      driver       = "nspawn"
      kill_timeout = "30s"

      config {
        image        = var.image
        ephemeral    = true
        network_veth = false

        environment = {
          # The colon at the end keeps the directories systemd searches otherwise.
          SYSTEMD_UNIT_PATH = "${NOMAD_TASK_DIR}/systemd:"
        }
      }

      template {
        destination = "local/systemd/clock.service"
        data        = <<-EOT
          [Unit]
          Description=Tell the time

          [Service]
          ExecStart={{ env "NOMAD_TASK_DIR" }}/clock
          StandardOutput=journal+console
          Restart=on-failure
        EOT
      }

      template {
        destination = "local/systemd/multi-user.target.d/clock.conf"
        data        = <<-EOT
          [Unit]
          Wants=clock.service
        EOT
      }

      template {
        destination = "local/clock"
        perms       = "755"
        data        = <<-EOT
          #!/bin/sh
          while :; do
            echo "The unit's clock says $(date +%T)."
            sleep 5
          done
        EOT
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
