// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Offers gives what the remote provider answers to this unit's wants: CSR offers first, then legacy ones, each in the
// order of the wants. An answer that cannot be used (unreadable, for another key, a CA certificate where none is
// wanted or the reverse, signed by nobody who came along) is a Denial instead, and so is each error that the provider
// publishes for a request of ours. Whether names and validity are what is wanted is for the caller to see.
func Offers(rel juju.Relation, unit string, wants []Want) ([]Offer, []Denial) {
	reader := offerReader{rel: rel, wants: wants}
	reader.readCSR()
	reader.readLegacy(Munge(unit))
	return reader.offers, reader.denials
}

type offerReader struct {
	rel     juju.Relation
	wants   []Want
	offers  []Offer
	denials []Denial
}

func (r *offerReader) deny(unit string, why refusal, request string) {
	r.denials = append(r.denials, Denial{
		Relation: r.rel.ID, Unit: unit, Item: why.item, Request: request, Code: why.code, Reason: why.reason,
	})
}

// items reads a list in the remote application databag.
func (r *offerReader) items(key string) []json.RawMessage {
	if r.rel.RemoteApplication[key] == "" {
		return nil
	}
	items, err := documentList(r.rel.RemoteApplication[key], maxAnswers)
	if err != nil {
		r.deny("", refuse(key, err), "")
		return nil
	}
	return items
}

// wantedRequest is a want of the CSR dialect.
type wantedRequest struct {
	want   int
	parsed *x509.CertificateRequest
	done   bool
}

// requestWants finds a want by the text of its request, or by the request itself where a provider wrote the text anew.
type requestWants struct {
	byText map[string]*wantedRequest
	byDER  map[string]*wantedRequest
	order  []*wantedRequest
}

func newRequestWants(wants []Want) requestWants {
	found := requestWants{byText: map[string]*wantedRequest{}, byDER: map[string]*wantedRequest{}}
	for i, want := range wants {
		parsed, err := cert.ParseRequest(want.Request)
		if err != nil {
			continue
		}
		wanted := &wantedRequest{want: i, parsed: parsed}
		found.byText[strings.TrimSpace(want.Request)] = wanted
		found.byDER[string(parsed.Raw)] = wanted
		found.order = append(found.order, wanted)
	}
	return found
}

func (w requestWants) find(text string) (*wantedRequest, bool) {
	if wanted, found := w.byText[strings.TrimSpace(text)]; found {
		return wanted, true
	}
	parsed, err := cert.ParseRequest(text)
	if err != nil {
		return nil, false
	}
	wanted, found := w.byDER[string(parsed.Raw)]
	return wanted, found
}

func (r *offerReader) readCSR() {
	wanted := newRequestWants(r.wants)
	if len(wanted.order) == 0 {
		return
	}
	byWant := map[int]Offer{}
	for i, item := range r.items(keyCertificates) {
		text, members, ok := peekRequest(item, memberRequest)
		if !ok {
			continue // whose it is cannot be told
		}
		want, ours := wanted.find(text)
		if !ours || want.done {
			continue
		}
		offer, err := r.csrOffer(want, members)
		if err != nil {
			r.deny("", refuse(fmt.Sprintf("%s[%d]", keyCertificates, i), err), r.wants[want.want].Request)
			continue
		}
		want.done = true
		byWant[want.want] = offer
	}
	for i := range r.wants {
		if offer, found := byWant[i]; found {
			r.offers = append(r.offers, offer)
		}
	}
	r.readErrors(wanted)
}

// peekRequest gives the request that an item is about, by the first of the members that holds one.
func peekRequest(item json.RawMessage, names ...string) (string, map[string]json.RawMessage, bool) {
	members, err := record(item)
	if err != nil {
		return "", nil, false
	}
	for _, name := range names {
		if text, err := str(members[name]); err == nil {
			return text, members, true
		}
	}
	return "", nil, false
}

func (r *offerReader) csrOffer(wanted *wantedRequest, members map[string]json.RawMessage) (Offer, error) {
	entry, err := new(Memory).parseAnswer(members)
	if err != nil {
		return Offer{}, err
	}
	if !entry.fits(wanted.parsed) {
		return Offer{}, malformed("the certificate is not for the request's key")
	}
	if err := checkCA(entry.leaf, r.wants[wanted.want].Kind); err != nil {
		return Offer{}, err
	}
	issued := entry.issued()
	if len(issued.Issuers) == 0 {
		return Offer{}, unlinked()
	}
	return Offer{
		Want: wanted.want, Dialect: CSR, Issued: issued, Revoked: entry.revoked,
		Trust: issued.Issuers[len(issued.Issuers)-1:],
	}, nil
}

// checkCA refuses a CA certificate where none is wanted, which would let its holder make others, and the reverse.
func checkCA(leaf *x509.Certificate, kind cert.Kind) error {
	isCA := leaf.BasicConstraintsValid && leaf.IsCA
	switch {
	case isCA && kind != cert.Intermediate:
		return malformed("the certificate is a CA's, which was not asked for")
	case !isCA && kind == cert.Intermediate:
		return malformed("the certificate is not a CA's, which was asked for")
	}
	return nil
}

func unlinked() error {
	return malformed("the certificate is not signed by any CA certificate that came with it")
}

