# A program with an address of its own choice, its own name servers and kernel settings, and only the rights that it needs: it is not
# root, has one capability, and can make sockets of three families only.
#
#   nomad job run -var image=docker.io/library/busybox:1 network-and-rights.hcl

variable "image" {
  type        = string
  description = "A container image, or a directory, with a shell."
}

job "network-and-rights" {
  type = "service"

  group "edge" {
    # Only on clients that allow the capability.
    constraint {
      attribute = "${attr.driver.nspawn.caps}"
      operator  = "regexp"
      value     = "^all$|CAP_NET_RAW"
    }

    task "program" {
      driver = "nspawn"

      config {
        image     = var.image
        boot      = false
        ephemeral = true

        # All containers of the zone are on one network of this client, with addresses that they know of each other.
        network      = "zone:edge"
        ipv4_address = "198.18.77.10/24"
        mac_address  = "02:00:5e:4d:00:0a"

        hostname           = "edge-1"
        domainname         = "int.example.org"
        dns_servers        = ["192.0.2.53"]
        dns_search_domains = ["int.example.org"]
        dns_options        = ["ndots:2"]

        sysctl = {
          "net.core.somaxconn"           = "1024"
          "net.ipv4.ip_local_port_range" = "20000 60000"
          "kernel.shmmax"                = "268435456"
        }

        user                      = "1000:1000"
        drop_capability           = ["all"]
        ambient_capability        = ["CAP_NET_RAW"]
        no_new_privileges         = true
        restrict_address_families = ["AF_UNIX", "AF_INET", "AF_INET6"]

        command = ["/bin/sh", "-c", "grep -h . /etc/resolv.conf; hostname -f; cat /proc/sys/net/core/somaxconn; grep CapEff /proc/self/status; exec sleep 3600"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
