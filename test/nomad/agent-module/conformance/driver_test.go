package conformance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/testutils"
	"github.com/stretchr/testify/require"
)

const patience = 20 * time.Second

func wait(t *testing.T, harness *testutils.DriverHarness, id string) *drivers.ExitResult {
	t.Helper()
	results, err := harness.WaitTask(context.Background(), id)
	require.NoError(t, err)
	select {
	case result := <-results:
		return result
	case <-time.After(patience):
		require.Fail(t, "the task did not end")
		return nil
	}
}

func requireState(t *testing.T, harness *testutils.DriverHarness, id string, state drivers.TaskState) *drivers.TaskStatus {
	t.Helper()
	status, err := harness.InspectTask(id)
	require.NoError(t, err)
	require.Equal(t, state, status.State)
	return status
}

func TestFingerprint(t *testing.T) {
	harness := newHarness(t)
	prints, err := harness.Fingerprint(context.Background())
	require.NoError(t, err)
	select {
	case print := <-prints:
		require.Equal(t, drivers.HealthStateHealthy, print.Health, print.HealthDescription)
		enabled, _ := print.Attributes["driver.nspawn"].GetBool()
		require.True(t, enabled)
	case <-time.After(patience):
		require.Fail(t, "no fingerprint came")
	}
}

func TestCapabilities(t *testing.T) {
	capabilities, err := newHarness(t).Capabilities()
	require.NoError(t, err)
	require.True(t, capabilities.SendSignals)
	require.True(t, capabilities.Exec)
	require.Equal(t, drivers.FSIsolationImage, capabilities.FSIsolation)
}

func TestStartWait(t *testing.T) {
	for _, logs := range []bool{true, false} {
		harness := newHarness(t)
		task := newTask(t, harness, logs, shell("cat /proc/self/cgroup; exit 7"))
		handle, _, err := harness.StartTask(task)
		require.NoError(t, err)
		require.Equal(t, 7, wait(t, harness, handle.Config.ID).ExitCode)
		status := requireState(t, harness, task.ID, drivers.TaskStateExited)
		require.False(t, status.CompletedAt.IsZero())
		require.Equal(t, 7, status.ExitResult.ExitCode)
		require.NoError(t, harness.DestroyTask(task.ID, true))
		_, err = harness.InspectTask(task.ID)
		require.ErrorContains(t, err, drivers.ErrTaskNotFound.Error())
	}
}

func TestInspectRunning(t *testing.T) {
	harness := newHarness(t)
	task := newTask(t, harness, true, shell("sleep 600"))
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	require.NoError(t, harness.WaitUntilStarted(task.ID, time.Second))
	status := requireState(t, harness, task.ID, drivers.TaskStateRunning)
	require.WithinDuration(t, time.Now(), status.StartedAt, patience)
	require.True(t, status.CompletedAt.IsZero(), "a running task has not completed: %v", status.CompletedAt)
}

func TestWorkDir(t *testing.T) {
	harness := newHarness(t)
	config := shell("pwd > /alloc/where")
	config["working_directory"] = "/etc"
	task := newTask(t, harness, true, config)
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	require.True(t, wait(t, harness, task.ID).Successful())
	where, err := os.ReadFile(filepath.Join(task.TaskDir().SharedAllocDir, "where"))
	require.NoError(t, err)
	require.Equal(t, "/etc\n", string(where))
}

func TestAllocDir(t *testing.T) {
	harness := newHarness(t)
	task := newTask(t, harness, false, shell(`sleep 1; echo -n win > "$NOMAD_ALLOC_DIR/output.txt"`))
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	require.True(t, wait(t, harness, task.ID).Successful())
	output, err := os.ReadFile(filepath.Join(task.TaskDir().SharedAllocDir, "output.txt"))
	require.NoError(t, err)
	require.Equal(t, "win", string(output))
}

func TestStop(t *testing.T) {
	for signal, number := range map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGINT": syscall.SIGKILL} {
		t.Run(signal, func(t *testing.T) {
			harness := newHarness(t)
			// The program ignores SIGINT, so that it takes the SIGKILL after the timeout.
			task := newTask(t, harness, true, shell(`trap "" INT; echo hi; while :; do sleep 1; done`))
			_, _, err := harness.StartTask(task)
			require.NoError(t, err)
			require.NoError(t, harness.WaitUntilStarted(task.ID, time.Second))
			require.NoError(t, harness.StopTask(task.ID, 2*time.Second, signal))
			result := wait(t, harness, task.ID)
			require.False(t, result.Successful())
			require.Equal(t, int(number), result.Signal)
			requireState(t, harness, task.ID, drivers.TaskStateExited)
		})
	}
}

