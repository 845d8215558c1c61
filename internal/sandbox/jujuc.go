// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/juju/cmd/v3"
	"github.com/juju/errors"
	"github.com/juju/gnuflag"
)

// errNoStdin is the agent's answer to a command that reads its standard input and was sent without one.
var errNoStdin = errors.New("hook tool requires stdin, none supplied")

// ToolRequest is a hook tool's call as it comes over the socket.
type ToolRequest struct {
	ContextId   string //nolint:revive // the wire's spelling
	Dir         string
	CommandName string
	Args        []string
	StdinSet    bool
	Stdin       []byte
	Token       string
}

// ToolResponse is what a hook tool printed, and its exit code.
type ToolResponse struct {
	Code   int
	Stdout []byte
	Stderr []byte
}

// Jujuc is the hook tools' service: method Jujuc.Main of net/rpc.
type Jujuc struct{ hook *HookContext }

// Main runs one hook tool.
func (j *Jujuc) Main(req ToolRequest, resp *ToolResponse) error {
	switch {
	case req.Token != "":
		return errors.New("bad request: token does not match")
	case req.CommandName == "":
		return errors.New("bad request: command not specified")
	case !filepath.IsAbs(req.Dir):
		return errors.New("bad request: Dir is not absolute")
	case req.ContextId != j.hook.id:
		return fmt.Errorf("bad request: wrong context ID; got %q", req.ContextId)
	}
	answer, err := j.hook.main(req)
	*resp = answer
	return err
}

// serve opens the hook's socket.
func (h *HookContext) serve() error {
	_ = os.Remove(h.socket) // of an agent that was killed
	listener, err := net.Listen("unix", h.socket)
	if err != nil {
		return fmt.Errorf("cannot open the hook tools' socket: %w", err)
	}
	server := rpc.NewServer()
	if err := server.Register(&Jujuc{hook: h}); err != nil {
		return fmt.Errorf("cannot serve the hook tools: %w", err)
	}
	h.server = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if h.admit(conn) {
				go server.ServeConn(conn)
			}
		}
	}()
	return nil
}

// admit takes note of a connection, which ends with the hook at the latest; false when the hook has ended.
func (h *HookContext) admit(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = conn.Close()
		return false
	}
	h.conns = append(h.conns, conn)
	return true
}

