// SPDX-License-Identifier: AGPL-3.0-only

// Command vaultd is HashiCorp's own Vault server, with the PKI engine and AppRole alone, built from the module proxy for
// the tests of Vault as the authority. It neither inits nor unseals itself: a test does that over the API, so that it can
// leave it out as well.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	log "github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/pki"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/logical"
	"github.com/hashicorp/vault/physical"
	"github.com/hashicorp/vault/physical/file"
	"github.com/hashicorp/vault/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ERROR", err)
		os.Exit(1)
	}
}

// run serves until ctx is done. Once it serves, it writes its address as a line to out, for whoever had it choose a port.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("vaultd", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "the loopback `address` to serve at; port 0 takes a free one")
	dir := flags.String("dir", "", "the `folder` that holds the data, which outlives the process; without it, memory does")
	certificate := flags.String("tls-cert", "", "the server's certificate, a PEM `file`")
	key := flags.String("tls-key", "", "its private key, a PEM `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		return fmt.Errorf("cannot load the server's certificate: %w", err)
	}
	core, err := newCore(*dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	// Whoever shares the machine has no business here, for what is served is for tests and its root token is nobody's secret.
	if address, ok := listener.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
		return fmt.Errorf("cannot serve at %s: it is no loopback address", listener.Addr())
	}
	server := &http.Server{
		Handler:   vaulthttp.Handler(&vault.HandlerProperties{Core: core, MaxRequestSize: vaulthttp.DefaultMaxRequestSize}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ErrorLog:  stdlog.New(io.Discard, "", 0), // clients that refuse the certificate are part of the tests
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	fmt.Fprintf(out, "https://%s\n", listener.Addr())
	select {
	case err = <-served:
		return fmt.Errorf("cannot serve: %w", err)
	case <-ctx.Done():
	}
	if err := server.Close(); err != nil {
		return fmt.Errorf("cannot close the server: %w", err)
	}
	return core.Shutdown()
}

// newCore makes a sealed Vault on the data of dir. It does not lock its memory, which containers forbid.
func newCore(dir string) (*vault.Core, error) {
	logger := log.New(&log.LoggerOptions{Name: "vaultd", Level: log.Warn, Output: os.Stderr})
	storage, err := newStorage(dir, logger)
	if err != nil {
		return nil, fmt.Errorf("cannot open the storage: %w", err)
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		Logger:             logger,
		DisableMlock:       true,
		LogicalBackends:    map[string]logical.Factory{"pki": pki.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
		BuiltinRegistry:    vault.NewMockBuiltinRegistry(),
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the core: %w", err)
	}
	return core, nil
}

func newStorage(dir string, logger log.Logger) (physical.Backend, error) {
	if dir == "" {
		return inmem.NewInmem(nil, logger)
	}
	return file.NewFileBackend(map[string]string{"path": dir}, logger)
}
