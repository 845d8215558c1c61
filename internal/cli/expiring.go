// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/view"
)

// errExpiring is what expiring ends with where there is anything.
var errExpiring = errors.New("there is what expires")

func (p *program) expiringCommand() *cobra.Command {
	var within string
	command := &cobra.Command{
		Use:   "expiring",
		Short: "List what expires soon, with kubeadm's columns",
		Long: "expiring lists the certificates and CAs that expire within a time, or have expired, the first of them first. Externally\n" +
			"managed is what somebody else renews: an own certificate of the legacy dialect, and a CA that another one certified." +
			"\n\nIt ends with 0 when nothing does, 1 when something does, 2 for wrong usage, 3 when nothing can be read.",
		Example: "  signet expiring --within 30d\n  signet expiring --within 12h -o json || page-somebody",
		Args:    noArgs,
	}
	l := p.looking(command)
	command.Flags().StringVar(&within, "within", "30d", "a duration such as 12h, 30d or 8w")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		span, err := duration("within", within)
		if err != nil {
			return err
		}
		found, err := l.view(cmd.Context())
		if err != nil {
			return err
		}
		rows := expiring(found, span)
		if err := show(p, l.output, expiringColumns(found), rows); err != nil {
			return err
		}
		if len(rows) > 0 {
			return fmt.Errorf("%w within %s: %d", errExpiring, within, len(rows))
		}
		return nil
	}
	return command
}

// expiry is one line of what expires.
type expiry struct {
	Certificate string    `json:"certificate"`
	Expires     time.Time `json:"expires"`
	Days        int       `json:"days"` // left, whole ones
	Authority   string    `json:"certificate-authority,omitempty"`
	External    bool      `json:"externally-managed"`
	Unit        string    `json:"unit,omitempty"`
	Application string    `json:"application,omitempty"`
	Relation    string    `json:"relation,omitempty"`
	Kind        string    `json:"kind"`
	Serial      string    `json:"serial"`
	RenewAt     time.Time `json:"renew-at,omitzero"`
	PutOff      time.Time `json:"put-off,omitzero"`
}

// expiring gives what expires within a time, the first of it first. What is revoked is over already.
func expiring(v view.View, within time.Duration) []expiry {
	var rows []expiry
	until := v.At.Add(within)
	add := func(one expiry) {
		if !one.Expires.IsZero() && !one.Expires.After(until) {
			one.Days = int(one.Expires.Sub(v.At) / (24 * time.Hour))
			rows = append(rows, one)
		}
	}
	for _, one := range v.Certificates {
		if one.State == view.Revoked || one.State == view.Held || one.Orphaned {
			continue
		}
		authority := one.Issuer
		if one.Generation > 0 {
			authority = fmt.Sprintf("CA %d", one.Generation)
		}
		add(expiry{
			Certificate: nameOf(one), Expires: one.NotAfter, Authority: authority, External: one.Role == view.Own && one.Dialect == "legacy",
			Unit: one.Unit, Application: one.Application, Relation: one.Relation, Kind: one.Kind, Serial: one.Serial, RenewAt: one.RenewAt,
			PutOff: one.PutOff,
		})
	}
	for _, one := range v.Authorities {
		add(expiry{
			Certificate: fmt.Sprintf("CA %d", one.Generation), Expires: one.NotAfter, Authority: one.Issuer, External: !one.Root,
			Application: v.Application, Kind: "ca", Serial: one.Serial,
		})
	}
	slices.SortStableFunc(rows, func(a, b expiry) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Certificate, b.Certificate))
	})
	return rows
}

func expiringColumns(v view.View) []column[expiry] {
	external := map[bool]string{true: "yes", false: "no"}
	return []column[expiry]{
		{name: "certificate", text: func(one expiry) string { return one.Certificate }},
		{name: "expires", plain: true, text: func(one expiry) string { return one.Expires.Format("Jan 02, 2006 15:04 UTC") }},
		{name: "expires", csv: true, text: func(one expiry) string { return instant(one.Expires) }},
		{
			name: "residual-time", text: func(one expiry) string { return residual(v.At, one.Expires) },
			paint: func(one expiry) colour {
				if one.Expires.Before(v.At) {
					return red
				}
				return yellow
			},
		},
		{name: "certificate-authority", text: func(one expiry) string { return one.Authority }},
		{name: "externally-managed", text: func(one expiry) string { return external[one.External] }},
		{name: "unit", text: func(one expiry) string { return one.Unit }},
		{name: "application", text: func(one expiry) string { return one.Application }},
		{name: "relation", text: func(one expiry) string { return one.Relation }},
		{name: "kind", wide: true, text: func(one expiry) string { return one.Kind }},
		{name: "renewal", wide: true, text: func(one expiry) string { return instant(later(one.RenewAt, one.PutOff)) }},
		{name: "serial", wide: true, text: func(one expiry) string { return one.Serial }},
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
