// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/wire"
)

// What recorded databags say, read here as simply as can be, for comparison with what the package reads.

// recordedAsk is what this test itself finds in a databag, by reading it as simply as can be.
type recordedAsk struct {
	Unit, Name, CommonName, Request string
	Kind                            cert.Kind
	SANs                            string
}

func recordedAsks(t *testing.T, relation wire.Relation) []recordedAsk {
	t.Helper()
	var asks []recordedAsk
	var shared []string
	sharedName := ""
	for unit, bag := range withApplication(relation.Requirer) {
		name := strings.ReplaceAll(unit, "/", "_")
		if bag["common_name"] != "" {
			asks = append(asks, recordedAsk{unit, name, bag["common_name"], "", cert.Server, sorted(decode[[]string](t, bag["sans"]))})
		}
		for key, kind := range map[string]cert.Kind{
			"cert_requests": cert.Server, "client_cert_requests": cert.Client, "intermediate_cert_requests": cert.Intermediate,
		} {
			for commonName, details := range decode[map[string]struct{ SANs []string }](t, bag[key]) {
				ask := recordedAsk{unit, name, commonName, "", kind, sorted(details.SANs)}
				if !slices.Contains(asks, ask) {
					asks = append(asks, ask)
				}
			}
		}
		for commonName, details := range decode[map[string]struct{ SANs []string }](t, bag["application_cert_requests"]) {
			shared = append(append(shared, commonName), details.SANs...)
			sharedName = commonName
		}
		for _, item := range decode[[]struct {
			CSR string `json:"certificate_signing_request"`
			CA  bool   `json:"ca"`
		}](t, bag["certificate_signing_requests"]) {
			kind := cert.Server
			if item.CA {
				kind = cert.Intermediate
			}
			asks = append(asks, recordedAsk{Unit: unit, Request: item.CSR, Kind: kind})
		}
	}
	if sharedName != "" {
		asks = append(asks, recordedAsk{CommonName: sharedName, Kind: cert.Application, SANs: sorted(shared)})
	}
	return asks
}

func withApplication(end wire.End) map[string]juju.Bag {
	bags := maps.Clone(end.Units)
	bags[""] = end.Bag
	return bags
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &value))
	}
	return value
}

func sorted(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// answered reports, by reading the databags as simply as can be, whether the recorded provider answers a want.
func answered(t *testing.T, relation wire.Relation, unit string, want dialect.Want) bool {
	t.Helper()
	if want.Request != "" {
		for _, entry := range decode[[]map[string]any](t, relation.Provider.Bag["certificates"]) {
			if entry["certificate_signing_request"] == want.Request && entry["revoked"] != true {
				return true
			}
		}
		return false
	}
	name := strings.ReplaceAll(unit, "/", "_")
	for _, bag := range relation.Provider.Units {
		if want.Kind == cert.Server && relation.Requirer.Units[unit]["common_name"] == want.CommonName {
			return bag[name+".server.cert"] != ""
		}
		key := map[cert.Kind]string{
			cert.Server: "processed_requests", cert.Client: "processed_client_requests",
			cert.Intermediate: "processed_intermediate_requests", cert.Application: "processed_application_requests",
		}[want.Kind]
		filed := want.CommonName
		if want.Kind == cert.Application {
			filed = "app_data"
		}
		if _, found := decode[map[string]any](t, bag[name+"."+key])[filed]; found {
			return true
		}
	}
	return false
}

// plainUnitBag is a provider's unit databag without Juju's own keys, with each PEM text reduced to its blocks.
func plainUnitBag(t *testing.T, bag juju.Bag) map[string]any {
	t.Helper()
	plain := map[string]any{}
	for key, value := range bag {
		switch {
		case slices.Contains([]string{"egress-subnets", "ingress-address", "private-address"}, key):
		case strings.HasPrefix(value, "{"):
			pairs := decode[map[string]map[string]string](t, value)
			for _, pair := range pairs {
				pair["cert"], pair["key"] = strings.Join(blocks(pair["cert"]), ""), strings.Join(blocks(pair["key"]), "")
			}
			plain[key] = pairs
		default:
			plain[key] = strings.Join(blocks(value), "")
		}
	}
	return plain
}

// plainEntries are the answers to requests that still stand, each without the order of its chain.
func plainEntries(t *testing.T, relation juju.Relation) []string {
	t.Helper()
	standing := map[string]bool{}
	for _, ask := range dialect.Read(relation).Asks {
		standing[ask.Request] = true
	}
	var list []string
	for _, entry := range decode[[]struct {
		CA, Certificate string
		CSR             string `json:"certificate_signing_request"`
		Chain           []string
	}](t, relation.OwnApp["certificates"]) {
		if standing[entry.CSR] {
			slices.Sort(entry.Chain)
			list = append(list, fmt.Sprint(entry))
		}
	}
	return list
}
