// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/doctor"
	"github.com/signet-charm/signet/internal/inspect"
	"github.com/signet-charm/signet/internal/view"
)

func (p *program) inspectCommand() *cobra.Command {
	var password string
	command := &cobra.Command{
		Use:   "inspect FILE|HOST:PORT|RELATION",
		Short: "Say what a file, a server or a relation holds of certificates",
		Long: "inspect reads PEM, DER, PKCS#12, a kubeconfig, or relation data as juju show-unit prints it (- for the standard input), asks a\n" +
			"TLS server for what it presents, or shows a relation of this unit's by its number or name (certificates:3). Of each\n" +
			"certificate, request, key and revocation list it says whom it names, who issued it, until when, and what is wrong. Nothing\n" +
			"of a private key is printed.\n\n" +
			"It ends with 0 when nothing is wrong, 1 when something is, 2 for wrong usage, 3 when nothing can be read.",
		Example: "  signet inspect /root/.kube/config\n  juju show-unit etcd/0 | signet inspect -\n  signet inspect 10.0.0.5:2379 -o wide\n  signet inspect certificates:3",
		Args:    cobra.MaximumNArgs(1),
	}
	l := p.looking(command)
	command.Flags().StringVar(&password, "password-file", "", "file with the password of a PKCS#12 file")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: inspect needs a file, HOST:PORT or a relation", errUsage)
		}
		if err := l.check(); err != nil {
			return err
		}
		found, err := l.inspect(cmd.Context(), args[0], password)
		if err != nil {
			return err
		}
		if err := show(p, l.output, thingColumns(), found); err != nil {
			return err
		}
		faults := 0
		for _, one := range found {
			if len(one.Faults) > 0 {
				faults++
			}
		}
		if faults > 0 {
			return verdict{1, fmt.Sprintf("something is wrong with %d of %d", faults, len(found))}
		}
		return nil
	}
	return command
}

// errUninspected is what inspect and lint end with when nothing can be read.
var errUninspected = errors.New("nothing can be said of it")

// inspect finds out what is meant, and reads it.
func (l *looking) inspect(ctx context.Context, what, password string) ([]inspect.Thing, error) {
	if _, err := os.Stat(what); err == nil || what == "-" {
		return l.program.inspectFile(what, password)
	}
	if _, err := strconv.Atoi(what); err == nil {
		return l.inspectRelation(ctx, what)
	}
	host, port, err := net.SplitHostPort(what)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no file %s, and it is neither HOST:PORT nor a relation", errUninspected, what)
	}
	if _, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil || host == "" {
		return nil, fmt.Errorf("%w: %s is no port", errUninspected, port)
	}
	if found, err := l.inspectRelation(ctx, what); err == nil { // where this unit has a relation of this name, it is meant
		return found, nil
	}
	const patience = 10 * time.Second
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	chain, err := doctor.Handshake(bounded, what)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUninspected, err)
	}
	return inspect.Chain(chain, time.Now()), nil
}

func (p *program) inspectFile(path, password string) ([]inspect.Thing, error) {
	var secret cert.Key
	if password != "" {
		text, err := os.ReadFile(password)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot read the password: %w", errUninspected, err)
		}
		secret = cert.NewKey(strings.TrimRight(string(text), "\r\n"))
	}
	input := p.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUninspected, err)
		}
		defer file.Close()
		input = file
	}
	data, err := io.ReadAll(io.LimitReader(input, inspect.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUninspected, err)
	}
	found, err := inspect.Read(data, secret, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUninspected, path, err)
	}
	return found, nil
}

// inspectRelation shows what a relation of this unit's has, by its number or name.
func (l *looking) inspectRelation(ctx context.Context, what string) ([]inspect.Thing, error) {
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%w: there is no state folder %s", errUnseen, dir)
	}
	v, err := l.view(ctx)
	if err != nil {
		return nil, err
	}
	is := func(relation string) bool {
		_, number, _ := strings.Cut(relation, ":")
		return relation == what || number == what
	}
	var found []inspect.Thing
	for _, one := range v.Certificates {
		if is(one.Relation) && one.PEM != "" {
			found = append(found, thingsOf(one.PEM, whose(one.Unit, one.Application)+" "+one.Kind)...)
		}
	}
	for _, one := range v.Requests {
		if is(one.Relation) && (one.PEM != "" || one.Outcome == view.Refused) {
			things := []inspect.Thing{{Where: whose(one.Unit, one.Application), Kind: "request", Subject: one.CommonName, Names: one.Names}}
			if one.PEM != "" {
				things = thingsOf(one.PEM, whose(one.Unit, one.Application)+" request")
			}
			for i := range things {
				things[i].Detail = string(one.Outcome)
				if one.Outcome == view.Refused {
					things[i].Faults = append(things[i].Faults, fmt.Sprintf("refused: %s (%s)", one.Reason, one.Code))
				}
			}
			found = append(found, things...)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: relation %s has no certificate and no request that this unit knows", errUninspected, what)
	}
	return found, nil
}

func whose(unit, application string) string {
	if unit == "" {
		return application
	}
	return unit
}

