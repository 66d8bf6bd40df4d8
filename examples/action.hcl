# Actions (Nomad 1.7): commands of the job's author that an operator runs in a task by name, as "nomad alloc exec" does. Their output
# goes to the caller.
#
#   nomad job run -var image=/var/lib/machines/busybox action.hcl
#   nomad action -job=action -group=web -task=httpd publish

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd."
}

job "action" {
  type = "service"

  group "web" {
    network {
      port "http" {
        to = 80
      }
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        ports    = ["http"]
        command  = ["httpd", "-f", "-p", "80", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "First edition\n"
      }

      # Runs in the container, with the task's user, variables and limits.
      action "publish" {
        command = "/bin/sh"
        args    = ["-c", "echo Second edition > /local/www/index.html; echo published by $NOMAD_TASK_NAME"]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
