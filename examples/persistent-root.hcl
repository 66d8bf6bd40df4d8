# A root file system of the job's own, which keeps what its tasks change: it is copied from a directory of the client at the first start.
# The operator removes it with `machinectl remove counter` when the job is not needed any more.
#
#   nomad job run -var template=/var/lib/machines/debian persistent-root.hcl

variable "template" {
  type        = string
  description = "A directory of the client with a root file system."
}

job "counter" {
  type = "batch"

  group "one" {
    # The copy is on one client: with several, add a constraint for the one that has it.
    task "count" {
      driver = "nspawn"

      config {
        image    = "counter"
        template = var.template
        boot     = false
        network  = "none"
        command  = ["/bin/sh", "-c", "echo run >> /var/runs; wc -l < /var/runs"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
