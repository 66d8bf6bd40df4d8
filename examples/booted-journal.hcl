# A booted system whose services are read in `nomad alloc logs`: the journal goes to stderr, the console to stdout. A service gets a
# credential from a template.
#
#   nomad job run -var image=/var/lib/machines/debian booted-journal.hcl
#   nomad alloc logs -stderr -f -job journal

variable "image" {
  type        = string
  description = "A directory or disk image with systemd and journalctl."
}

job "journal" {
  type = "service"

  group "system" {
    task "debian" {
      driver       = "nspawn"
      kill_timeout = "30s"

      config {
        image        = var.image
        ephemeral    = true
        network_veth = false

        # "stdout", the default, has the lines among those of the console; "off" reads no journal.
        journal = "stderr"

        # What the unit below reads; in no argument vector and no log of the driver.
        credential_files = {
          greeting = "secrets/greeting"
        }

        environment = {
          # The colon at the end keeps systemd's default directories in the search path.
          SYSTEMD_UNIT_PATH = "${NOMAD_TASK_DIR}/systemd:"
        }
      }

      template {
        destination = "secrets/greeting"
        data        = "Good morning from a service."
      }

      template {
        destination = "local/systemd/greeter.service"
        data        = <<-EOT
          [Unit]
          Description=Greet

          [Service]
          LoadCredential=greeting
          ExecStart=/bin/cat %d/greeting
          Type=oneshot
        EOT
      }

      template {
        destination = "local/systemd/multi-user.target.d/greeter.conf"
        data        = <<-EOT
          [Unit]
          Wants=greeter.service
        EOT
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