func thingsOf(text, where string) []inspect.Thing {
	found, _ := inspect.Read([]byte(text), cert.Key{}, time.Now()) // what cannot be read is not there
	for i := range found {
		found[i].Where = where
	}
	return found
}

func thingColumns() []column[inspect.Thing] {
	const longest = 200
	return []column[inspect.Thing]{
		{name: "where", text: func(one inspect.Thing) string { return one.Where }},
		{name: "kind", text: func(one inspect.Thing) string { return one.Kind }},
		{name: "subject", text: func(one inspect.Thing) string { return one.Subject }},
		{name: "names", text: func(one inspect.Thing) string { return strings.Join(one.Names, " ") }},
		{name: "issuer", text: func(one inspect.Thing) string { return one.Issuer }},
		{name: "issued-by", text: func(one inspect.Thing) string { return one.IssuedBy }},
		{name: "not-after", text: func(one inspect.Thing) string { return instant(one.NotAfter) }},
		{name: "key", text: func(one inspect.Thing) string { return one.KeyType }},
		{name: "usages", wide: true, text: func(one inspect.Thing) string { return strings.Join(one.Usages, " ") }},
		{name: "serial", wide: true, text: func(one inspect.Thing) string { return one.Serial }},
		{name: "signature", wide: true, text: func(one inspect.Thing) string { return one.Signature }},
		{name: "sha256", wide: true, most: longest, text: func(one inspect.Thing) string { return one.SHA256 }},
		{name: "detail", most: longest, text: func(one inspect.Thing) string { return one.Detail }},
		{name: "wrong", most: longest, text: func(one inspect.Thing) string { return strings.Join(one.Faults, "; ") }, paint: func(inspect.Thing) colour { return red }},
	}
}

// linted is what the lints say of one certificate or request.
type linted struct {
	File    string   `json:"file"`
	Where   string   `json:"where"`
	Kind    string   `json:"kind"`
	Subject string   `json:"subject,omitempty"`
	Faults  []string `json:"faults,omitempty"`
}

func (p *program) lintCommand() *cobra.Command {
	var strict bool
	var o output
	command := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Judge certificates and requests by the lints that stand before each signature",
		Long: "lint judges each certificate and each request in the files (- for the standard input): certificates by zlint's lints for the\n" +
			"RFCs and common mistakes, requests by the certificate that would be made of them. With --strict warnings count, and so\n" +
			"does what signet would make otherwise.\n\n" +
			"It ends with 0 when nothing is wrong, 1 when something is, 2 for wrong usage, 3 when nothing can be read.",
		Example: "  signet lint server.crt chain.pem\n  signet lint --strict request.csr -o json",
	}
	o.flags(command)
	command.Flags().BoolVar(&strict, "strict", false, "warnings count, and what signet would make otherwise")
	command.RunE = func(_ *cobra.Command, args []string) error {
		if err := o.check(); err != nil {
			return err
		}
		if len(args) == 0 {
			return fmt.Errorf("%w: lint needs a file, or -", errUsage)
		}
		var all []linted
		for _, path := range args {
			found, err := p.lintFile(path, strict)
			if err != nil {
				return err
			}
			all = append(all, found...)
		}
		if err := show(p, o, lintedColumns(), all); err != nil {
			return err
		}
		faulty := 0
		for _, one := range all {
			if len(one.Faults) > 0 {
				faulty++
			}
		}
		if faulty > 0 {
			return verdict{1, fmt.Sprintf("%d of %d are not as they should be", faulty, len(all))}
		}
		return nil
	}
	return command
}

func (p *program) lintFile(path string, strict bool) ([]linted, error) {
	things, err := p.inspectFile(path, "")
	if err != nil {
		return nil, err
	}
	var all []linted
	for _, thing := range things {
		if thing.PEM == "" {
			continue
		}
		one := linted{File: path, Where: thing.Where, Kind: thing.Kind, Subject: thing.Subject}
		if thing.Kind == "request" {
			one.Faults, err = ca.JudgeRequest(thing.PEM, false, time.Now())
		} else {
			one.Faults, err = lintCertificate(thing.PEM, strict)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s holds neither a certificate nor a request", errUninspected, path)
	}
	return all, nil
}

func lintCertificate(text string, strict bool) ([]string, error) {
	c, err := cert.Parse(text)
	if err != nil {
		return nil, err
	}
	faults, err := ca.Judge(c, strict)
	if strict {
		faults = append(faults, ca.ProfileFaults(c)...)
	}
	return faults, err
}

func lintedColumns() []column[linted] {
	const longest = 400
	return []column[linted]{
		{name: "file", text: func(one linted) string { return one.File }},
		{name: "where", text: func(one linted) string { return one.Where }},
		{name: "kind", text: func(one linted) string { return one.Kind }},
		{name: "subject", text: func(one linted) string { return one.Subject }},
		{name: "verdict", text: func(one linted) string { return lintVerdict(one) }, paint: func(one linted) colour { return colourOf(lintVerdict(one)) }},
		{name: "faults", most: longest, text: func(one linted) string { return strings.Join(one.Faults, "; ") }},
	}
}

func lintVerdict(one linted) string {
	if len(one.Faults) > 0 {
		return "NO"
	}
	return "ok"
}
