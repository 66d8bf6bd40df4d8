# A secret from Nomad's variables, as a file in /secrets, which is memory that only the task can read. When the variable changes, Nomad writes
# the file again and runs a program in the container: the task itself keeps running.
#
#   nomad var put nomad/jobs/secret-template password=first
#   nomad job run -var image=/var/lib/machines/busybox secret-template.hcl
#   nomad var put -force nomad/jobs/secret-template password=second

variable "image" {
  type        = string
  description = "A directory or disk image with a shell."
}

job "secret-template" {
  type = "service"

  group "one" {
    task "program" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        volatile     = "overlay"
        network_mode = "none"
        command      = ["/bin/sh", "/local/program"]
      }

      template {
        destination = "secrets/password"
        perms       = "0400"
        change_mode = "script"

        data = <<-EOT
          {{ with nomadVar "nomad/jobs/secret-template" }}{{ .password }}{{ end }}
        EOT

        change_script {
          command       = "/bin/kill" # runs in the container, as "nomad alloc exec" does
          args          = ["-HUP", "1"]
          fail_on_error = true
        }
      }

      template {
        destination = "local/program"

        data = <<-EOT
          # The secret itself is not printed, only how long it is.
          read_secret() { echo "The password has $(tr -d '\n' < /secrets/password | wc -c) characters."; }
          trap read_secret HUP
          read_secret
          while :; do sleep 1 & wait $!; done
        EOT
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
