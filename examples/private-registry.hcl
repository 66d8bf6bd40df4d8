# An image of a registry that asks for a name and a password. They come from a Nomad variable, which only this job can read: nothing secret is in
# the job file. What all jobs of a client share belongs into the operator's auth file instead (docs/images.md, "Authentication").
#
#   nomad var put nomad/jobs/private-registry username=reader password=…
#   nomad job run -var image=registry.example.com/team/app:1 private-registry.hcl

variable "image" {
  type        = string
  description = "REGISTRY/NAME:TAG"
}

job "private-registry" {
  type = "batch"

  group "one" {
    task "program" {
      driver = "nspawn"

      template {
        destination = "secrets/registry"
        env         = true # its lines become variables, also of the config block below

        data = <<-EOT
          {{ with nomadVar "nomad/jobs/private-registry" -}}
          REGISTRY_USER={{ .username }}
          REGISTRY_PASSWORD={{ .password }}
          {{- end }}
        EOT
      }

      config {
        image        = var.image
        network_mode = "none"

        auth {
          username = "${REGISTRY_USER}"
          password = "${REGISTRY_PASSWORD}"
        }

        command = ["/bin/sh", "-c", "echo Hello from a private image"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
