// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"

	"github.com/signet-charm/signet/internal/juju"
)

// LinkTools makes the hook tools' executables in a folder: links to one binary, which must call ToolMain when it is
// started by such a name. A charm in another language finds them on its PATH, as under Juju.
func LinkTools(dir, binary string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of hook tools: %w", err)
	}
	for _, name := range ToolNames() {
		link := filepath.Join(dir, name)
		_ = os.Remove(link) // of another binary
		if err := os.Symlink(binary, link); err != nil {
			return fmt.Errorf("cannot link hook tool %s: %w", name, err)
		}
	}
	return nil
}

// IsTool reports whether a program was started by a hook tool's name.
func IsTool(argv0 string) bool { return slices.Contains(ToolNames(), filepath.Base(argv0)) }

// ToolMain is the main function of a hook tool: it has the unit agent that the environment names run the command, and
// gives its exit code. Standard input is read only when the command asks for it.
func ToolMain(argv0 string, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := callTool(argv0, args, env, stdin, stdout, stderr)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "ERROR %v\n", err)
		return 1
	}
	return code
}

func callTool(argv0 string, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, fmt.Errorf("cannot tell the working folder: %w", err)
	}
	req := ToolRequest{
		ContextId: env("JUJU_CONTEXT_ID"), Dir: dir, CommandName: filepath.Base(argv0), Args: args, Token: env("JUJU_AGENT_TOKEN"),
	}
	if req.ContextId == "" {
		return 0, errors.New("JUJU_CONTEXT_ID not set")
	}
	conn, err := dialAgent(context.Background(), env)
	if err != nil {
		return 0, fmt.Errorf("cannot reach the unit agent: %w", err)
	}
	client := rpc.NewClient(conn)
	defer func() { _ = client.Close() }()
	var resp ToolResponse
	err = client.Call("Jujuc.Main", req, &resp)
	if err != nil && err.Error() == errNoStdin.Error() {
		if req.Stdin, err = io.ReadAll(stdin); err != nil {
			return 0, fmt.Errorf("cannot read stdin: %w", err)
		}
		req.StdinSet = true
		err = client.Call("Jujuc.Main", req, &resp)
	}
	if err != nil {
		return 0, err
	}
	_, err = stdout.Write(resp.Stdout)
	_, err2 := stderr.Write(resp.Stderr)
	return resp.Code, errors.Join(err, err2)
}

// dialAgent opens the socket that the environment names; over TCP with TLS, as for an agent in another container.
func dialAgent(ctx context.Context, env func(string) string) (net.Conn, error) {
	network, address := env("JUJU_AGENT_SOCKET_NETWORK"), env("JUJU_AGENT_SOCKET_ADDRESS")
	if address == "" {
		return nil, errors.New("JUJU_AGENT_SOCKET_ADDRESS not set")
	}
	if network != "tcp" {
		return new(net.Dialer).DialContext(ctx, "unix", address)
	}
	pem, err := os.ReadFile(env("JUJU_AGENT_CA_CERT"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("JUJU_AGENT_CA_CERT names a file without a certificate")
	}
	dialer := tls.Dialer{Config: &tls.Config{
		RootCAs: roots, ServerName: juju.ApplicationOf(env("JUJU_UNIT_NAME")), MinVersion: tls.VersionTLS12,
	}}
	return dialer.DialContext(ctx, network, address)
}
