// SPDX-License-Identifier: AGPL-3.0-only

package view

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
)

func (b *builder) authorities() {
	issued := map[int]int{}
	for _, one := range b.view.Certificates {
		if one.Role == Issued && one.Generation > 0 && one.Serial != "" {
			issued[one.Generation]++
		}
	}
	if b.view.Source == FromDisk {
		b.recordedAuthorities()
	}
	for _, member := range b.facts.Authority.Members {
		b.view.Authorities = append(b.view.Authorities, authorityOf(member))
	}
	for i := range b.view.Authorities {
		b.view.Authorities[i].Issued = issued[b.view.Authorities[i].Generation]
	}
}

func authorityOf(member provider.Member) Authority {
	one := Authority{
		Generation: member.Generation, Role: member.Role, Adopted: member.Adopted.UTC(), Until: member.Until.UTC(), Vault: member.Vault,
		Revoked: member.Revoked, CRLURLs: member.Points.CRL, OCSPURLs: member.Points.OCSP, Chain: member.Issuers,
	}
	if ca := member.Certificate; ca != nil {
		one.Subject, one.Issuer, one.Root = ca.Subject.String(), ca.Issuer.String(), cert.SelfSigned(ca)
		one.Serial, one.KeyType, one.SHA256 = cert.SerialText(ca.SerialNumber), keyType(ca), sum(ca.Raw)
		one.NotBefore, one.NotAfter, one.PEM = ca.NotBefore.UTC(), ca.NotAfter.UTC(), cert.EncodeCertificates(ca)
	}
	if list := cert.ParseCRL(member.CRL); list != nil {
		one.CRL = &CRL{ThisUpdate: list.ThisUpdate.UTC(), NextUpdate: list.NextUpdate.UTC(), Entries: len(list.RevokedCertificateEntries)}
		if list.Number != nil {
			one.CRL.Number = list.Number.String()
		}
		one.CRL.Signed = member.Certificate != nil && list.CheckSignatureFrom(member.Certificate) == nil
	}
	return one
}

// recordedAuthorities shows the CAs that this unit's record knows, by their last role.
func (b *builder) recordedAuthorities() {
	last := map[int]Authority{}
	for _, entry := range b.facts.Entries {
		one := last[entry.Generation]
		switch {
		case entry.Event == ledger.Authority:
			one.Role, one.Subject, one.NotAfter = entry.After, entry.Subject, entry.NotAfter.UTC()
		case entry.Event == ledger.Issued && entry.App == "":
			ca, err := cert.Parse(entry.Certificate)
			if err != nil || !cert.SelfSigned(ca) {
				continue
			}
			role := one.Role
			one = authorityOf(provider.Member{Generation: entry.Generation, Role: role, Certificate: ca})
		default:
			continue
		}
		one.Generation = entry.Generation
		last[entry.Generation] = one
	}
	for _, generation := range slices.Sorted(maps.Keys(last)) {
		one := last[generation]
		one.Revoked = len(b.record.Revoked(generation))
		if one.Role != "withdrawn" {
			b.view.Authorities = append(b.view.Authorities, one)
		}
	}
	slices.SortStableFunc(b.view.Authorities, func(x, y Authority) int { // the one that signs first
		return cmp.Compare(b2i(y.Role == "signing"), b2i(x.Role == "signing"))
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// calendar says what happens when, if nobody does anything.
func (b *builder) calendar() {
	add := func(at time.Time, event Event, rest Renewal) {
		if !at.IsZero() {
			rest.At, rest.Event = at.UTC(), event
			b.view.Renewals = append(b.view.Renewals, rest)
		}
	}
	for _, one := range b.view.Certificates {
		if one.Serial == "" || one.State == Revoked || one.State == Held || one.Orphaned {
			continue
		}
		line := Renewal{
			Serial: one.Serial, Name: cmp.Or(one.CommonName, first(one.Names)), Application: one.Application, Unit: one.Unit, Relation: one.Relation,
			Generation: one.Generation,
		}
		if one.RenewAt.IsZero() {
			add(one.NotAfter, Ends, line)
			continue
		}
		at := one.RenewAt
		if one.PutOff.After(at) {
			at = one.PutOff
		}
		add(at, Renews, line)
	}
	for _, one := range b.view.Authorities {
		line := Renewal{Generation: one.Generation, Name: one.Subject, Serial: one.Serial}
		add(one.NotAfter, CAExpires, line)
		add(one.Until, Retires, line)
		if one.CRL != nil {
			add(one.CRL.NextUpdate, ListExpiry, line)
		}
		if one.Role == "signing" && b.view.Rollover.Phase == string(provider.Steady) {
			add(b.view.Rollover.Next, RollsOver, line)
		}
	}
	add(b.view.Wake, TurnAgain, Renewal{})
	slices.SortStableFunc(b.view.Renewals, func(x, y Renewal) int { return x.At.Compare(y.At) })
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// count counts the record, and the private keys that stand in relation data.
func (b *builder) count() {
	record := Record{Entries: len(b.facts.Entries), Events: map[string]int{}, Refusals: map[string]int{}, Trouble: b.facts.Unread}
	for i, entry := range b.facts.Entries {
		record.Events[string(entry.Event)]++
		if entry.Event == ledger.Denied || entry.Event == ledger.Refused {
			record.Refusals[cmp.Or(entry.Code, "unsigned")]++
		}
		if entry.Event == ledger.Checkpoint {
			record.Checkpoint, record.Uncovered = entry.Time.UTC(), 0
		} else {
			record.Uncovered++
		}
		if entry.Event == ledger.Action && entry.Item == "backup" && entry.After == "done" {
			record.Backup = entry.Time.UTC()
		}
		if i == 0 {
			record.First = entry.Time.UTC()
		}
		record.Last = entry.Time.UTC()
	}
	for _, relation := range b.facts.Snapshot.On(juju.Provides, dialect.Interface) {
		for _, held := range dialect.Inventory(relation) {
			if held.Dialect == dialect.Legacy {
				record.LegacyKeys++
			}
		}
	}
	b.view.Record = record
}

// Phases are the phases of a CA's replacement, in their order.
func Phases() []provider.Phase {
	return []provider.Phase{provider.Steady, provider.Certifying, provider.Preparing, provider.Trusting, provider.Replacing}
}
