// SPDX-License-Identifier: AGPL-3.0-only

package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/requirer"
)

// wanted shows what this unit asks of others, and what lies on its disk. A certificate on disk is shown once, with what is
// known of the relation that it came by.
func (b *builder) wanted() {
	shown := map[string]bool{}
	for _, wanted := range b.facts.Consumer.Wants {
		r := Request{
			ID: "own/" + wanted.Name, Sent: true, Outcome: InWaiting, Unit: b.facts.Unit, Kind: string(wanted.Want.Kind),
			CommonName: wanted.Want.CommonName, Names: wanted.Want.Names.List(), PEM: wanted.Want.Request, Reason: wanted.Trouble,
			Dialect: string(wanted.Dialect),
		}
		if wanted.Want.Request != "" {
			r.Hash = sum([]byte(wanted.Want.Request))
		}
		if wanted.Relation != nil {
			r.Relation, r.Endpoint, r.Application = wanted.Relation.Key(), wanted.Relation.Endpoint.Name, wanted.Relation.RemoteApp
		}
		one := Certificate{State: Waiting, CommonName: wanted.Want.CommonName, Names: wanted.Want.Names.List()}
		if wanted.Leaf != nil {
			r.Outcome, r.Serial, r.Since = Granted, cert.SerialText(wanted.Leaf.SerialNumber), wanted.Leaf.NotBefore.UTC()
			one = b.certificate(wanted.Leaf)
			one.RenewAt = wanted.Renew.UTC()
		}
		if wanted.Denial != nil {
			r.refuse(*wanted.Denial)
		}
		one.Role, one.Kind, one.Unit, one.Dialect = Own, r.Kind, r.Unit, r.Dialect
		one.Relation, one.Endpoint, one.Application, one.Request = r.Relation, r.Endpoint, r.Application, r.Hash
		one.Path = b.pathOf(wanted)
		shown[one.Serial] = true
		b.view.Requests = append(b.view.Requests, r)
		b.view.Certificates = append(b.view.Certificates, one)
	}
	for _, installed := range b.facts.Installed {
		leaf, err := cert.Parse(installed.PEM)
		if err != nil || shown[cert.SerialText(leaf.SerialNumber)] {
			continue
		}
		one := b.certificate(leaf)
		one.Role, one.Kind, one.Unit, one.Path = Own, cmp.Or(kindOf(leaf), installed.Name), b.facts.Unit, installed.Path
		one.RenewAt = cert.RenewAt(leaf).UTC()
		b.view.Certificates = append(b.view.Certificates, one)
	}
}

// pathOf is where the file is that holds a wanted certificate; empty while it is not laid there.
func (b *builder) pathOf(wanted requirer.Wanted) string {
	for _, installed := range b.facts.Installed {
		leaf, err := cert.Parse(installed.PEM)
		if installed.Name == wanted.Name && err == nil && wanted.Leaf != nil && leaf.Equal(wanted.Leaf) {
			return installed.Path
		}
	}
	return ""
}

// recorded shows what this unit's record says it issued, where nothing else is known: for each ask, the last one.
func (b *builder) recorded() {
	last, order := map[string]ledger.Entry{}, []string{}
	refused := map[string]ledger.Entry{}
	for _, entry := range b.facts.Entries {
		switch {
		case entry.Event == ledger.Issued && entry.App != "":
			if _, known := last[entry.Ask]; !known {
				order = append(order, entry.Ask)
			}
			last[entry.Ask] = entry
			delete(refused, entry.Topic())
		case entry.Event == ledger.Withdrawn:
			for ask, issued := range last {
				if issued.Serial == entry.Serial {
					delete(last, ask)
				}
			}
		case entry.Event == ledger.Denied && !entry.IsOverflow():
			refused[entry.Topic()] = entry
		}
	}
	for _, ask := range order {
		if entry, stands := last[ask]; stands {
			b.recordedIssue(entry)
		}
	}
	for _, entry := range refused {
		r := Request{
			ID: cmp.Or(entry.Ask, entry.Item), Application: entry.App, Unit: entry.Unit, Since: entry.Time.UTC(), Rule: entry.Rule,
		}
		r.Relation, r.Endpoint = b.relation(entry.Relation)
		r.refuse(dialect.Denial{Code: dialect.Code(entry.Code), Reason: entry.Reason, Item: entry.Item, Rule: entry.Rule})
		b.view.Requests = append(b.view.Requests, r)
	}
	slices.SortFunc(b.view.Requests, func(x, y Request) int { return cmp.Compare(x.ID, y.ID) })
}

func (b *builder) recordedIssue(entry ledger.Entry) {
	leaf, err := cert.Parse(entry.Certificate)
	if err != nil {
		return
	}
	asked := provider.Asked{Leaf: leaf, Generation: entry.Generation, Renew: cert.RenewAt(leaf)}
	asked.Ask.Relation, asked.Ask.App, asked.Ask.Unit = entry.Relation, entry.App, entry.Unit
	asked.Ask.Dialect = dialect.Legacy
	asked.Ask.Kind = cert.Kind(kindOf(leaf))
	if strings.Contains(entry.Ask, "/csr/") {
		asked.Ask.Dialect = dialect.CSR
	}
	known, _ := b.record.Serial(entry.Serial)
	if asked.Revoked = known.State == ledger.Revoked; asked.Revoked {
		asked.Renew = time.Time{}
	}
	one := b.issued(asked)
	r := b.request(asked, one)
	r.ID, r.Since, r.CommonName, r.Names = entry.Ask, b.since[entry.Ask], one.CommonName, one.Names
	if _, hash, found := strings.Cut(entry.Ask, "/csr/"); found {
		one.Request, r.Hash = hash, hash
	}
	b.view.Certificates = append(b.view.Certificates, one)
	b.view.Requests = append(b.view.Requests, r)
}
