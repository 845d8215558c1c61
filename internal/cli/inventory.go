// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/sandbox"
)

// holding is one certificate as its owner holds it.
type holding struct {
	owner   string // "etcd/0"
	kind    string // "server", "client", "shared client"
	leaf    string // PEM
	chain   string // PEM, what is sent after the leaf
	trust   string // PEM, what the owner verifies others against
	key     cert.Key
	request string   // PEM; instead of a key, when the owner keeps that
	names   []string // asked for
	usage   x509.ExtKeyUsage
	fault   error // why there is no certificate
}

// inventory collects what every consumer of a stage holds, as its charm would read it.
func (s *stage) inventory() []holding {
	var all []holding
	for _, app := range s.model().Applications() {
		for _, relation := range s.model().Relations(app) {
			if relation.Endpoint.Interface != tlsInterface || relation.Endpoint.Name != certificatesEndpoint || relation.Endpoint.Role != "requires" {
				continue
			}
			for _, unit := range s.model().Units(app) {
				all = append(all, s.holdingsOf(relation, unit)...)
			}
		}
	}
	return all
}

func (s *stage) holdingsOf(relation sandbox.RelationInfo, unit string) []holding {
	asked := s.model().UnitBag(relation.ID, unit)
	if asked["certificate_signing_requests"] != "" {
		return s.requestHoldings(relation, unit, asked["certificate_signing_requests"])
	}
	published, err := s.agreed(relation)
	if err != nil {
		return []holding{{owner: unit, kind: "server", fault: err}}
	}
	return legacyHoldings(unit, asked, published)
}

// agreed gives what the provider's units publish; consumers read an arbitrary one, so they must not differ.
func (s *stage) agreed(relation sandbox.RelationInfo) (map[string]string, error) {
	var first map[string]string
	for _, unit := range s.model().Units(relation.RemoteApp) {
		bag := s.model().UnitBag(relation.ID, unit)
		maps.DeleteFunc(bag, func(key, _ string) bool {
			return key == "egress-subnets" || key == "ingress-address" || key == "private-address"
		})
		if first == nil {
			first = bag
		} else if !maps.Equal(first, bag) {
			return nil, fmt.Errorf("%s publishes other values than its peers", unit)
		}
	}
	return first, nil
}

func legacyHoldings(unit string, asked, published map[string]string) []holding {
	common := holding{owner: unit, chain: published["chain"], trust: published["ca"]}
	pair := func(kind string, usage x509.ExtKeyUsage, leaf, key string, names []string) holding {
		h := common
		h.kind, h.usage, h.leaf, h.key, h.names = kind, usage, leaf, cert.NewKey(key), names
		if leaf == "" {
			h.fault = errors.New("no answer")
		}
		return h
	}
	name := munged(unit)
	var names []string
	_ = json.Unmarshal([]byte(asked["sans"]), &names)
	found := []holding{
		pair("server", x509.ExtKeyUsageServerAuth, published[name+".server.cert"], published[name+".server.key"], names),
		pair("shared client", x509.ExtKeyUsageClientAuth, published["client.cert"], published["client.key"], nil),
	}
	var clients map[string]any
	_ = json.Unmarshal([]byte(asked["client_cert_requests"]), &clients)
	var answers map[string]struct{ Cert, Key string }
	_ = json.Unmarshal([]byte(published[name+".processed_client_requests"]), &answers)
	for _, commonName := range slices.Sorted(maps.Keys(clients)) {
		answer := answers[commonName]
		found = append(found, pair("client", x509.ExtKeyUsageClientAuth, answer.Cert, answer.Key, nil))
	}
	return found
}

