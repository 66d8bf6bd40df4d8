# A dynamic host volume for dynamic-volume.hcl: "nomad volume create dynamic-volume-specification.hcl" (Nomad 1.10).

name      = "notes"
type      = "host"
plugin_id = "mkdir" # Nomad's own: a directory below the client's host_volumes_dir

capability {
  access_mode     = "single-node-writer"
  attachment_mode = "file-system"
}

# The owner of the directory: the number that the task's user has in its image.
parameters = {
  mode = "0700"
  uid  = 1000
  gid  = 1000
}
