// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/keystore"
	"github.com/signet-charm/signet/internal/kubefile"
	"github.com/signet-charm/signet/internal/view"
)

// export is what "signet certs export" is asked.
type export struct {
	format, out, passwordFile, server string
	key, force, dryRun                bool
}

func exportFormats() []string { return []string{"pem", "der", "p12", "jks", "kubeconfig"} }

func (p *program) certsExportCommand() *cobra.Command {
	var e export
	command := &cobra.Command{
		Use:   "export SERIAL|NAME|UNIT|PATH|ca",
		Short: "Write a certificate in the form that another program wants",
		Long: "export writes one certificate, or with the word ca those that are to be trusted:\n" +
			"  pem         the certificate with those that follow it\n" +
			"  der         the certificate alone\n" +
			"  p12         PKCS#12: with --key the certificate with its key, else a trust store\n" +
			"  jks         a Java key store, likewise\n" +
			"  kubeconfig  for a client certificate of this unit's own; by paths, so that renewals are followed, with --key embedded\n" +
			"Private keys are there for certificates of this unit's own only, and leave their place with --key only, into a file that\n" +
			"nobody else can read. Passwords are read from a file, or from the standard input." + exitCodes,
		Example: "  signet certs export etcd/0 > etcd-0.pem\n" +
			"  signet certs export ca --format jks --password-file password --out trust.jks\n" +
			"  signet certs export client --format p12 --key --password-file - --out client.p12 < password\n" +
			"  signet certs export client --format kubeconfig --server https://10.0.0.1:6443 --out kubeconfig",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%w: %s writes one certificate at a time, or ca", errUsage, cmd.CommandPath())
			}
			return nil
		},
	}
	l := &looking{program: p, output: output{format: "table"}}
	flags := command.Flags()
	flags.StringVar(&l.stateDir, "state-dir", "", "the unit's own state folder (default: the only one in "+statesDir+")")
	flags.StringVarP(&e.format, "format", "f", "pem", strings.Join(exportFormats(), ", "))
	flags.StringVar(&e.out, "out", "", "the file to be written (default: the standard output)")
	flags.StringVar(&e.passwordFile, "password-file", "", "a file whose first line is the password of p12 and jks, - for the standard input")
	flags.StringVar(&e.server, "server", "", "kubeconfig: the API server's URL (default: that of the unit's own kubeconfig)")
	flags.BoolVar(&e.key, "key", false, "with the private key, of an own certificate; needs --out")
	flags.BoolVar(&e.force, "force", false, "write over a file that is there")
	flags.BoolVar(&e.dryRun, "dry-run", false, "say what would be written, and write nothing")
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(exportFormats(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	command.ValidArgsFunction = l.completeCertificates
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if err := e.check(); err != nil {
			return err
		}
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		return p.export(e, found, args[0])
	}
	return command
}

func (e export) check() error {
	switch {
	case !slices.Contains(exportFormats(), e.format):
		return fmt.Errorf("%w: format %q is none of %s", errUsage, e.format, strings.Join(exportFormats(), ", "))
	case e.key && e.out == "":
		return fmt.Errorf("%w: --key needs --out: a private key is written to a file that nobody else can read", errUsage)
	case e.key && e.format == "der":
		return fmt.Errorf("%w: der holds a certificate only: use pem for its key", errUsage)
	case (e.format == "jks" || e.format == "p12") && e.passwordFile == "":
		return fmt.Errorf("%w: %s needs --password-file", errUsage, e.format)
	}
	return nil
}

// bundle is what is exported.
type bundle struct {
	name   string
	chain  []*x509.Certificate // none where CAs are exported
	trust  []*x509.Certificate
	key    cert.Key
	path   string // own: of the certificate's file
	kind   string
	server string // own: what the unit's kubeconfig says
}

