// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

func mustDecode[T any](t require.TestingT, text string) T {
	var value T
	require.NoError(t, json.Unmarshal([]byte(text), &value))
	return value
}

// seeds adds inputs made from each recorded relation; a target without any seed fails.
func seeds(f *testing.F, relationInterface string, seed func(wire.Relation) int) {
	f.Helper()
	recordings, err := wire.All()
	require.NoError(f, err)
	added := 0
	for _, recording := range recordings {
		last := recording.States[len(recording.States)-1]
		for _, relation := range last.Relations {
			if relation.Interface == relationInterface {
				added += seed(relation)
			}
		}
	}
	require.NotZero(f, added, "no seeds")
}

// requireStable publishes nothing but the denials of a reading, twice.
func requireStable(t *testing.T, rel juju.Relation) dialect.Reading {
	t.Helper()
	reading := dialect.Read(rel)
	require.Equal(t, reading, dialect.Read(rel))
	require.LessOrEqual(t, len(reading.Asks), 1000*len(rel.RemoteUnits))
	require.LessOrEqual(t, len(reading.Denials), 1010*len(rel.RemoteUnits))
	requireBounded(t, reading.Denials)
	pub := dialect.Publication{Reading: reading}
	once := withBags(rel, dialect.PublishUnit(rel, pub), dialect.PublishApplication(rel, pub))
	require.Equal(t, once.OwnUnit, dialect.PublishUnit(once, pub))
	require.Equal(t, once.OwnApp, dialect.PublishApplication(once, pub))
	return reading
}

func FuzzReadLegacy(f *testing.F) {
	seeds(f, "tls-certificates", func(relation wire.Relation) (added int) {
		for _, bag := range relation.Requirer.Units {
			if bag["unit_name"] != "" {
				f.Add(false, bag["unit_name"], bag["common_name"], bag["sans"], bag["cert_requests"], bag["application_cert_requests"])
				added++
			}
		}
		return added
	})
	f.Add(true, "etcd/1", "a", "{", `{"a": {"sans": ["x"]}, "a": {}, "\ud800": {}}`, `[{"common_name": "ca"}]`)
	f.Fuzz(func(t *testing.T, crossModel bool, unitName, commonName, sans, requests, shared string) {
		unit := "requirer/1" // Juju's own names are no input of anybody's
		if crossModel {
			unit = "remote-0a/1"
		}
		rel := etcd(map[string]juju.Bag{unit: {
			"unit_name": unitName, "common_name": commonName, "sans": sans,
			"cert_requests": requests, "application_cert_requests": shared,
		}})
		reading := requireStable(t, rel)
		for _, ask := range reading.Asks {
			require.NotContains(t, ask.Name, "/")
			require.NotContains(t, ask.CommonName, "\x00")
			_, err := cert.ParseNames(ask.Names.List())
			require.NoError(t, err)
		}
	})
}

func FuzzReadCSR(f *testing.F) {
	seeds(f, "tls-certificates", func(relation wire.Relation) (added int) {
		for _, bag := range withApplication(relation.Requirer) {
			if value := bag["certificate_signing_requests"]; value != "" {
				f.Add(value, relation.Provider.Bag["certificates"])
				added++
			}
		}
		return added
	})
	f.Add(`[{"certificate_signing_request": "x", "ca": null}, 1, {"ca": true, "ca": true}]`, `[{"revoked": null}]`)
	f.Fuzz(func(t *testing.T, requests, standing string) {
		rel := etcd(map[string]juju.Bag{"etcd/0": {"certificate_signing_requests": requests}})
		rel.OwnApp["certificates"] = standing
		if standing == "" {
			delete(rel.OwnApp, "certificates")
		}
		for _, ask := range requireStable(t, rel).Asks {
			request, err := cert.ParseRequest(ask.Request)
			require.NoError(t, err)
			require.NoError(t, cert.CheckRequest(request))
			if issued, found := dialect.NewIndex(rel).Published(ask); found {
				leaf, err := cert.ParseCertificate(issued.Certificate)
				require.NoError(t, err)
				require.True(t, cert.SameKey(leaf.PublicKey, request.PublicKey))
			}
		}
	})
}

func FuzzOffers(f *testing.F) {
	seeds(f, "tls-certificates", func(relation wire.Relation) (added int) {
		reading := dialect.Read(relation.ProviderSees(relation.Provider.UnitNames()[0]))
		provider := relation.Provider.Units[relation.Provider.UnitNames()[0]]
		for _, ask := range reading.Asks {
			f.Add(ask.Request, ask.CommonName, string(ask.Kind), relation.Provider.Bag["certificates"], relation.Provider.Bag["request_errors"],
				provider["ca"], provider[ask.Name+".server.cert"], provider[ask.Name+".server.key"], provider[ask.Name+".processed_requests"])
			added++
		}
		return added
	})
	f.Fuzz(func(t *testing.T, request, commonName, kind, certificates, failures, ca, serverCert, serverKey, processed string) {
		rel := upstream(juju.Bag{"certificates": certificates, "request_errors": failures}, map[string]juju.Bag{"vault/0": {
			"ca": ca, "requirer_0.server.cert": serverCert, "requirer_0.server.key": serverKey, "requirer_0.processed_requests": processed,
		}})
		rel.OwnUnit = juju.Bag{"common_name": commonName}
		want := dialect.Want{Kind: cert.Kind(kind), CommonName: commonName, Request: request}
		offers, denials := dialect.Offers(rel, "requirer/0", []dialect.Want{want})
		require.LessOrEqual(t, len(offers), 2)
		requireBounded(t, denials)
		for _, offer := range offers {
			leaf, err := cert.ParseCertificate(offer.Issued.Certificate)
			require.NoError(t, err)
			issuer, err := cert.ParseCertificate(offer.Issued.Issuers[0])
			require.NoError(t, err)
			require.NoError(t, leaf.CheckSignatureFrom(issuer))
			require.Equal(t, want.Kind == cert.Intermediate, leaf.IsCA)
		}
		again, _ := dialect.Offers(rel, "requirer/0", []dialect.Want{want})
		require.Equal(t, offers, again)
	})
}

func FuzzReadTransfer(f *testing.F) {
	seeds(f, "certificate_transfer", func(relation wire.Relation) int {
		unit := relation.Provider.Units[relation.Provider.UnitNames()[0]]
		f.Add(relation.Provider.Bag["certificates"], unit["ca"], unit["certificate"], unit["chain"])
		return 1
	})
	f.Fuzz(func(t *testing.T, certificates, ca, certificate, chain string) {
		rel := trusting(juju.Bag{}, juju.Bag{"certificates": certificates}, map[string]juju.Bag{
			"other/0": {"ca": ca, "certificate": certificate, "chain": chain},
		})
		found, denials := dialect.ReadTransfer(rel)
		requireBounded(t, denials)
		bags := dialect.PublishTransfer(rel, found)
		again, denials := dialect.ReadTransfer(trusting(nil, bags.App, nil))
		require.Empty(t, denials)
		require.Equal(t, append([]string{}, found...), append([]string{}, again...))
	})
}
