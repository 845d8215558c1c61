// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// The stories' commands about a consumer's machine; script_test.go lists them.

// service puts a service on a unit's machine: one that starts, or one that fails for a reason.
func (s *story) service(_ context.Context, _ *bytes.Buffer, args []string) error {
	dir := filepath.Join(s.stage.machineRoot(args[0]), "etc/systemd/system")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, args[1]), []byte(strings.Join(args[2:], " ")+"\n"), 0o644)
}

// programs prints what ran on a unit's machine since the last time.
func (s *story) programs(_ context.Context, w *bytes.Buffer, args []string) error {
	path := filepath.Join(s.stage.machineRoot(args[0]), "programs")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	w.Write(text)
	return errors.Join(err, os.Remove(path))
}

// machine prints a file on a unit's machine, or the names in a folder.
func (s *story) machine(_ context.Context, w *bytes.Buffer, args []string) error {
	path := filepath.Join(s.stage.machineRoot(args[0]), args[1])
	if entries, err := os.ReadDir(path); err == nil {
		for _, entry := range entries {
			fmt.Fprintln(w, entry.Name())
		}
		return nil
	}
	text, err := os.ReadFile(path)
	w.Write(text)
	return err
}

// put writes a file onto a unit's machine.
func (s *story) put(_ context.Context, _ *bytes.Buffer, args []string) error {
	path := filepath.Join(s.stage.machineRoot(args[0]), args[1])
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(args[2]), 0o600)
}

// describe prints what the first certificate in a file says.
func (s *story) describe(_ context.Context, w *bytes.Buffer, args []string) error {
	text, err := os.ReadFile(s.at(args[0]))
	if err != nil {
		return err
	}
	leaf, err := cert.Parse(string(text))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "common name: %s\norganization: %s\nissuer: %s\nserial: %x\n", leaf.Subject.CommonName,
		strings.Join(leaf.Subject.Organization, ","), leaf.Issuer.CommonName, leaf.SerialNumber)
	fmt.Fprintf(w, "days left: %d\n", int(time.Until(leaf.NotAfter).Hours()/24))
	for _, name := range cert.NamesOf(leaf).List() {
		fmt.Fprintf(w, "name: %s\n", name)
	}
	return nil
}

func (s *story) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.work, path)
}

// handshake has a TLS server with the server's files in a folder and a client with the client's, each of which verifies
// the other: Go's, and openssl's where it is installed.
func (s *story) handshake(ctx context.Context, w *bytes.Buffer, args []string) error {
	dir := s.at(args[0])
	if err := goHandshake(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintln(w, "Go: both sides verified")
	if _, err := exec.LookPath("openssl"); err != nil {
		return nil
	}
	if err := opensslHandshake(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintln(w, "openssl: both sides verified")
	return nil
}

func goHandshake(ctx context.Context, dir string) error {
	trust, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trust)
	load := func(name string) (tls.Certificate, error) {
		return tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
	}
	server, err := load("server")
	if err != nil {
		return err
	}
	client, err := load("client")
	if err != nil {
		return err
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	served := make(chan error, 1)
	go func() {
		served <- tls.Server(far, &tls.Config{
			Certificates: []tls.Certificate{server}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
		}).HandshakeContext(ctx)
	}()
	err = tls.Client(near, &tls.Config{
		Certificates: []tls.Certificate{client}, RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12,
	}).HandshakeContext(ctx)
	return errors.Join(err, <-served)
}

func opensslHandshake(ctx context.Context, dir string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	in := func(name string) string { return filepath.Join(dir, name) }
	server := exec.CommandContext(ctx, "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "3", "-verify_return_error",
		"-cert", in("server.crt"), "-cert_chain", in("server.crt"), "-key", in("server.key"), "-CAfile", in("ca.crt"))
	output, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		stop()
		_ = server.Wait()
	}()
	port := ""
	lines := bufio.NewScanner(output)
	for port == "" && lines.Scan() {
		if address, found := strings.CutPrefix(lines.Text(), "ACCEPT "); found {
			port = address[strings.LastIndex(address, ":")+1:]
		}
	}
	go func() {
		for lines.Scan() { // or the server waits for somebody to read
		}
	}()
	client := exec.CommandContext(ctx, "openssl", "s_client", "-connect", "127.0.0.1:"+port, "-verify_return_error", "-verify_ip", "127.0.0.1",
		"-cert", in("client.crt"), "-key", in("client.key"), "-CAfile", in("ca.crt"), "-ign_eof")
	client.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
	text, err := client.CombinedOutput()
	if err != nil || !bytes.Contains(text, []byte("HTTP/1.0 200 ok")) {
		return fmt.Errorf("openssl s_client: %w: %s", err, text)
	}
	return nil
}