func (p *program) export(e export, v view.View, word string) error {
	b, err := bundleOf(v, word, e.key)
	if err != nil {
		return err
	}
	data, err := p.pack(e, v, b)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if e.key {
		mode = 0o600
	}
	switch {
	case e.dryRun:
		fmt.Fprintf(p.stdout, "would write %d bytes of %s, mode %04o, to %s\n", len(data), e.format, mode, cmp.Or(e.out, "the standard output"))
		return nil
	case e.out == "":
		_, err = p.stdout.Write(data)
		return err
	}
	if err := writeNew(e.out, data, mode, e.force); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "wrote %s\n", e.out)
	return nil
}

// bundleOf collects what is exported of the certificate that a word means.
func bundleOf(v view.View, word string, withKey bool) (bundle, error) {
	trust, err := parseAll(trustedOf(v))
	if err != nil {
		return bundle{}, err
	}
	if word == "ca" {
		if len(trust) == 0 {
			return bundle{}, errors.New("there is no CA certificate yet: see signet status")
		}
		if withKey {
			return bundle{}, fmt.Errorf("%w: the CA's key is not exported: see the action backup", errUsage)
		}
		return bundle{name: "ca", trust: trust}, nil
	}
	chosen, err := oneOrMore(v, []string{word})
	if err != nil {
		return bundle{}, err
	}
	if own := slices.IndexFunc(chosen, func(one view.Certificate) bool { return one.Role == view.Own }); withKey && own >= 0 {
		chosen = slices.DeleteFunc(chosen, func(one view.Certificate) bool { return one.Role != view.Own })
	}
	if len(chosen) > 1 {
		var serials []string
		for _, one := range chosen {
			serials = append(serials, fmt.Sprintf("%s (%s, %s)", one.Serial, nameOf(one), one.Kind))
		}
		return bundle{}, fmt.Errorf("%d certificates are %q: name one by its serial number: %s", len(chosen), word, strings.Join(serials, ", "))
	}
	one := chosen[0]
	if one.Role == view.Own && one.Path != "" {
		return ownBundle(one, withKey)
	}
	if withKey {
		return bundle{}, errors.New("there is no key of it here: private keys are exported of this unit's own certificates only")
	}
	chain, err := parseAll(append([]string{one.PEM}, issuersOf(v, one)...))
	return bundle{name: aliasOf(one), chain: chain, trust: trust, kind: one.Kind}, err
}

func aliasOf(one view.Certificate) string { return cmp.Or(nameOf(one), one.Serial) }

// issuersOf gives the certificates that lead from an issued one to its root.
func issuersOf(v view.View, one view.Certificate) []string {
	for _, authority := range v.Authorities {
		if authority.Generation == one.Generation && one.Role == view.Issued && authority.PEM != "" {
			return append([]string{authority.PEM}, authority.Chain...)
		}
	}
	return nil
}

// ownBundle reads what lies beside an own certificate.
func ownBundle(one view.Certificate, withKey bool) (bundle, error) {
	b := bundle{name: aliasOf(one), path: one.Path, kind: one.Kind}
	text, err := os.ReadFile(one.Path)
	if err != nil {
		return bundle{}, fmt.Errorf("cannot read the certificate: %w", err)
	}
	if b.chain, err = cert.ParseCertificates(string(text)); err != nil {
		return bundle{}, fmt.Errorf("cannot read the certificate in %s: %w", one.Path, err)
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(one.Path), "ca.crt")); err == nil {
		b.trust, _ = cert.ParseCertificates(string(text)) // none: then there is nobody to trust
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(one.Path), "kubeconfig")); err == nil {
		b.server = serverIn(string(text))
	}
	if withKey {
		text, err := os.ReadFile(keyPath(one.Path))
		if err != nil {
			return bundle{}, fmt.Errorf("cannot read the private key: %w", err)
		}
		if b.key = cert.NewKey(string(text)); !cert.KeyMatches(b.key, b.chain[0]) {
			return bundle{}, fmt.Errorf("the private key in %s is another certificate's: run the export again", keyPath(one.Path))
		}
	}
	return b, nil
}

