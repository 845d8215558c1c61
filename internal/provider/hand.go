// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/order"
)

// An operator may sign, with a CA that nobody here reaches: then each order is pending until provide-certificate brings its
// certificate. The CA is learned from what is brought. Its slot says that it is an operator's.

// Keys of the peer application bag that hold what an operator shall sign, each followed by a relation's number: JSON of
// petitions by the ID of the pending order. Those with keys that were made here are sealed.
const (
	outstandingPrefix = "outstanding."
	heldPrefix        = SealedPrefix + outstandingPrefix
)

// pending is what is written down of a pending order, so that every later leader goes on with the same request.
type pending struct {
	Since   time.Time `json:"since"`
	Request string    `json:"request,omitempty"` // PEM, of a key made here; else the ask has it
	Key     string    `json:"key,omitempty"`     // PEM
}

// outstanding is a certificate that an operator has to have signed.
type outstanding struct {
	pending
	order  order.ID
	ask    dialect.Ask
	spec   cert.Spec
	leaf   *x509.Certificate // in service meanwhile; nil for none
	urgent bool
}

// byHand reports whether an operator signs for the CA in force.
func (s *step) byHand() bool { return s.record.Current.Hand }

// keyless reports whether the CA in force has no key here, in a secret or on a disk.
func (s *step) keyless() bool {
	return s.current.slot == nil || s.current.Vault != nil || s.current.Hand
}

// expectCA is the slot of a CA that an operator will bring the certificate of.
func (s *step) expectCA(generation int) slot {
	return slot{Generation: generation, Hand: true, Made: s.options()}
}

// certify has a certificate made: by the CA, or by an operator, whom all wait for until it is brought.
func (s *step) certify(ask dialect.Ask, wanted order.Sign, current cert.Issued) (order.Answer, bool) {
	if !s.byHand() {
		answer, done := s.obtain(wanted)
		if done {
			delete(s.wishes, wanted.Replaces)
		}
		return answer, done
	}
	one, answer := s.pend(ask, wanted)
	if one == nil {
		return answer, false
	}
	if leaf, err := cert.Parse(current.Certificate); err == nil {
		one.leaf, one.urgent = leaf, s.urgent(leaf)
		if !one.urgent {
			s.wake(urgentAt(leaf))
		}
	}
	if brought, done := s.brought(*one, wanted); done {
		delete(s.wishes, wanted.Replaces)
		return brought, true
	}
	s.outstanding = append(s.outstanding, *one)
	return answer, false
}

// pend gives what an operator shall sign for an order: what is written down of it, else what is made now. The answer
// says how far that has come.
func (s *step) pend(ask dialect.Ask, wanted order.Sign) (*outstanding, order.Answer) {
	asked := wanted // without what depends on the CA, so that the request stays the same when that becomes known
	asked.Signer, asked.NotBefore, asked.Spec.Life, asked.Spec.Points = order.Signer{Hand: &order.Hand{}}, time.Time{}, 0, cert.Points{}
	one := &outstanding{order: asked.ID(), ask: ask, spec: wanted.Spec}
	prefix := outstandingPrefix
	if ask.Request == "" {
		prefix = heldPrefix
	}
	var known bool
	if one.pending, known = s.pendings(prefix, ask.Relation)[one.order]; known {
		if one.Request == "" {
			one.Request = ask.Request
		}
		return one, order.Answer{}
	}
	if prefix == heldPrefix && !s.sealed {
		return nil, order.Answer{Order: one.order, State: order.Failed, Failure: &order.Failure{
			Code: "no-secrets", Message: "a key that waits for its certificate can be kept nowhere: the model has no secrets, or they cannot be read",
		}}
	}
	answer, _ := s.obtain(asked)
	switch {
	case answer.State == "":
		s.decision.Entries = append(s.decision.Entries, s.ordered(ask, asked))
		return nil, answer
	case answer.Failure != nil:
		return nil, answer
	}
	one.pending = pending{Since: s.now.UTC().Truncate(time.Second), Request: answer.Request, Key: answer.Key.Reveal()}
	return one, answer
}

// pendings are those that are written down for a relation.
func (s *step) pendings(prefix string, relation int) map[order.ID]pending {
	key := fmt.Sprintf("%s%d", prefix, relation)
	if known, read := s.standing[key]; read {
		return known
	}
	known := map[order.ID]pending{}
	_ = json.Unmarshal([]byte(s.peers.OwnApp[key]), &known) // unreadable: they are made anew
	if s.standing == nil {
		s.standing = map[string]map[order.ID]pending{}
	}
	s.standing[key] = known
	return known
}

// savePending writes down what an operator shall sign. Keys under a seal that cannot be read now stay where they are; what is of
// relations that are not shown goes with the shelf.
func (s *step) savePending() {
	for _, relation := range s.snap.On(juju.Provides, dialect.Interface) {
		for _, prefix := range []string{outstandingPrefix, heldPrefix} {
			if relation.Broken || prefix == heldPrefix && !s.sealed {
				continue
			}
			key, text := fmt.Sprintf("%s%d", prefix, relation.ID), ""
			if waiting := s.waitingOf(relation, prefix); len(waiting) > 0 {
				if encoded, err := json.Marshal(waiting); err == nil {
					text = string(encoded)
				}
			}
			if s.peers.OwnApp[key] == text {
				continue
			}
			if bag := s.peerBag(); text != "" {
				bag[key] = text
			} else {
				delete(bag, key)
			}
		}
	}
}