// readErrors gives the errors that the provider publishes for requests of ours.
func (r *offerReader) readErrors(wanted requestWants) {
	for i, item := range r.items(keyErrors) {
		text, members, ok := peekRequest(item, memberShortRequest, memberRequest)
		if !ok {
			continue
		}
		want, ours := wanted.find(text)
		if !ours {
			continue
		}
		var detail errorDetail
		if json.Unmarshal(members[memberError], &detail) != nil {
			detail = errorDetail{Message: "the provider refused the request without a readable reason"}
		}
		r.deny("", refusal{
			fmt.Sprintf("%s[%d]", keyErrors, i), codeOf(detail.Code, detail.Reason), "the provider says: " + foreignText(detail.Message),
		}, r.wants[want.want].Request)
	}
}

// foreignText is text of a provider, bounded and without line breaks, for a status.
func foreignText(text string) string {
	quoted := quote(text)
	return strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`)
}

// readLegacy gives the answers filed under this unit's munged name. Providers with several units publish the same in
// each; where they do not, the first unit by name that has a usable answer wins, with its own CA certificates.
func (r *offerReader) readLegacy(name string) {
	var units []providerUnit
	for _, unit := range r.rel.UnitNames() {
		if answersLegacy(r.rel.RemoteUnits[unit]) {
			units = append(units, newProviderUnit(unit, r.rel.RemoteUnits[unit]))
		}
	}
	for i, want := range r.wants {
		if want.CommonName == "" && want.Kind != cert.Application {
			continue
		}
		var refused []Denial
		for u := range units {
			offer, found, why := units[u].offer(name, want, r.topLevel(want), units)
			if why != nil {
				refused = append(refused, Denial{
					Relation: r.rel.ID, Unit: units[u].unit, Item: why.item, Code: why.code, Reason: why.reason,
				})
			}
			if found {
				offer.Want = i
				r.offers = append(r.offers, offer)
				refused = nil
				break
			}
		}
		r.denials = append(r.denials, refused...)
	}
}

// topLevel reports whether a want is, or is about to be, this unit's top-level request.
func (r *offerReader) topLevel(want Want) bool {
	return want.Kind == cert.Server && r.rel.OwnUnit[keyCommonName] == want.CommonName
}

// providerUnit is one remote unit that answers in the legacy dialect.
type providerUnit struct {
	unit  string
	bag   juju.Bag
	trust []*x509.Certificate
	pool  []*x509.Certificate
}

func newProviderUnit(unit string, bag juju.Bag) providerUnit {
	p := providerUnit{unit: unit, bag: bag}
	p.trust, _ = cert.ParseCertificates(bag[keyCA])
	chain, _ := cert.ParseCertificates(bag[keyChain])
	p.pool = append(append(p.pool, chain...), p.trust...)
	return p
}

// offer gives the unit's answer to a want, if it has one, and why it cannot be used, if so.
func (p providerUnit) offer(name string, want Want, topLevel bool, all []providerUnit) (Offer, bool, *refusal) {
	var why *refusal
	for _, candidate := range p.candidates(name, want, topLevel) {
		leaf, rest, err := candidate.check(want)
		if err == nil {
			trust, pool := p.authorities(all)
			issuers := cert.Issuers(leaf, append(rest, pool...))
			if len(issuers) > 0 {
				return Offer{
					Dialect: Legacy, Trust: texts(trust), Issued: cert.Issued{
						Certificate: cert.EncodeCertificates(leaf), Issuers: texts(issuers), Key: cert.NewKey(plainKey(candidate.Key)),
					},
				}, true, nil
			}
			err = unlinked()
		}
		if candidate.optional {
			continue
		}
		found := refuse(candidate.item, err)
		why = &found
	}
	return Offer{}, false, why
}

// authorities are the CA certificates to trust and those that may have issued: the unit's own, else the first that has
// any, as readers merge the databags of all units.
func (p providerUnit) authorities(all []providerUnit) (trust, pool []*x509.Certificate) {
	trust, pool = p.trust, p.pool
	for _, other := range all {
		if len(trust) > 0 {
			break
		}
		trust, pool = other.trust, append(pool, other.pool...)
	}
	return trust, pool
}

// candidate is a place where an answer may stand. At the top level another request's answer may stand instead, so that
// one that does not fit is no fault.
type candidate struct {
	pair
	item     string
	optional bool
}

func (p providerUnit) candidates(name string, want Want, topLevel bool) []candidate {
	var found []candidate
	key := name + "." + answerSuffix(want.Kind)
	pairs := decodePairs(p.bag[key])
	byName := want.CommonName
	if want.Kind == cert.Application {
		byName = appData
	} else if _, has := pairs[byName]; !has && want.Kind == cert.Intermediate {
		byName = appData // where reactive requirers look for it (protocol A.3)
	}
	if filed, has := pairs[byName]; has {
		found = append(found, candidate{pair: filed, item: named(key, byName)})
	}
	if certificate := p.bag[name+"."+suffixServerCert]; want.Kind == cert.Server && certificate != "" {
		top := candidate{pair{certificate, p.bag[name+"."+suffixServerKey]}, name + "." + suffixServerCert, true}
		if topLevel {
			return append([]candidate{top}, found...)
		}
		found = append(found, top)
	}
	return found
}

// check gives the certificate when it can be used, and what follows it in the same text.
func (c candidate) check(want Want) (leaf *x509.Certificate, rest []*x509.Certificate, err error) {
	certificates, err := cert.ParseCertificates(c.Cert)
	if err != nil {
		return nil, nil, malformed("%s", err)
	}
	leaf = certificates[0]
	if c.optional && !speaksFor(leaf, want.CommonName) {
		return nil, nil, malformed("it answers another request")
	}
	if !cert.KeyMatches(cert.NewKey(plainKey(c.Key)), leaf) {
		return nil, nil, malformed("the private key is not the certificate's")
	}
	return leaf, certificates[1:], checkCA(leaf, want.Kind)
}