func (s *stage) requestHoldings(relation sandbox.RelationInfo, unit, requests string) []holding {
	var asked []struct {
		Request string `json:"certificate_signing_request"`
	}
	_ = json.Unmarshal([]byte(requests), &asked)
	var answers []struct {
		Request string   `json:"certificate_signing_request"`
		Leaf    string   `json:"certificate"`
		Chain   []string `json:"chain"`
	}
	_ = json.Unmarshal([]byte(s.model().AppBag(relation.ID, relation.RemoteApp)["certificates"]), &answers)
	var found []holding
	for _, ask := range asked {
		h := holding{owner: unit, kind: "server", usage: x509.ExtKeyUsageServerAuth, request: ask.Request, fault: errors.New("no answer")}
		for _, answer := range answers {
			if answer.Request == ask.Request && len(answer.Chain) > 1 {
				h.leaf, h.fault = answer.Leaf, nil
				h.chain = strings.Join(answer.Chain[1:len(answer.Chain)-1], "\n")
				h.trust = answer.Chain[len(answer.Chain)-1]
			}
		}
		if request, err := cert.ParseRequest(ask.Request); err == nil {
			h.names = request.DNSNames
			if server, client := cert.RequestedUsages(request); client && !server {
				h.kind, h.usage = "client", x509.ExtKeyUsageClientAuth
			}
		}
		found = append(found, h)
	}
	return found
}

// installed gives what a unit of signet has laid on disk as a consumer.
func installed(unit, dir string) []holding {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	var found []holding
	for kind, usage := range map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth} {
		h := holding{
			owner: unit, kind: kind + " on disk", usage: usage,
			leaf: read(kind + ".crt"), key: cert.NewKey(read(kind + ".key")), trust: read("ca.crt"),
		}
		h.chain = h.leaf
		if h.leaf == "" {
			h.fault = fmt.Errorf("no %s.crt in %s", kind, dir)
		}
		found = append(found, h)
	}
	slices.SortFunc(found, func(a, b holding) int { return strings.Compare(b.kind, a.kind) })
	return found
}

// verify judges a holding as its owner's peers would: the chain, the key, the names, the usage.
func (h holding) verify() (*x509.Certificate, error) {
	if h.fault != nil {
		return nil, h.fault
	}
	leaf, err := cert.Parse(h.leaf)
	if err != nil {
		return nil, err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(h.trust))
	intermediates.AppendCertsFromPEM([]byte(h.chain))
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{h.usage},
	}); err != nil {
		return leaf, err
	}
	if h.request != "" {
		request, err := cert.ParseRequest(h.request)
		if err != nil || !slices.Equal(request.RawSubjectPublicKeyInfo, leaf.RawSubjectPublicKeyInfo) {
			return leaf, errors.New("the public key is not the request's")
		}
	} else if !cert.KeyMatches(h.key, leaf) {
		return leaf, errors.New("the private key is another certificate's")
	}
	for _, name := range h.names {
		if err := leaf.VerifyHostname(name); err != nil {
			return leaf, fmt.Errorf("the name %s is missing", name)
		}
	}
	return leaf, nil
}

// printInventory writes the table of who holds what, and returns how many do not verify.
func printInventory(ctx context.Context, w io.Writer, holdings []holding, judges []judge) (faulty int, err error) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHO\tKIND\tSUBJECT AND NAMES\tEXPIRES\tVERIFIED")
	for _, h := range holdings {
		leaf, err := h.verify()
		verdict := "Go"
		for _, j := range judges {
			if err == nil {
				err = j.verify(ctx, h)
				verdict += ", " + j.name
			}
		}
		if err != nil {
			faulty++
			verdict = "NO: " + err.Error()
		}
		subject, expires := "-", "-"
		if leaf != nil {
			subject, expires = describeNames(leaf), leaf.NotAfter.Format("2006-01-02")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.owner, h.kind, subject, expires, verdict)
	}
	return faulty, table.Flush()
}

// describeNames shows the common name and, shortened, the other names.
func describeNames(leaf *x509.Certificate) string {
	names := slices.DeleteFunc(cert.NamesOf(leaf).List(), func(name string) bool { return name == leaf.Subject.CommonName })
	text := leaf.Subject.CommonName
	const shown = 2
	if len(names) > 0 {
		text += " + " + strings.Join(names[:min(shown, len(names))], ", ")
	}
	if len(names) > shown {
		text += fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return text
}