func keyPath(path string) string { return strings.TrimSuffix(path, ".crt") + ".key" }

// serverIn finds the server of a kubeconfig that signet wrote.
func serverIn(text string) string {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), "server: "); found {
			return strings.Trim(rest, `"'`)
		}
	}
	return ""
}

func parseAll(texts []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, text := range texts {
		parsed, err := cert.Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, parsed)
	}
	return all, nil
}

// pack gives the bytes of a format.
func (p *program) pack(e export, v view.View, b bundle) ([]byte, error) {
	leafOrTrust := b.chain
	if len(leafOrTrust) == 0 {
		leafOrTrust = b.trust
	}
	switch e.format {
	case "pem":
		text := cert.EncodeCertificates(leafOrTrust...)
		if e.key {
			text += strings.TrimSpace(b.key.Reveal()) + "\n"
		}
		return []byte(text), nil
	case "der":
		if len(b.chain) == 0 && len(b.trust) > 1 {
			return nil, fmt.Errorf("%w: der holds one certificate, and %d are to be trusted: use pem", errUsage, len(b.trust))
		}
		return leafOrTrust[0].Raw, nil
	case "kubeconfig":
		return e.kubeconfig(v, b)
	}
	password, err := p.readPassword(e.passwordFile)
	if err != nil {
		return nil, err
	}
	content := keystore.Content{Name: b.name, Key: b.key, Chain: b.chain, Trust: b.trust}
	if e.format == "p12" {
		return keystore.PKCS12(content, password)
	}
	return keystore.JKS(content, password, time.Now())
}

func (e export) kubeconfig(v view.View, b bundle) ([]byte, error) {
	server := cmp.Or(e.server, b.server)
	switch {
	case b.path == "" || b.kind != string(cert.Client):
		return nil, errors.New("a kubeconfig is for a client certificate of this unit's own: see signet certs list --role own")
	case server == "":
		return nil, fmt.Errorf("%w: the API server is not known: give --server https://ADDRESS:6443", errUsage)
	case kubefile.ServerFault(server) != "":
		return nil, fmt.Errorf("%w: --server %s", errUsage, kubefile.ServerFault(server))
	}
	dir := filepath.Dir(b.path)
	k := kubefile.Kubeconfig{
		Cluster: cmp.Or(v.Model, "kubernetes"), User: b.name, Context: "signet", Server: server,
		CA: kubefile.File{Path: filepath.Join(dir, "ca.crt")}, Certificate: kubefile.File{Path: b.path}, Key: kubefile.File{Path: keyPath(b.path)},
	}
	if e.key {
		k.CA, k.Certificate = kubefile.File{Data: cert.EncodeCertificates(b.trust...)}, kubefile.File{Data: cert.EncodeCertificates(b.chain...)}
		k.Key = kubefile.File{Data: b.key.Reveal()}
	}
	text, err := k.Render()
	return []byte(text), err
}

// readPassword reads the first line of a file, or of the standard input.
func (p *program) readPassword(path string) (cert.Key, error) {
	const longest = 4096
	input := p.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return cert.Key{}, fmt.Errorf("cannot read the password: %w", err)
		}
		defer file.Close()
		input = file
	}
	text, err := io.ReadAll(io.LimitReader(input, longest))
	if err != nil {
		return cert.Key{}, fmt.Errorf("cannot read the password: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return cert.Key{}, fmt.Errorf("%w: the first line of --password-file is empty", errUsage)
	}
	return cert.NewKey(string(line)), nil
}

// writeNew makes a file with its mode from the beginning, whole or not at all. One that is there stays unless it is to be
// replaced, and a symbolic link in its place is not followed.
func writeNew(path string, data []byte, mode fs.FileMode, replace bool) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, ignoreAbsent(os.Remove(file.Name()))) }()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if replace {
		err = os.Rename(file.Name(), path)
	} else {
		err = os.Link(file.Name(), path) // which fails where something is
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot write %s: it is there: give --force to replace it", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