// waitingOf is what of a relation waits for an operator, by the ID of its order.
func (s *step) waitingOf(relation juju.Relation, prefix string) map[order.ID]pending {
	waiting := map[order.ID]pending{}
	if relation.Partial { // who is not shown still asks
		waiting = maps.Clone(s.pendings(prefix, relation.ID))
	}
	for _, one := range s.outstanding {
		if one.ask.Relation != relation.ID || (one.ask.Request == "") != (prefix == heldPrefix) {
			continue
		}
		if one.pending.Request == one.ask.Request {
			one.pending.Request = ""
		}
		waiting[one.order] = one.pending
	}
	return waiting
}

// reportOutstanding says what waits for an operator, and what to do about it.
func (s *step) reportOutstanding() {
	var first, urgent int
	var ends time.Time
	for _, one := range s.outstanding {
		switch {
		case one.leaf == nil:
			first++
			continue
		case one.urgent:
			urgent++
		}
		ends = juju.Earliest(ends, one.leaf.NotAfter)
	}
	renewals := len(s.outstanding) - first
	const how = "run get-outstanding-certificate-requests, have them signed, run provide-certificate"
	switch {
	case first > 0:
		s.report(juju.Blocked, "%s for an operator to sign: %s", counted(first, "request waits", "requests wait"), how)
	case s.current.slot == nil:
		s.report(juju.Active, "no outstanding requests; an operator signs")
	}
	if renewals == 0 {
		return
	}
	level := juju.Active
	if urgent > 0 {
		level = juju.Blocked
	}
	s.report(level, "%s for an operator to sign, the first certificate ends on %s: %s",
		counted(renewals, "renewal waits", "renewals wait"), ends.UTC().Format(time.DateOnly), how)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// learn takes up a CA that an operator signs with, out of all certificates that came with it. What nothing was issued by
// makes room at once; else the CA is to be trusted first, unless it has the root of the one in force.
func (s *step) learn(issuer *x509.Certificate, pool []*x509.Certificate) error {
	above := s.linked(issuer, encodeAll(pool))
	if err := cert.CheckAuthority(issuer, above, issuer.PublicKey, s.now); err != nil {
		return err
	}
	text := cert.EncodeCertificates(issuer)
	learned := s.expectCA(s.generation())
	learned.Certificate, learned.Issuers = text, encodeAll(above)
	defer s.parseRecord()
	for _, one := range s.record.slots() {
		standing, err := cert.Parse(one.Certificate)
		switch {
		case err != nil:
		case standing.Equal(issuer):
			if len(learned.Issuers) > len(one.Issuers) { // the root may become known later
				one.Issuers = learned.Issuers
			}
			return nil
		case one.Hand && cert.SameKey(standing.PublicKey, issuer.PublicKey) && cert.SameName(standing.RawSubject, issuer.RawSubject) &&
			issuer.NotAfter.After(standing.NotAfter): // it was renewed, its key kept
			one.Certificate, one.Issuers = text, learned.Issuers
			return nil
		}
	}
	switch {
	case s.record.Current.Generation == 0 || s.byHand() && s.record.Current.Certificate == "":
		learned.Generation = max(s.record.Current.Generation, firstGeneration)
		s.record.Current = learned
	case s.byHand() && s.unissued():
		s.record = record{Current: learned}
	case s.record.Next != nil:
		return fmt.Errorf("a rollover to CA %d is under way: let it end, or run rotate-ca step=abort", s.record.Next.Generation)
	default:
		s.record.Next, s.record.Last, s.record.Since = &learned, learned.Generation, time.Time{}
	}
	return nil
}

// unissued reports whether an operator's CA has issued nothing yet, though some may have been told to trust it.
func (s *step) unissued() bool { return !s.record.Used && len(s.published(anything)) == 0 }

// strange says why a certificate cannot be of the CA in force; empty when it is.
func (s *step) strange(leaf *x509.Certificate) string {
	by, _, ours := s.issuerOf(leaf)
	switch {
	case s.current.slot == nil:
		return "it is not known who signed it: give its CA as ca-certificate, and those above as ca-chain"
	case ours && by.Generation == s.current.Generation:
		return ""
	case ours:
		return fmt.Sprintf("CA %d signed it, which CA %d took the place of: have it signed by that one", by.Generation, s.current.Generation)
	case s.next.slot != nil && cert.IssuedBy(leaf, s.next.certificate):
		return fmt.Sprintf("CA %d signed it, which is only being made known: %s; provide it again then, or run rotate-ca step=advance",
			s.next.Generation, s.rolloverNote())
	}
	return fmt.Sprintf("%q signed it, not the CA in force, %q: to change over, first provide that CA alone, as ca-certificate, so that all come to trust it",
		leaf.Issuer, s.current.certificate.Subject)
}

// usages are what a certificate shall be good for, in the words of OpenSSL.
func usages(spec cert.Spec) []string {
	if spec.Kind == cert.Intermediate {
		return []string{"keyCertSign", "cRLSign"}
	}
	var list []string
	if spec.ServerAuth {
		list = append(list, "serverAuth")
	}
	if spec.ClientAuth || spec.Kind == cert.Client {
		list = append(list, "clientAuth")
	}
	return list
}

// extensions says what a certificate shall have, besides its names, as OpenSSL reads it from a file.
func extensions(one outstanding) string {
	good := strings.Join(usages(one.spec), ",")
	if one.spec.Kind == cert.Intermediate {
		return fmt.Sprintf("basicConstraints=critical,CA:TRUE,pathlen:%d\nkeyUsage=critical,%s", one.spec.PathLen, good)
	}
	key := "digitalSignature"
	if request, err := cert.ParseRequest(one.Request); err == nil && request.PublicKeyAlgorithm == x509.RSA && one.spec.ServerAuth {
		key += ",keyEncipherment"
	}
	return fmt.Sprintf("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,%s\nextendedKeyUsage=%s", key, good)
}
