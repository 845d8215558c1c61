// SPDX-License-Identifier: AGPL-3.0-only

package dialect

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// Keys of the CSR dialect (protocol B.1): the requirer's in unit and application databags, the provider's in its
// application databag.
const (
	keyRequests     = "certificate_signing_requests"
	keyCertificates = "certificates"
	keyErrors       = "request_errors"
	keyCapabilities = "capabilities"
)

// Members of the dialect's objects (protocol B.2 to B.4).
const (
	memberRequest      = "certificate_signing_request"
	memberShortRequest = "csr" // what the library calls it in request_errors
	memberCA           = "ca"
	memberCertificate  = "certificate"
	memberChain        = "chain"
	memberRevoked      = "revoked"
	memberError        = "error"
)

// csr reads one databag of the remote side; the unit is empty for the application's.
func (r *reader) csr(unit string, bag juju.Bag) {
	text := bag[keyRequests]
	list := r.memory.items.Get(text, func() csrReading { return readItems(text) })
	if list.err != nil {
		r.deny(unit, refuse(keyRequests, list.err), "")
		return
	}
	for i, item := range list.items {
		r.request(unit, fmt.Sprintf("%s[%d]", keyRequests, i), item)
	}
	if list.excess > 0 {
		r.deny(unit, tooManyRequests(keyRequests, list.excess), "")
	}
}

// readItems takes a list of requests apart.
func readItems(text string) csrReading {
	items, err := documentList(text, maxValue)
	list := csrReading{excess: len(items) - maxRequests, err: err}
	for _, raw := range items[:min(len(items), maxRequests)] {
		text, ca, err := requestItem(raw)
		list.items = append(list.items, csrItem{text, ca, err})
	}
	return list
}

// request reads one item. A request that several units make is one ask, the first one's, since one entry answers them
// all.
func (r *reader) request(unit, item string, made csrItem) {
	text := made.text
	if made.err != nil {
		r.deny(unit, refuse(item, made.err), r.memory.echo(text))
		return
	}
	kind := cert.Server
	if made.ca {
		kind = cert.Intermediate
	}
	if known, found := r.requests[text]; found {
		r.repeat(unit, item, kind, &r.reading.Asks[known])
		return
	}
	read := r.memory.asks.Get(text, func() readAsk {
		ask, err := r.memory.requestAsk(text)
		return readAsk{ask, err}
	})
	if read.err != nil {
		r.deny(unit, refuse(item, read.err), r.memory.echo(text))
		return
	}
	ask := read.ask
	ask.Relation, ask.App, ask.Unit, ask.Kind = r.rel.ID, r.rel.RemoteApp, unit, kind
	r.requests[text] = len(r.reading.Asks)
	r.reading.Asks = append(r.reading.Asks, ask)
}

// repeat settles a request that was made before. If its makers do not agree on whether it is for a CA, it is what it was
// answered as, because a copy can be made of what is published; of one without an answer no CA is made.
func (r *reader) repeat(unit, item string, kind cert.Kind, ask *Ask) {
	if kind == ask.Kind {
		if len(ask.Makers) == 0 && unit != ask.Unit {
			ask.Makers = []string{ask.Unit}
		}
		if unit != ask.Unit && !slices.Contains(ask.Makers, unit) {
			ask.Makers = append(ask.Makers, unit)
		}
		return
	}
	right := cert.Server
	if r.answeredAsAuthority(ask.Request) {
		right = cert.Intermediate
	}
	losers := []string{unit}
	if kind == right {
		losers = append([]string{ask.Unit}, ask.Makers...)
		ask.Unit, ask.Kind, ask.Makers = unit, kind, nil
	}
	reason := "the same request is made for a certificate that is not a CA's"
	if right == cert.Intermediate {
		reason = "the same request is made for the certificate of a CA"
	}
	for _, loser := range slices.Compact(losers) { // who is the first of the makers is their ask's unit
		r.deny(loser, refusal{item, Malformed, reason}, "")
	}
}

// answeredAsAuthority reports whether the certificate that this side publishes for a request is a CA's.
func (r *reader) answeredAsAuthority(request string) bool {
	if r.authorities == nil { // read once, and only where somebody disagrees
		r.authorities = map[string]bool{}
		for _, entry := range r.memory.ownEntries(r.rel.OwnApp) {
			r.authorities[entry.request] = entry.leaf.IsCA
		}
	}
	return r.authorities[request]
}