// Tool runs one hook tool in the hook, as its executable would. The error tells of a non-zero exit and carries what the
// tool printed to stderr; a nil stdin is none.
func (h *HookContext) Tool(command string, args []string, stdin []byte) ([]byte, error) {
	resp, err := h.main(ToolRequest{
		ContextId: h.id, Dir: h.charmDir(), CommandName: command, Args: args, StdinSet: stdin != nil, Stdin: stdin,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", command, err)
	}
	if resp.Code != 0 {
		return nil, fmt.Errorf("cannot run %s: %s", command, strings.TrimPrefix(strings.TrimSpace(string(resp.Stderr)), "ERROR "))
	}
	return resp.Stdout, nil
}

// main finds and runs a tool. Tools of one hook run one at a time.
func (h *HookContext) main(req ToolRequest) (ToolResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ToolResponse{}, fmt.Errorf("bad request: wrong context ID; got %q", req.ContextId)
	}
	spec, known := toolSpecs()[req.CommandName]
	if !known || (spec.secrets && !h.model.HasSecrets()) || (spec.legacy && !h.model.legacy()) {
		return ToolResponse{}, fmt.Errorf("bad request: unknown command: %s", req.CommandName)
	}
	var stdout, stderr bytes.Buffer
	ctx := &cmd.Context{Context: context.Background(), Dir: req.Dir, Stdout: &stdout, Stderr: &stderr, Stdin: noStdin{}}
	if req.StdinSet {
		ctx.Stdin = bytes.NewReader(req.Stdin)
	}
	call := &toolCall{hook: h, name: req.CommandName, spec: spec, relation: h.info.RelationID}
	code := cmd.Main(call, ctx, req.Args)
	if errors.Is(call.err, errNoStdin) {
		return ToolResponse{}, errNoStdin
	}
	return ToolResponse{Code: code, Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, nil
}

// noStdin is the standard input of a call that brought none.
type noStdin struct{}

func (noStdin) Read([]byte) (int, error) { return 0, errNoStdin }

// toolSpec describes one hook tool.
type toolSpec struct {
	args    string // usage
	purpose string
	flags   string // names of the flags it takes, of those in SetFlags
	secrets bool   // unknown to Jujus without secrets
	legacy  bool   // unknown to Juju since 4.0
	run     func(*toolCall) error
}

// toolSpecs are all hook tools there are.
func toolSpecs() map[string]toolSpec {
	all := map[string]toolSpec{}
	for _, some := range []map[string]toolSpec{relationTools(), unitTools(), secretTools(), actionTools(), absentTools(), leaderTools()} {
		maps.Copy(all, some)
	}
	return all
}

// ToolNames are the names of the hook tools, sorted.
func ToolNames() []string { return slices.Sorted(maps.Keys(toolSpecs())) }

// toolCall is one call of a hook tool: Juju's own command line library parses its arguments, so that flags, help,
// output formats and exit codes are the real ones.
type toolCall struct {
	cmd.CommandBase
	hook *HookContext
	name string
	spec toolSpec
	ctx  *cmd.Context
	args []string
	err  error

	out         cmd.Output
	file        cmd.FileVar
	relation    int // noRelation when neither given nor that of the hook
	app         bool
	all         bool
	strict      bool
	application bool
	includeData bool
	network     struct{ bind, ingress, egress, primary bool }
	level       string
	debug       bool
	secret      secretFlags
}

// Info is part of cmd.Command.
func (c *toolCall) Info() *cmd.Info {
	return &cmd.Info{Name: c.name, Args: c.spec.args, Purpose: c.spec.purpose, FlagKnownAs: "option"}
}

// SetFlags is part of cmd.Command.
func (c *toolCall) SetFlags(f *gnuflag.FlagSet) {
	for _, name := range strings.Fields(c.spec.flags) {
		switch name {
		case "format":
			c.out.AddFlags(f, "smart", cmd.DefaultFormatters.Formatters())
		case "yaml": // likewise, without "smart"
			c.out.AddFlags(f, "yaml", map[string]cmd.Formatter{"yaml": cmd.FormatYaml, "json": cmd.FormatJson})
		case "relation":
			f.Var(relationFlag{c}, "r", "Specifies a relation by ID.")
			f.Var(relationFlag{c}, "relation", "")
		case "app":
			f.BoolVar(&c.app, "app", false, "Means the application instead of the unit.")
		case "file":
			c.file.SetStdin()
			f.Var(&c.file, "file", "Specifies a file containing key-value pairs.")
		case "all":
			f.BoolVar(&c.all, "a", false, "Prints all keys.")
			f.BoolVar(&c.all, "all", false, "")
		case "strict":
			f.BoolVar(&c.strict, "strict", false, "Returns an error if the requested key does not exist.")
		case "application":
			f.BoolVar(&c.application, "application", false, "Means the status of the application (leader only).")
		case "include-data":
			f.BoolVar(&c.includeData, "include-data", false, "Prints all status data.")
		case "network":
			f.BoolVar(&c.network.primary, "primary-address", false, "(DEPRECATED) Gets the primary address for the binding.")
			f.BoolVar(&c.network.bind, "bind-address", false, "Gets the address on which the unit should listen.")
			f.BoolVar(&c.network.ingress, "ingress-address", false, "Gets the ingress address.")
			f.BoolVar(&c.network.egress, "egress-subnets", false, "Gets the egress subnets.")
		case "log":
			f.BoolVar(&c.debug, "debug", false, "Sends message at debug level.")
			f.StringVar(&c.level, "l", "INFO", "Sends message at the given level.")
			f.StringVar(&c.level, "log-level", "INFO", "")
		case "storage":
			f.Var(storageFlag{c}, "s", "Specifies a storage instance by ID.")
		case "endpoints":
			f.Bool("endpoints", false, "Displays the list of target endpoints.")
		default:
			c.secret.add(f, name)
		}
	}
}

// Init is part of cmd.Command; the tools look at their arguments themselves.
func (c *toolCall) Init(args []string) error {
	c.args = args
	return nil
}

// Run is part of cmd.Command.
func (c *toolCall) Run(ctx *cmd.Context) error {
	c.ctx = ctx
	c.err = c.spec.run(c)
	return c.err
}

// print writes a tool's answer in the format asked for.
func (c *toolCall) print(value any) error { return c.out.Write(c.ctx, value) }

// atMost refuses more arguments than a tool takes, and names the missing one when it takes at least one.
func (c *toolCall) atMost(most int, missing string) error {
	if missing != "" && len(c.args) == 0 {
		return errors.New(missing)
	}
	if len(c.args) > most {
		return cmd.CheckEmpty(c.args[most:])
	}
	return nil
}

// arg gives an argument; "" when there is none.
func (c *toolCall) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// inRelation gives the relation that a call is about.
func (c *toolCall) inRelation() (*hookRelation, error) {
	if c.relation == noRelation {
		return nil, errors.New("no relation id specified")
	}
	if r := c.hook.relations[c.relation]; r != nil {
		return r, nil
	}
	return nil, errors.NotFoundf("relation")
}

// relationFlag is the value of -r: "certificates:3" or "3".
type relationFlag struct{ call *toolCall }

// String is part of gnuflag.Value.
func (f relationFlag) String() string {
	if f.call == nil || f.call.relation == noRelation {
		return ""
	}
	return strconv.Itoa(f.call.relation)
}

// Set is part of gnuflag.Value.
func (f relationFlag) Set(value string) error {
	id, err := strconv.Atoi(value[strings.LastIndex(value, ":")+1:])
	if err != nil {
		return errors.New("invalid relation id")
	}
	if f.call.hook.relations[id] == nil {
		return errors.NotFoundf("relation")
	}
	f.call.relation = id
	return nil
}

// readAll gives the content of --file.
func (c *toolCall) readAll() ([]byte, error) {
	file, err := c.file.Open(c.ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(file)
}
