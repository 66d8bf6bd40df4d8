// Package conformance runs Nomad's own way of testing task drivers against this plugin: its go-plugin handshake, its gRPC client
// (plugins/drivers) and its DriverHarness with the suites for exec and DNS. What is tested is the executable that
// NSPAWN_DRIVER_BINARY names, with the busybox tree of NSPAWN_TEST_IMAGE.
package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/testutils"
	"github.com/stretchr/testify/require"
)

// process is a running plugin.
type process struct {
	client *plugin.Client
	driver drivers.DriverPlugin
}

// start runs the plugin as an agent does, with an image store that goes with the test.
func start(t *testing.T, store string) *process {
	t.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  base.Handshake,
		Plugins:          plugin.PluginSet{base.PluginTypeDriver: drivers.NewDriverPlugin(nil, hclog.NewNullLogger())},
		Cmd:              exec.Command(os.Getenv("NSPAWN_DRIVER_BINARY")),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	require.NoError(t, err)
	raw, err := protocol.Dispense(base.PluginTypeDriver)
	require.NoError(t, err)
	driver, ok := raw.(drivers.DriverPlugin)
	require.True(t, ok)
	var config []byte
	require.NoError(t, base.MsgPackEncode(&config, map[string]any{"image_store": store}))
	require.NoError(t, driver.SetConfig(&base.Config{PluginConfig: config, ApiVersion: "0.1.0"}))
	return &process{client, driver}
}

// newHarness gives Nomad's harness around a new plugin process.
func newHarness(t *testing.T) *testutils.DriverHarness {
	return testutils.NewDriverHarness(t, start(t, filepath.Join(t.TempDir(), "images")).driver)
}

// newTask prepares a task with directories as an agent makes them. With logs, Nomad's log collector reads its FIFOs; without, the
// paths of its output are empty.
func newTask(t *testing.T, harness *testutils.DriverHarness, logs bool, config map[string]any) *drivers.TaskConfig {
	t.Helper()
	task := &drivers.TaskConfig{
		ID:      uuid.Generate(),
		AllocID: uuid.Generate(),
		Name:    "test",
		Resources: &drivers.Resources{
			NomadResources: &structs.AllocatedTaskResources{
				Cpu:    structs.AllocatedCpuResources{CpuShares: 100},
				Memory: structs.AllocatedMemoryResources{MemoryMB: 128},
			},
			LinuxResources: &drivers.LinuxResources{CPUShares: 100, MemoryLimitBytes: 128 << 20},
		},
	}
	whole := map[string]any{
		"image":        os.Getenv("NSPAWN_TEST_IMAGE"),
		"boot":         false,
		"network_veth": false,
		"volatile":     "overlay",
	}
	for name, value := range config {
		whole[name] = value
	}
	require.NoError(t, task.EncodeConcreteDriverConfig(whole))
	t.Cleanup(harness.MkAllocDir(task, logs))
	t.Cleanup(func() { _ = harness.DestroyTask(task.ID, true) })
	return task
}

func shell(script string) map[string]any {
	return map[string]any{"command": []string{"/bin/sh", "-c", script}}
}
