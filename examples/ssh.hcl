# A Debian to log in to: a system with an SSH server, a root file system that is kept, and its journal in "nomad alloc logs". The keys that may
# log in come from a Nomad variable, as a credential that systemd writes to /root/.ssh/authorized_keys if this file does not exist (systemd 253
# in the image). It stays then, as the host keys and everything that is installed, in the root, which is copied from a directory of the client
# at the first start. The operator removes it with "machinectl remove debian-ssh" when the job is not needed any more.
#
#   mmdebstrap --variant=minbase --include=systemd-sysv,dbus,openssh-server trixie /var/lib/machines/debian-ssh-template
#   nomad var put nomad/jobs/ssh authorized_keys="$(cat ~/.ssh/id_ed25519.pub)"
#   nomad job run -var template=/var/lib/machines/debian-ssh-template ssh.hcl
#   ssh -p PORT root@CLIENT      # the port: nomad alloc status

variable "template" {
  type        = string
  description = "A directory of the client with a Debian that has systemd and an SSH server."
}

job "ssh" {
  type = "service"

  group "system" {
    # The root is on one client: with several, add a constraint for the one that has it.
    network {
      port "ssh" {
        to = 22
      }
    }

    service {
      provider = "nomad"
      name     = "ssh"
      port     = "ssh"

      check {
        type     = "tcp"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "debian" {
      driver       = "nspawn"
      kill_timeout = "30s"

      config {
        image        = "debian-ssh"
        template     = var.template
        ports        = ["ssh"]
        notify_ready = true     # "running" means that the system is up
        journal      = "stderr" # nomad alloc logs -stderr; the console is stdout

        credential_files = {
          "ssh.authorized_keys.root" = "secrets/authorized_keys"
        }
      }

      template {
        destination = "secrets/authorized_keys"
        change_mode = "noop"
        data        = "{{ with nomadVar \"nomad/jobs/ssh\" }}{{ .authorized_keys }}{{ end }}\n"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