// requestItem takes one item apart. The text is given, when there is one, even if the rest is no good.
func requestItem(raw json.RawMessage) (text string, ca bool, err error) {
	members, err := record(raw)
	if err != nil {
		return "", false, err
	}
	if text, err = str(members[memberRequest]); err != nil {
		return "", false, malformed("%s: %s", memberRequest, err)
	}
	if ca, err = boolean(members[memberCA]); err != nil { // v1 writes none, v4 may write null
		return text, false, malformed("%s: %s", memberCA, err)
	}
	return text, ca, nil
}

// requestAsk reads what a request asks for, apart from whether it is for a CA.
func (m *Memory) requestAsk(text string) (Ask, error) {
	request, err := m.ParseRequest(text)
	if err == nil {
		err = cert.CheckRequest(request)
	}
	if err != nil {
		return Ask{}, badRequest(err)
	}
	names, err := cert.RequestNames(request)
	if err != nil {
		return Ask{}, badName(err)
	}
	if names.Len() > maxNames {
		return Ask{}, &misfit{TooLarge, tooManyNames()}
	}
	commonName := request.Subject.CommonName
	if err := checkText(commonName); err != nil {
		return Ask{}, err
	}
	return Ask{Dialect: CSR, CommonName: commonName, Names: names, Request: text}, nil
}

func badRequest(err error) error {
	var wrong *cert.RequestError
	if !errors.As(err, &wrong) {
		return err
	}
	code := Malformed
	switch wrong.Fault {
	case cert.FaultTooLarge:
		code = TooLarge
	case cert.FaultSignature:
		code = BadSignature
	case cert.FaultWeakKey:
		code = WeakKey
	case cert.FaultMalformed:
	}
	return &misfit{code, "the request is no good: " + wrong.Reason}
}

// echo gives a request's text if it may be published, i.e. if other parsers can read it; else nothing.
func (m *Memory) echo(text string) string {
	if _, err := m.ParseRequest(text); err != nil {
		return ""
	}
	return text
}

// answer is one entry of a provider's list of certificates (protocol B.3).
type answer struct {
	request string
	leaf    *x509.Certificate
	ca      []*x509.Certificate // the issuing CA; some providers add others
	chain   []*x509.Certificate // in the order in which it stands there
	revoked bool
}

// parseAnswer reads one entry. All PEM in it must be readable: one bad text would make a v4 requirer fail.
func (m *Memory) parseAnswer(members map[string]json.RawMessage) (answer, error) {
	var a answer
	var err error
	if a.request, err = str(members[memberRequest]); err != nil {
		return answer{}, malformed("%s: %s", memberRequest, err)
	}
	text, err := str(members[memberCertificate])
	if err != nil {
		return answer{}, malformed("%s: %s", memberCertificate, err)
	}
	certificates, err := m.ParseCertificates(text)
	if err != nil {
		return answer{}, malformed("%s: %s", memberCertificate, err)
	}
	a.leaf, a.chain = certificates[0], certificates[1:]
	ca, err := str(members[memberCA])
	if err != nil {
		return answer{}, malformed("%s: %s", memberCA, err)
	}
	if a.ca, err = m.ParseCertificates(ca); err != nil {
		return answer{}, malformed("%s: %s", memberCA, err)
	}
	texts, err := strs(members[memberChain])
	if err != nil {
		return answer{}, malformed("%s: %s", memberChain, err)
	}
	for i, text := range texts {
		links, err := m.ParseCertificates(text)
		if err != nil {
			return answer{}, malformed("%s[%d]: %s", memberChain, i, err)
		}
		a.chain = append(a.chain, links...)
	}
	if a.revoked, err = boolean(members[memberRevoked]); err != nil {
		return answer{}, malformed("%s: %s", memberRevoked, err)
	}
	return a, nil
}

// fits reports whether the certificate has the public key of the request.
func (a answer) fits(request *x509.CertificateRequest) bool {
	return cert.SameKey(a.leaf.PublicKey, request.PublicKey)
}

// issued gives the entry as a certificate with its issuers in order, proved by signatures whatever order they came in.
func (a answer) issued() cert.Issued {
	issuers := cert.Issuers(a.leaf, slices.Concat(a.chain, a.ca))
	return cert.Issued{Certificate: cert.EncodeCertificates(a.leaf), Issuers: texts(issuers)}
}

// texts gives certificates as PEM texts, each one block with one trailing newline.
func texts(certificates []*x509.Certificate) []string {
	list := make([]string, len(certificates))
	for i, c := range certificates {
		list[i] = cert.EncodeCertificates(c)
	}
	return list
}
