# Configuration of a Nomad client that runs the nspawn driver, in addition to your own.
#
# The plugin block's label is the name of the file in plugin_dir. This block is for an executable installed as "nspawn";
# if it is still called "nomad-driver-nspawn", write plugin "nomad-driver-nspawn". Nomad does not load a file without a block.

plugin_dir = "/opt/nomad/plugins"

client {
  enabled = true
}

plugin "nspawn" {
  config {
    enabled = true

    # Tasks may mount the client's volumes (volume_mount).
    volumes = true

    # Tasks may use images from these directories only. Without this option, from anywhere. The last one is where registry
    # images are stored (image_store): without it they are not allowed.
    image_paths = ["/var/lib/machines", "/srv/images", "/var/lib/nomad-driver-nspawn"]

    # Unused registry images are kept for a day, or until the disk has less than 5 GB free.
    gc {
      image_delay    = "24h"
      image_min_free = "5GB"
      # image_max_size = "50GB" # of the unpacked layers of registry images in sum
    }

    # The registry of images without a host in their name, and a CA that is trusted in addition to the host's.
    # registry {
    #   default = "registry.example.com"
    #   ca      = "/etc/nomad.d/registry-ca.pem"
    # }

    # Credentials for registries, in the format of docker login.
    # auth {
    #   config = "/etc/nomad.d/registry-auth.json"
    # }

    # Only container images that this policy allows, by their signatures (containers-policy.json(5)).
    # signature_policy = "/etc/containers/policy.json"

    # Time limit for the download of an image.
    pull_timeout = "10m"

    # Capabilities that a task may add to systemd-nspawn's own set.
    allow_caps = ["CAP_NET_ADMIN", "CAP_SYS_NICE"]

    # Properties that a task may set on its systemd unit.
    allow_properties = ["IOWeight"]

    # Kernel settings that a task may set for its own container, devices that it may name, and interfaces of the client that it may use.
    allow_sysctls = ["net.*", "kernel.shm*"]
    allow_devices = ["/dev/fuse", "/dev/net/tun", "nvidia.com/gpu=*"]

    # Metrics for Prometheus, on a socket of root; a port of the loopback interface, such as "127.0.0.1:9273", is possible too.
    # telemetry {
    #   address = "unix:/run/nomad-nspawn-metrics.sock"
    #   traces  = "/var/log/nomad-driver-nspawn/traces.jsonl"
    # }

    network {
      bridges    = ["br0", "lan*"]
      interfaces = []
    }

    # Tasks may boot systems; none may be privileged.
    allow_boot       = true
    allow_privileged = false

    # Tasks may mount paths of the host outside of the task directory.
    allow_privileged_binds = true

    # Whether every task needs its own user IDs, so that its root is an unprivileged user on the host.
    require_user_namespacing = false
  }
}
