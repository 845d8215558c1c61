// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/view"
)

// errUnverified is what certs verify ends with where a certificate does not verify.
var errUnverified = errors.New("not all certificates verify")

func (p *program) certsVerifyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "verify [SERIAL|NAME|UNIT|PATH]...",
		Short: "Verify certificates as those do who meet them: chain, time, names, key and revocation",
		Long: "verify holds certificates, all of them where none is named, against the CAs that are to be trusted: the chain to a root, the\n" +
			"time, the usage, and whether they are revoked; those on this unit's disk also against the private key and the CAs that lie\n" +
			"beside them." +
			"\n\nIt ends with 0 when all verify, 1 when one does not, 2 for wrong usage, 3 when nothing can be read.",
		Example: "  signet certs verify\n  signet certs verify etcd/0 -o json",
		Args:    cobra.ArbitraryArgs,
	}
	l := p.looking(command)
	command.ValidArgsFunction = l.completeCertificates
	command.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		chosen, err := oneOrMore(found, args)
		if err != nil {
			return err
		}
		rows, faulty := make([]judgement, len(chosen)), 0
		for i, one := range chosen {
			rows[i] = judgement{Certificate: one, Verified: true}
			rows[i].PEM = ""
			if err := verifyCertificate(found, one); err != nil {
				faulty++
				rows[i].Verified, rows[i].Reason = false, err.Error()
			}
		}
		if err := show(p, l.output, judgementColumns(), rows); err != nil {
			return err
		}
		if faulty > 0 {
			return fmt.Errorf("%w: %d of %d do not", errUnverified, faulty, len(rows))
		}
		return nil
	}
	return command
}

// judgement is whether a certificate verifies.
type judgement struct {
	view.Certificate

	Verified bool   `json:"verified"`
	Reason   string `json:"reason,omitempty"`
}

func judgementColumns() []column[judgement] {
	verdict := func(one judgement) string {
		if one.Verified {
			return "ok"
		}
		return "NO"
	}
	return []column[judgement]{
		{name: "role", text: func(one judgement) string { return string(one.Role) }},
		{name: "application", text: func(one judgement) string { return one.Application }},
		{name: "unit", text: func(one judgement) string { return one.Unit }},
		{name: "kind", text: func(one judgement) string { return one.Kind }},
		{name: "name", text: func(one judgement) string { return namesLine(one.Certificate) }},
		{name: "serial", text: func(one judgement) string { return one.Serial }},
		{name: "verified", text: verdict, paint: func(one judgement) colour { return colourOf(verdict(one)) }},
		{name: "reason", most: 200, text: func(one judgement) string { return one.Reason }},
	}
}

// verifyCertificate says why a certificate does not verify.
func verifyCertificate(v view.View, one view.Certificate) error {
	switch one.State {
	case view.Revoked, view.Held:
		return errors.New("it is revoked")
	}
	leaf, err := cert.Parse(one.PEM)
	if err != nil {
		return err
	}
	roots, between, err := trustFor(v, one)
	if err != nil {
		return err
	}
	if err := verifyChain(leaf, roots, between, v.At); err != nil {
		return err
	}
	if one.Role != view.Own || one.Path == "" {
		return nil
	}
	key, err := os.ReadFile(keyPath(one.Path))
	if err != nil {
		return fmt.Errorf("its key cannot be read: %w", err)
	}
	if !cert.KeyMatches(cert.NewKey(string(key)), leaf) {
		return fmt.Errorf("the private key in %s is another certificate's", keyPath(one.Path))
	}
	return nil
}

// trustFor gives whom those trust who meet a certificate, and what is between.
func trustFor(v view.View, one view.Certificate) (roots, between []*x509.Certificate, err error) {
	if one.Role == view.Own && one.Path != "" {
		b, err := ownBundle(one, false)
		if err == nil && len(b.trust) == 0 {
			err = fmt.Errorf("no CA certificate lies in %s", filepath.Join(filepath.Dir(one.Path), "ca.crt"))
		}
		return b.trust, b.chain, err
	}
	if one.Role == view.Own {
		return nil, nil, errors.New("it is not on this unit's disk")
	}
	if roots, err = parseAll(trustedOf(v)); err != nil {
		return nil, nil, err
	}
	for _, authority := range v.Authorities {
		for _, text := range append([]string{authority.PEM}, authority.Chain...) {
			if parsed, err := cert.Parse(text); err == nil {
				between = append(between, parsed)
			}
		}
	}
	if len(roots) == 0 {
		err = errors.New("no CA certificate is known")
	}
	return roots, between, err
}

// verifyChain verifies the way to a root at a time (RFC 5280, 6), for any usage that the certificate has.
func verifyChain(leaf *x509.Certificate, roots, between []*x509.Certificate, at time.Time) error {
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, one := range roots {
		options.Roots.AddCert(one)
	}
	for _, one := range between {
		options.Intermediates.AddCert(one)
	}
	_, err := leaf.Verify(options)
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && at.After(leaf.NotAfter) {
		return fmt.Errorf("it expired on %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "x509: "))
	}
	return nil
}
