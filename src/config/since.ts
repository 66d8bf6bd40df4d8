/** The options of each release: an option of none of them is new since the last one. Compared with the releases' executables by a test. */
const RELEASES = {
  "0.1.0": {
    task: `
      auth bind bind_read_only boot capability command console cpu_hard_limit devices drop_capability environment
      ephemeral hostname image image_download inaccessible network_bridge network_veth network_zone no_new_privileges
      oom_score_adjust overlay pids_limit pivot_root port_map ports private_users private_users_ownership process_two
      properties read_only resolv_conf rlimits system_call_filter tmpfs user user_namespacing volatile
      working_directory
    `,
    plugin: `
      allow_caps allow_privileged_binds allow_properties auth enabled gc image_paths image_store network pull_timeout
      registry require_user_namespacing stats_interval volumes
    `,
  },
  "0.2.0": {
    task: `
      ambient_capability apparmor_profile args auth_soft_fail bind_user cap_add cap_drop cdi_devices credential_files
      credentials cwd dns_options dns_search_domains dns_servers domainname entrypoint extra_hosts force_pull
      group_add image_policy image_pull_timeout image_volumes init ipv4_address ipv4_gateway ipv6_address ipv6_gateway
      journal labels log_driver mac_address machine_id mount mounts network network_interface network_mode
      notify_ready oom_score_adj personality privileged pull readonly_rootfs ready_timeout restrict_address_families
      root_hash root_hash_signature selinux_apifs_context selinux_context shm_size storage_limit suppress_sync sysctl
      template timezone tmp ulimit verity_data volumes work_dir
    `,
    plugin: `
      allow_bind_users allow_boot allow_devices allow_host_network allow_negative_oom_score_adjust allow_privileged
      allow_sysctls allow_task_images log_driver signature_policy slice stop_timeout storage_limit
    `,
  },
} as const;

/** The options that a release had and the one before had not, by release, oldest first. */
export function newOptions(of: "task" | "plugin"): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(RELEASES).map(([release, names]) => [release, names[of].trim().split(/\s+/)]));
}

/** The release that had an option first; undefined if none has it yet. */
export function firstRelease(of: "task" | "plugin", name: string): string | undefined {
  for (const [release, names] of newOptions(of)) if (names.includes(name)) return release;
  return undefined;
}
