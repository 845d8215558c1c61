// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

// replay runs a property on every relation of every state of every recording with this interface.
func replay(t *testing.T, relationInterface string, property func(*testing.T, wire.Relation)) {
	t.Helper()
	recordings, err := wire.All()
	require.NoError(t, err)
	played := 0
	for _, recording := range recordings {
		for _, state := range recording.States {
			for _, relation := range state.Relations {
				if relation.Interface != relationInterface {
					continue
				}
				played++
				t.Run(fmt.Sprintf("%s/%s/%d", recording.Name, state.Name, relation.ID), func(t *testing.T) {
					t.Parallel()
					property(t, relation)
				})
			}
		}
	}
	require.NotZero(t, played, "no recording of %s", relationInterface)
}

func TestReplayRead(t *testing.T) {
	t.Parallel()
	replay(t, "tls-certificates", func(t *testing.T, relation wire.Relation) {
		for _, unit := range relation.Provider.UnitNames() {
			reading := dialect.Read(relation.ProviderSees(unit))
			require.Empty(t, reading.Denials)
			var found []recordedAsk
			for _, ask := range reading.Asks {
				require.Equal(t, relation.ID, ask.Relation)
				require.Equal(t, relation.Requirer.App, ask.App)
				recorded := recordedAsk{Unit: ask.Unit, Kind: ask.Kind, Name: ask.Name, Request: ask.Request}
				if ask.Dialect == dialect.Legacy {
					recorded.CommonName, recorded.SANs = ask.CommonName, sorted(ask.Names.List())
				}
				found = append(found, recorded)
			}
			require.ElementsMatch(t, recordedAsks(t, relation), found)
			require.True(t, slices.IsSortedFunc(reading.Asks, func(a, b dialect.Ask) int { return strings.Compare(a.Unit, b.Unit) }))
		}
	})
}

// wantsOf are the wants of a unit that would have written these databags, with the dialects it speaks.
func wantsOf(reading dialect.Reading, unit string) ([]dialect.Want, []dialect.Dialect) {
	var wants []dialect.Want
	for _, ask := range reading.Asks {
		if ask.Unit == unit || ask.Unit == "" {
			wants = append(wants, dialect.Want{Kind: ask.Kind, CommonName: ask.CommonName, Names: ask.Names, Request: ask.Request})
		}
	}
	var speak []dialect.Dialect
	if slices.Contains(reading.Legacy, unit) {
		speak = append(speak, dialect.Legacy)
	}
	if slices.Contains(reading.CSR, unit) || slices.Contains(reading.CSR, "") {
		speak = append(speak, dialect.CSR)
	}
	return wants, speak
}

func TestReplayOffers(t *testing.T) {
	t.Parallel()
	replay(t, "tls-certificates", func(t *testing.T, relation wire.Relation) {
		provider := relation.ProviderSees(relation.Provider.UnitNames()[0])
		for _, unit := range relation.Requirer.UnitNames() {
			wants, _ := wantsOf(dialect.Read(provider), unit)
			offers, denials := dialect.Offers(relation.RequirerSees(unit), unit, wants)
			require.Empty(t, denials)
			offered := map[int]bool{}
			for _, offer := range offers {
				offered[offer.Want] = true
				requireVerified(t, offer, wants[offer.Want])
			}
			for i, want := range wants {
				require.Equal(t, answered(t, relation, unit, want), offered[i], "want %d: %s %s", i, want.Kind, want.CommonName)
			}
			if len(offers) > 0 {
				require.Contains(t, dialect.Spoken(relation.RequirerSees(unit)), offers[0].Dialect)
			}
		}
	})
}

// requireVerified checks an offer as its user would: with nothing but what the offer says.
func requireVerified(t *testing.T, offer dialect.Offer, want dialect.Want) {
	t.Helper()
	leaf, err := cert.ParseCertificate(offer.Issued.Certificate)
	require.NoError(t, err)
	require.Equal(t, offer.Dialect == dialect.Legacy, cert.KeyMatches(offer.Issued.Key, leaf))
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: leaf.NotBefore.Add(time.Minute), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	require.NotEmpty(t, offer.Trust)
	for _, text := range offer.Trust {
		require.True(t, options.Roots.AppendCertsFromPEM([]byte(text)))
	}
	for _, text := range offer.Issued.Issuers {
		require.True(t, options.Intermediates.AppendCertsFromPEM([]byte(text)))
	}
	_, err = leaf.Verify(options)
	require.NoError(t, err)
	require.Equal(t, want.Kind == cert.Intermediate, leaf.IsCA)
}

// published gives a publication of what the recorded provider has published for the asks that still stand.
func published(relation juju.Relation) dialect.Publication {
	pub := dialect.Publication{Reading: dialect.Read(relation)}
	index := dialect.NewIndex(relation)
	for _, ask := range pub.Reading.Asks {
		if issued, found := index.Published(ask); found {
			pub.Grants = append(pub.Grants, dialect.Grant{Ask: ask, Issued: issued})
		}
	}
	if client, found := index.Client(); found {
		pub.Common = &dialect.Common{Trust: blocks(relation.OwnUnit["ca"]), Chain: blocks(relation.OwnUnit["chain"]), Client: client}
	}
	return pub
}

// blocks splits a PEM bundle.
func blocks(text string) []string {
	var list []string
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		list = append(list, string(pem.EncodeToMemory(block)))
	}
	return list
}

