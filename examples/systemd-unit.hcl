# A service defined in the job file and run by the systemd of a plain image: the unit, and the drop-in that starts it, are
# templates in the task directory, which systemd searches first.
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
          # The colon at the end keeps systemd's default directories in the search path.
          SYSTEMD_UNIT_PATH = "${NOMAD_TASK_DIR}/systemd:"
        }
      }

      template {
        destination = "local/systemd/clock.service"
        data        = <<-EOT
          [Unit]
          Description=Print the time

          [Service]
          ExecStart={{ env "NOMAD_TASK_DIR" }}/clock
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
