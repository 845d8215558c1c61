// SPDX-License-Identifier: AGPL-3.0-only

package httpd

import (
	"crypto"
	"crypto/fips140"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-charm/signet/internal/cert"
)

const (
	maxRequest    = 4 << 10   // bytes of an OCSP request; one with a nonce has about 120
	maxSerialBits = 20 * 8    // RFC 5280, 4.1.2.2
	maxResponses  = 4096      // remembered, of 0.3 to 3 KiB each
	responseLife  = time.Hour // from thisUpdate to nextUpdate at most
	mimeOCSP      = "application/ocsp-response"
)

// postOCSP answers the form that most clients use. It is not for caches (RFC 5019, 5).
func (s *Server) postOCSP(w http.ResponseWriter, r *http.Request, shown *content) {
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "cannot read the OCSP request", status)
		return
	}
	response, _ := s.respond(shown, request)
	w.Header().Set("Content-Type", mimeOCSP)
	_, _ = w.Write(response.der)
}

// getOCSP answers the form that caches like. Its path is already unescaped: "/" and "+" stand in it either way.
func (s *Server) getOCSP(w http.ResponseWriter, r *http.Request, shown *content, text string) {
	if len(text) > maxRequest {
		http.Error(w, "the OCSP request is too long", http.StatusRequestURITooLong)
		return
	}
	// A request begins with "M", so that slashes before it come from joining URLs; and some leave out the padding.
	request, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimLeft(text, "/"), "="))
	if err != nil {
		request = nil // which is malformed as well
	}
	response, signed := s.respond(shown, request)
	if signed {
		send(w, r, newFile(mimeOCSP, response.der, response.this, response.next), s.now())
		return
	}
	w.Header().Set("Content-Type", mimeOCSP)
	_, _ = w.Write(response.der)
}

// response is an OCSP response. One that only says why there is none has no times.
type response struct {
	der        []byte
	this, next time.Time
}

// respond answers a request, or says in OCSP's words why it cannot (RFC 6960, 2.3; RFC 5019, 2.2.3). Of several
// certificates in one request the first is answered for, and a nonce is not repeated, as RFC 5019 (2.1.1 and 4) foresees
// for responders whose responses serve many: package ocsp reads and writes neither.
func (s *Server) respond(shown *content, request []byte) (answer response, signed bool) {
	asked, err := ocsp.ParseRequest(request)
	if err != nil {
		return response{der: ocsp.MalformedRequestErrorResponse}, false
	}
	now := s.now()
	issuer := shown.issuers[issuerOf(asked)]
	switch {
	case issuer == nil || issuer.signer == nil || asked.SerialNumber.BitLen() > maxSerialBits:
		return response{der: ocsp.UnauthorizedErrorResponse}, false
	case !issuer.ready(now):
		return response{der: ocsp.TryLaterErrorResponse}, false
	}
	// All responses of a minute are the same, and a client whose clock is a little late does not find them too early.
	minute := now.Truncate(time.Minute)
	key := responseKey{issuer, asked.HashAlgorithm, cert.SerialText(asked.SerialNumber), minute.Unix()}
	answer, err = shown.responses.get(key, func() (response, error) { return issuer.sign(asked, minute) })
	if err != nil {
		issuer.signer.complain.Do(func() {
			s.log.Error("cannot sign OCSP responses for a CA", "generation", issuer.generation, "error", err)
		})
		return response{der: ocsp.InternalErrorErrorResponse}, false
	}
	return answer, true
}

// ready reports whether the record of what is revoked and the signer's certificate hold now. An old record must not
// answer: it says "good" of what was revoked since.
func (a *authority) ready(now time.Time) bool {
	return a.list != nil && now.Before(a.list.next) &&
		!now.Before(a.signer.certificate.NotBefore) && now.Before(a.signer.certificate.NotAfter)
}

// sign makes a response. Good means no more than "not revoked" (RFC 6960, 2.2): the list does not tell whether a
// certificate with such a number exists.
func (a *authority) sign(asked *ocsp.Request, this time.Time) (response, error) {
	next := this.Add(responseLife)
	for _, end := range []time.Time{a.list.next, a.signer.certificate.NotAfter} {
		if end.Before(next) {
			next = end
		}
	}
	template := ocsp.Response{
		Status: ocsp.Good, SerialNumber: asked.SerialNumber, IssuerHash: asked.HashAlgorithm,
		ThisUpdate: this, NextUpdate: next,
	}
	if revoked, found := a.list.revoked[cert.SerialText(asked.SerialNumber)]; found {
		template.Status, template.RevokedAt, template.RevocationReason = ocsp.Revoked, revoked.time, revoked.reason
	}
	if a.signer.delegated {
		template.Certificate = a.signer.certificate
	}
	var der []byte
	var err error
	// The issuer is named by a hash of the client's choice, SHA-1 for most (RFC 6960, 4.1.1; RFC 5019, 2.1.1): a name, which
	// protects nothing. The signature takes SHA-256 or better (package ocsp, by the key).
	fips140.WithoutEnforcement(func() {
		der, err = ocsp.CreateResponse(a.certificate, a.signer.certificate, template, a.signer.key)
	})
	return response{der, this, next}, err
}

// responses remembers what was signed, so that a flood of requests does not become one of signatures. It goes with its
// content, so that a new View forgets everything.
type responses struct {
	signing sync.Mutex // one signature at a time: strangers keep at most one processor busy
	mu      sync.Mutex // guards what follows
	known   map[responseKey]response
}

type responseKey struct {
	issuer *authority
	hash   crypto.Hash
	serial string
	minute int64
}

// get gives what is known, or makes it.
func (r *responses) get(key responseKey, sign func() (response, error)) (response, error) {
	if known, found := r.find(key); found {
		return known, nil
	}
	r.signing.Lock()
	defer r.signing.Unlock()
	if known, found := r.find(key); found { // somebody made it while this one waited
		return known, nil
	}
	made, err := sign()
	if err != nil {
		return response{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxResponses || r.known == nil {
		r.known = map[responseKey]response{}
	}
	r.known[key] = made
	return made, nil
}

func (r *responses) find(key responseKey) (response, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, found := r.known[key]
	return known, found
}