func TestReplayPublished(t *testing.T) {
	t.Parallel()
	replay(t, "tls-certificates", func(t *testing.T, relation wire.Relation) {
		for _, unit := range relation.Provider.UnitNames() {
			view := relation.ProviderSees(unit)
			pub := published(view)
			found := map[dialect.AskID]bool{}
			for _, grant := range pub.Grants {
				found[grant.Ask.ID()] = true
				alone, ok := dialect.NewIndex(view).Published(grant.Ask)
				require.True(t, ok)
				require.Equal(t, grant.Issued, alone, "one look-up gives what many give")
			}
			for _, ask := range pub.Reading.Asks {
				requirer := ask.Unit
				if requirer == "" {
					requirer = relation.Requirer.UnitNames()[0]
				}
				want := dialect.Want{Kind: ask.Kind, CommonName: ask.CommonName, Request: ask.Request}
				require.Equal(t, answered(t, relation, requirer, want), found[ask.ID()], "%s", ask.ID())
			}
			require.Equal(t, view.OwnUnit["client.cert"] != "", pub.Common != nil)
		}
	})
}

// TestReplayPublish writes what each recorded provider had written, into empty databags, and compares. The differences
// are documented: EasyRSA's description before the PEM goes, a chain is put in order, null members and the deprecated
// recommended_expiry_notification_time go, and so do answers to requests that nobody makes any more.
func TestReplayPublish(t *testing.T) {
	t.Parallel()
	replay(t, "tls-certificates", func(t *testing.T, relation wire.Relation) {
		for _, unit := range relation.Provider.UnitNames() {
			recorded := relation.ProviderSees(unit)
			pub := published(recorded)
			empty := recorded
			empty.OwnUnit, empty.OwnApp = juju.Bag{}, juju.Bag{}

			unitBag, appBag := dialect.PublishUnit(empty, pub), dialect.PublishApplication(empty, pub)
			require.Equal(t, plainUnitBag(t, recorded.OwnUnit), plainUnitBag(t, unitBag))
			require.ElementsMatch(t, plainEntries(t, recorded), plainEntries(t, withBags(recorded, unitBag, appBag)))

			again := withBags(recorded, unitBag, appBag)
			require.Equal(t, pub, published(again), "what was written reads as what was to be written")
			require.Equal(t, unitBag, dialect.PublishUnit(again, pub))
			require.Equal(t, appBag, dialect.PublishApplication(again, pub))
			for key, value := range unitBag {
				require.NotContains(t, value, "Certificate:", key)
			}
		}
	})
}

func withBags(relation juju.Relation, unit, app juju.Bag) juju.Relation {
	relation.OwnUnit, relation.OwnApp = unit, app
	return relation
}

// TestReplayRequest has the requirer side write what the recorded requirers had written: a provider must read the same
// from it, and what was written stays as it is.
func TestReplayRequest(t *testing.T) {
	t.Parallel()
	replay(t, "tls-certificates", func(t *testing.T, relation wire.Relation) {
		recorded := relation.ProviderSees(relation.Provider.UnitNames()[0])
		reading := dialect.Read(recorded)
		for _, unit := range relation.Requirer.UnitNames() {
			if relation.Requirer.Bag["certificate_signing_requests"] != "" || len(reading.Asks) == 0 {
				continue // signet asks in unit databags only
			}
			wants, speak := wantsOf(reading, unit)
			view := relation.RequirerSees(unit)
			written := dialect.Request(withBags(view, juju.Bag{}, nil), unit, wants, speak...)
			requireSameAsks(t, recorded, unit, written)

			kept := dialect.Request(view, unit, wants, speak...)
			requireSameAsks(t, recorded, unit, kept)
			require.Equal(t, kept, dialect.Request(withBags(view, kept, nil), unit, wants, speak...))
			require.Equal(t, view.OwnUnit["certificate_name"] != "", kept["certificate_name"] == view.OwnUnit["certificate_name"] &&
				kept["certificate_name"] != "", "an existing name is kept")
		}
	})
}

func requireSameAsks(t *testing.T, recorded juju.Relation, unit string, bag juju.Bag) {
	t.Helper()
	rewritten := recorded
	rewritten.RemoteUnits = maps.Clone(recorded.RemoteUnits)
	rewritten.RemoteUnits[unit] = bag
	want, got := dialect.Read(recorded), dialect.Read(rewritten)
	require.ElementsMatch(t, want.Asks, got.Asks)
	require.Empty(t, got.Denials)
}

func TestReplayTransfer(t *testing.T) {
	t.Parallel()
	replay(t, "certificate_transfer", func(t *testing.T, relation wire.Relation) {
		want := map[string]bool{}
		for _, end := range withApplication(relation.Provider) {
			for _, key := range []string{"ca", "certificate", "chain", "certificates"} {
				for _, block := range blocks(strings.NewReplacer(`\n`, "\n", `"`, "\n").Replace(end[key])) {
					want[block] = true
				}
			}
		}
		for _, unit := range relation.Requirer.UnitNames() {
			view := relation.RequirerSees(unit)
			got, denials := dialect.ReadTransfer(view)
			require.Empty(t, denials)
			require.Equal(t, slices.Sorted(maps.Keys(want)), append([]string(nil), got...))
			require.Equal(t, "1", dialect.TransferVersion(view)["version"])

			for _, provider := range relation.Provider.UnitNames() {
				sender := relation.ProviderSees(provider)
				bags := dialect.PublishTransfer(sender, got)
				require.Equal(t, bags, dialect.PublishTransfer(withBags(sender, bags.Unit, bags.App), got))
				view.RemoteApplication, view.RemoteUnits = bags.App, map[string]juju.Bag{provider: bags.Unit}
				again, denials := dialect.ReadTransfer(view)
				require.Empty(t, denials)
				require.Equal(t, got, again)

				view.RemoteApplication = juju.Bag{} // who knows version 0 only
				old, denials := dialect.ReadTransfer(view)
				require.Empty(t, denials)
				if relation.Requirer.Bag["version"] == "1" {
					require.Empty(t, old)
				} else {
					require.Equal(t, got, old)
				}
			}
		}
	})
}
