# A service mesh of two, without Consul: in each group a sidecar shares the network of the service beside it (mode "bridge"). A service listens
# on 127.0.0.1 only and asks its own sidecar for the other one; the sidecars find each other in Nomad's service discovery. These sidecars
# forward connections as they are, with busybox's nc: take ghostunnel, Envoy or nginx in its place where the network between clients is
# not trusted, with certificates from Nomad variables. With Consul see sidecar-task.hcl.
#
#   nomad job run -var image=/var/lib/machines/busybox mesh-pair.hcl

variable "image" {
  type        = string
  description = "A directory or disk image with busybox's httpd, nc and wget."
}

job "mesh-pair" {
  type = "service"

  group "api" {
    network {
      mode = "bridge"

      port "mesh" {
        to = 20000
      }
    }

    service {
      provider = "nomad"
      name     = "mesh-api"
      port     = "mesh"
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        command  = ["httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "From one sidecar to the other.\n"
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }

    task "sidecar" {
      driver = "nspawn"

      # Started first, and for as long as the group's services run.
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        command  = ["nc", "-ll", "-p", "20000", "-e", "nc", "127.0.0.1", "8080"]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }

  group "web" {
    network {
      mode = "bridge"
    }

    task "reader" {
      driver = "nspawn"

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        command  = ["/bin/sh", "-c", "while :; do wget -q -O - http://127.0.0.1:9090/; sleep 1; done"]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }

    task "sidecar" {
      driver = "nspawn"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        image    = var.image
        boot     = false
        volatile = "overlay"
        command  = ["/bin/sh", "-c", "exec nc -ll -p 9090 -e nc $API"]
      }

      # Written again, and the sidecar restarted, when the service moves.
      template {
        destination = "local/api.env"
        env         = true
        data        = "API={{ range nomadService \"mesh-api\" }}{{ .Address }} {{ .Port }}{{ end }}\n"
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
