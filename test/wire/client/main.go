// Command wireclient drives a driver plugin by the libraries that Nomad agents use: hashicorp/go-plugin and grpc-go. It prints one
// JSON object: what was done, and the gRPC status or error it ended with.
//
//	wireclient PLUGIN
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

const driver = "/hashicorp.nomad.plugins.drivers.proto.Driver/"
const base = "/hashicorp.nomad.plugins.base.proto.BasePlugin/"

// handshake is that of Nomad's plugins.
var handshake = plugin.HandshakeConfig{
	ProtocolVersion:  2,
	MagicCookieKey:   "NOMAD_PLUGIN_MAGIC_COOKIE",
	MagicCookieValue: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
}

// rawPlugin hands out the connection itself.
type rawPlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

func (rawPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (rawPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// results maps what was done to how it ended.
type results map[string]string

func (r results) err(name string, err error) error {
	if err == nil {
		r[name] = "ok"
	} else {
		r[name] = err.Error()
	}
	return err
}

// unary calls a method with an empty message plus the given unknown fields, and notes the status code.
func (r results) unary(conn *grpc.ClientConn, method string, fields []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request := &emptypb.Empty{}
	if err := proto.Unmarshal(fields, request); err != nil {
		r[method] = "bad test: " + err.Error()
		return
	}
	r[method] = status.Code(conn.Invoke(ctx, method, request, &emptypb.Empty{})).String()
}

// stream opens a stream of both directions, sends one message and notes the status code of the first answer.
func (r results) stream(conn *grpc.ClientConn, method string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, both, method)
	if err == nil {
		// An error of sending says only that the stream has ended: the status comes with RecvMsg.
		_ = stream.SendMsg(&emptypb.Empty{})
		err = stream.RecvMsg(&emptypb.Empty{})
	}
	r["stream "+method] = status.Code(err).String()
}

func client(config plugin.ClientConfig) *plugin.Client {
	config.HandshakeConfig = handshake
	config.Plugins = plugin.PluginSet{"driver": rawPlugin{}}
	config.AllowedProtocols = []plugin.Protocol{plugin.ProtocolGRPC}
	config.Logger = hclog.NewNullLogger()
	return plugin.NewClient(&config)
}

// connect gives the connection of a client, noting each step.
func (r results) connect(name string, c *plugin.Client) *grpc.ClientConn {
	protocol, err := c.Client()
	if r.err(name+" handshake", err) != nil {
		return nil
	}
	r.err(name+" ping", protocol.Ping())
	raw, err := protocol.Dispense("driver")
	if r.err(name+" dispense", err) != nil {
		return nil
	}
	conn, _ := raw.(*grpc.ClientConn)
	return conn
}

// newerFields is what an agent newer than this driver might add to any message: fields of every wire type.
func newerFields() []byte {
	var fields []byte
	fields = protowire.AppendTag(fields, 901, protowire.VarintType)
	fields = protowire.AppendVarint(fields, 7)
	fields = protowire.AppendTag(fields, 902, protowire.BytesType)
	fields = protowire.AppendString(fields, "new")
	fields = protowire.AppendTag(fields, 903, protowire.Fixed32Type)
	fields = protowire.AppendFixed32(fields, 1)
	fields = protowire.AppendTag(fields, 904, protowire.Fixed64Type)
	return protowire.AppendFixed64(fields, 1)
}

func main() {
	r := results{}
	first := client(plugin.ClientConfig{Cmd: exec.Command(os.Args[1])})
	defer first.Kill()
	if conn := r.connect("first", first); conn != nil {
		r.unary(conn, base+"PluginInfo", newerFields())
		r.unary(conn, base+"SetConfig", newerFields())
		r.unary(conn, driver+"Capabilities", newerFields())
		r.unary(conn, driver+"Init", nil)
		r.unary(conn, driver+"NoSuchMethod", nil)
		r.unary(conn, driver+"CreateNetwork", nil)
		r.unary(conn, "/hashicorp.nomad.plugins.Nothing/Method", nil)
		r.unary(conn, "/ä%25/Method", nil)
		r.stream(conn, driver+"NoSuchStream")
		r.stream(conn, "/no.Service/Stream")
		// Many at once: an answer without its trailers would reset streams of the others.
		for range 200 {
			r.unary(conn, driver+"NoSuchMethod", nil)
		}
		r.unary(conn, driver+"Shutdown", nil)
	}
	again := client(plugin.ClientConfig{Reattach: first.ReattachConfig()})
	if conn := r.connect("reattached", again); conn != nil {
		r.unary(conn, driver+"Init", nil)
	}
	pid := first.ReattachConfig().Pid
	again.Kill()
	r["exited"] = exited(pid)
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// exited says whether a process is gone, waiting for it a little.
func exited(pid int) string {
	for range 100 {
		if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
			return "ok"
		}
		var status syscall.WaitStatus
		_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Sprintf("process %d still runs", pid)
}
