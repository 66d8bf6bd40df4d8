# Configuration of a Nomad client that runs the nspawn driver, beside your own.
#
# The plugin block's label is the name of the file in plugin_dir. This one is for an executable installed as "nspawn";
# for one that kept its name, "nomad-driver-nspawn", write plugin "nomad-driver-nspawn". A file that no block names is not
# loaded.

plugin_dir = "/opt/nomad/plugins"

client {
  enabled = true
}

plugin "nspawn" {
  config {
    enabled = true

    # Tasks may mount the volumes the client offers (volume_mount).
    volumes = true

    # Images come from here and nowhere else. Without it, from anywhere. The last is where those of registries are kept
    # (image_store): without it they are not allowed.
    image_paths = ["/var/lib/machines", "/srv/images", "/var/lib/nomad-driver-nspawn"]

    # Images of registries that nothing uses are kept for a day, or until the disk has less than 5 GB free.
    gc {
      image_delay    = "24h"
      image_min_free = "5GB"
    }

    # Where images without a host in their name come from, and whose certificates are trusted beside the host's.
    # registry {
    #   default = "registry.example.com"
    #   ca      = "/etc/nomad.d/registry-ca.pem"
    # }

    # Credentials for registries, as docker login writes them.
    # auth {
    #   config = "/etc/nomad.d/registry-auth.json"
    # }

    # How long the download of an image may take.
    pull_timeout = "10m"

    # What a task may ask for beyond systemd-nspawn's own set of capabilities.
    allow_caps = ["CAP_NET_ADMIN", "CAP_SYS_NICE"]

    # Properties of its systemd unit that a task may set.
    allow_properties = ["IOWeight"]

    # Tasks may mount paths of the host outside their own directory.
    allow_privileged_binds = true

    # Whether every task has to have user IDs of its own, so that its root is nobody on the host.
    require_user_namespacing = false
  }
}
