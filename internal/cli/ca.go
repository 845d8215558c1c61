// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/view"
)

func (p *program) authorityCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "ca",
		Short: "Show and replace the CAs of this application",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(p.caShowCommand())
	command.AddCommand(p.caActing()...)
	return command
}

func (p *program) caShowCommand() *cobra.Command {
	var text bool
	command := &cobra.Command{
		Use:   "show",
		Short: "Show the CA that signs, those that signed before and the next one",
		Long: "show lists the CAs on record with their roles: requested, another CA shall certify it; next, not published yet; trusted,\n" +
			"published to be trusted; signing; retiring, trusted until its last certificate has ended. With --pem it prints the\n" +
			"certificates that are to be trusted instead, the CA that signs first." + exitCodes,
		Example: "  signet ca show\n  signet ca show --pem > ca.pem",
		Args:    noArgs,
	}
	l := p.looking(command)
	command.Flags().BoolVar(&text, "pem", false, "print the certificates to trust")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		if !text {
			if err := show(p, l.output, authorityColumns(found), found.Authorities); err != nil {
				return err
			}
			if note := found.Rollover.Note; note != "" && (l.format == "table" || l.format == "wide") {
				fmt.Fprintln(p.stdout, note)
			}
			return nil
		}
		trusted := trustedOf(found)
		if len(trusted) == 0 {
			return errors.New("there is no CA certificate yet: see signet status")
		}
		_, err = fmt.Fprint(p.stdout, strings.Join(trusted, ""))
		return err
	}
	return command
}

// trustedOf gives the certificates to trust: the roots of all CAs that sign, signed or will sign.
func trustedOf(v view.View) []string {
	var roots []string
	seen := map[string]bool{}
	for _, one := range v.Authorities {
		if one.PEM == "" || one.Role == "next" || one.Role == "requested" {
			continue
		}
		root := one.PEM
		if len(one.Chain) > 0 {
			root = one.Chain[len(one.Chain)-1]
		}
		if !seen[root] {
			seen[root] = true
			roots = append(roots, root)
		}
	}
	return roots
}

func authorityColumns(v view.View) []column[view.Authority] {
	return []column[view.Authority]{
		{name: "generation", plain: true, text: func(one view.Authority) string { return "CA " + strconv.Itoa(one.Generation) }},
		{name: "generation", csv: true, text: func(one view.Authority) string { return strconv.Itoa(one.Generation) }},
		{
			name: "role", text: func(one view.Authority) string { return one.Role },
			paint: func(one view.Authority) colour { return colourOf(one.Role) },
		},
		{name: "subject", text: func(one view.Authority) string { return one.Subject }},
		{name: "expires", plain: true, text: func(one view.Authority) string { return when(one.NotAfter) }},
		{name: "not-after", csv: true, text: func(one view.Authority) string { return instant(one.NotAfter) }},
		{name: "left", text: func(one view.Authority) string { return residual(v.At, one.NotAfter) }},
		{name: "key-type", text: func(one view.Authority) string { return one.KeyType }},
		{name: "issued", text: func(one view.Authority) string { return strconv.Itoa(one.Issued) }},
		{name: "revoked", text: func(one view.Authority) string { return strconv.Itoa(one.Revoked) }},
		{name: "crl-next-update", wide: true, text: listUntil},
		{name: "issuer", wide: true, text: func(one view.Authority) string { return one.Issuer }},
		{name: "serial", wide: true, text: func(one view.Authority) string { return one.Serial }},
		{name: "sha256", wide: true, most: 64, text: func(one view.Authority) string { return one.SHA256 }},
		{name: "vault", wide: true, text: func(one view.Authority) string { return one.Vault }},
		{name: "crl-urls", wide: true, most: 200, text: func(one view.Authority) string { return strings.Join(one.CRLURLs, " ") }},
		{name: "until", wide: true, text: func(one view.Authority) string { return instant(one.Until) }},
	}
}

func listUntil(one view.Authority) string {
	if one.CRL == nil {
		return ""
	}
	return instant(one.CRL.NextUpdate)
}
