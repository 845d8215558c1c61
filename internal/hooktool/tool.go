// SPDX-License-Identifier: AGPL-3.0-only

package hooktool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
)

// request is what the agent's Jujuc.Main takes; gob goes by the names of the fields.
type request struct {
	ContextId   string //nolint:revive // the wire's spelling
	Dir         string // absolute: where file arguments are looked for
	CommandName string
	Args        []string
	StdinSet    bool // an empty Stdin and none at all look the same to gob
	Stdin       []byte
	Token       string
}

// response is what it answers.
type response struct {
	Code   int
	Stdout []byte
	Stderr []byte
}

// noStdin is the agent's answer to a command that wants to read its standard input and was sent without one.
const noStdin = "hook tool requires stdin, none supplied"

// toolError is a command that ran and failed, or that the agent refused to run.
type toolError struct {
	command string
	reason  string
}

func (e *toolError) Error() string { return fmt.Sprintf("cannot run %s: %s", e.command, e.reason) }

// refused reports whether the agent answered with a failure that contains one of the texts. Juju's hook tools have no
// error codes: texts, stable since 2.x, are all there is to tell refusals apart.
func refused(err error, texts ...string) bool {
	var tool *toolError
	if !errors.As(err, &tool) {
		return false
	}
	for _, text := range texts {
		if strings.Contains(tool.reason, text) {
			return true
		}
	}
	return false
}

// unknownCommand reports whether this Juju does not have the command.
func unknownCommand(err error) bool { return refused(err, "unknown command") }

// dial opens the hook tools' socket.
func dial(ctx context.Context, env Environment) (*rpc.Client, error) {
	network := env.Network
	if network == "" {
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, env.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the hook tools: %w: %w", juju.ErrUnreachable, err)
	}
	if network == "unix" {
		return rpc.NewClient(conn), nil
	}
	secured, err := secure(ctx, conn, env)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return rpc.NewClient(secured), nil
}

// secure wraps a TCP connection in TLS. The agent's certificate carries the application's name.
func secure(ctx context.Context, conn net.Conn, env Environment) (net.Conn, error) {
	pem, err := os.ReadFile(env.CACert)
	if err != nil {
		return nil, fmt.Errorf("cannot read the agent's CA certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot use the agent's CA certificate: %s holds none", env.CACert)
	}
	client := tls.Client(conn, &tls.Config{
		RootCAs: roots, ServerName: juju.ApplicationOf(env.Unit), MinVersion: tls.VersionTLS12,
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("cannot connect to the hook tools: %w: %w", juju.ErrUnreachable, err)
	}
	return client, nil
}

// run executes one hook tool. A nil stdin is none; an empty one is an empty file.
func (s *Session) run(ctx context.Context, stdin []byte, command string, args ...string) ([]byte, error) {
	req := request{
		ContextId: s.env.ContextID, Dir: s.env.CharmDir, CommandName: command, Args: args,
		StdinSet: stdin != nil, Stdin: stdin, Token: s.env.Token,
	}
	resp, err := s.call(ctx, req)
	if err != nil && !req.StdinSet && err.Error() == noStdin {
		req.StdinSet = true
		resp, err = s.call(ctx, req)
	}
	var answered rpc.ServerError
	switch {
	case errors.As(err, &answered):
		return nil, &toolError{command, strings.TrimPrefix(answered.Error(), "bad request: ")}
	case err != nil:
		return nil, fmt.Errorf("cannot run %s: %w: %w", command, juju.ErrUnreachable, err)
	case resp.Code != 0:
		return nil, &toolError{command, reason(resp)}
	}
	return resp.Stdout, nil
}

// call does one round trip. A call that is given up leaves the connection in an unknown state, so it is closed.
func (s *Session) call(ctx context.Context, req request) (response, error) {
	var resp response
	if err := ctx.Err(); err != nil {
		return resp, err
	}
	done := s.client.Go("Jujuc.Main", req, &resp, make(chan *rpc.Call, 1)).Done
	select {
	case call := <-done:
		return resp, call.Error
	case <-ctx.Done():
		_ = s.client.Close()
		return response{}, ctx.Err()
	}
}

// reason shortens what a failed tool printed. A complaint about malformed input may quote the input, which may hold a
// private key: it is not passed on.
func reason(resp response) string {
	const most = 300
	text := strings.TrimPrefix(strings.TrimSpace(string(resp.Stderr)), "ERROR ")
	switch {
	case text == "":
		return fmt.Sprintf("exit code %d", resp.Code)
	case strings.Contains(text, "PRIVATE KEY"), strings.Contains(text, "yaml:"), strings.Contains(text, "unmarshal"):
		return "it did not understand its input"
	case len(text) > most:
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// read runs a hook tool and decodes its JSON answer into result.
func (s *Session) read(ctx context.Context, result any, command string, args ...string) error {
	out, err := s.run(ctx, nil, command, append([]string{"--format", "json"}, args...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("cannot understand the answer of %s: not the JSON that was asked for", command)
	}
	return nil
}