func TestWaitCancelledAndRecover(t *testing.T) {
	store := filepath.Join(t.TempDir(), "images")
	first := start(t, store)
	harness := testutils.NewDriverHarness(t, first.driver)
	task := newTask(t, harness, true, shell("sleep 600"))
	handle, _, err := harness.StartTask(task)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	results, err := harness.WaitTask(ctx, task.ID)
	require.NoError(t, err)
	cancel()
	require.Error(t, (<-results).Err)
	requireState(t, harness, task.ID, drivers.TaskStateRunning)

	first.client.Kill()
	second := testutils.NewDriverHarness(t, start(t, store).driver)
	_, err = second.InspectTask(task.ID)
	require.ErrorContains(t, err, drivers.ErrTaskNotFound.Error())
	require.NoError(t, second.RecoverTask(handle))
	requireState(t, second, task.ID, drivers.TaskStateRunning)
	require.NoError(t, second.StopTask(task.ID, 0, ""))
	require.NoError(t, second.DestroyTask(task.ID, true))
}

func TestStats(t *testing.T) {
	harness := newHarness(t)
	task := newTask(t, harness, true, shell("sleep 600"))
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	require.NoError(t, harness.WaitUntilStarted(task.ID, time.Second))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	usage, err := harness.TaskStats(ctx, task.ID, time.Second)
	require.NoError(t, err)
	select {
	case stats := <-usage:
		require.NotNil(t, stats.ResourceUsage.CpuStats)
		require.NotNil(t, stats.ResourceUsage.MemoryStats)
		require.WithinDuration(t, time.Now(), time.Unix(0, stats.Timestamp), time.Second)
	case <-time.After(patience):
		require.Fail(t, "no statistics came")
	}
}

func TestExec(t *testing.T) {
	harness := newHarness(t)
	task := newTask(t, harness, true, shell("sleep 600"))
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	result, err := harness.ExecTask(task.ID, []string{"/bin/cat", "/etc/os-release"}, patience)
	require.NoError(t, err)
	require.True(t, result.ExitResult.Successful())
	require.Contains(t, string(result.Stdout), "busybox")
	result, err = harness.ExecTask(task.ID, []string{"/bin/stat", "/no/such/file"}, patience)
	require.NoError(t, err)
	require.False(t, result.ExitResult.Successful())
	require.Contains(t, string(result.Stdout)+string(result.Stderr), "No such file or directory")
	testutils.TestExecTaskStreamingBasicResponses(t, harness, task.ID)
	code, stdout, _ := testutils.ExecTask(t, harness, task.ID, "f=$(mktemp); echo inside > $f; echo $f", false, "")
	require.Zero(t, code)
	require.NoFileExists(t, strings.TrimSpace(stdout), "a command wrote to the host's files")
}

func TestSignal(t *testing.T) {
	harness := newHarness(t)
	task := newTask(t, harness, true, shell(`trap "exit 42" USR1; touch /alloc/ready; while :; do sleep .1; done`))
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(task.TaskDir().SharedAllocDir, "ready"))
		return err == nil
	}, patience, 50*time.Millisecond)
	require.NoError(t, harness.SignalTask(task.ID, "SIGUSR1"))
	require.Equal(t, 42, wait(t, harness, task.ID).ExitCode)
	require.Error(t, harness.SignalTask("unknown", "SIGUSR1"))
}

func TestDNS(t *testing.T) {
	for name, dns := range map[string]*drivers.DNSConfig{
		"servers": {Servers: []string{"1.1.1.1", "1.0.0.1"}},
		"all": {
			Servers:  []string{"1.1.1.1", "1.0.0.1"},
			Searches: []string{"local.test", "node.consul"},
			Options:  []string{"ndots:2", "edns0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness := newHarness(t)
			task := newTask(t, harness, true, shell("sleep 600"))
			task.DNS = dns
			_, _, err := harness.StartTask(task)
			require.NoError(t, err)
			testutils.TestTaskDNSConfig(t, harness, task.ID, dns)
		})
	}
}

// TestOOMKilled needs the memory controller: it is run in the virtual machine.
func TestOOMKilled(t *testing.T) {
	harness := newHarness(t)
	config := map[string]any{"command": []string{"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"}}
	task := newTask(t, harness, true, config)
	task.Resources.NomadResources.Memory.MemoryMB = 32
	task.Resources.LinuxResources.MemoryLimitBytes = 32 << 20
	_, _, err := harness.StartTask(task)
	require.NoError(t, err)
	result := wait(t, harness, task.ID)
	require.False(t, result.Successful())
	require.True(t, result.OOMKilled, "%+v", result)
}
