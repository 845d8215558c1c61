// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// Elsewhere is a CA whose key this program does not hold, and which draws its own serial numbers. Safe for concurrent use.
// Failures are *order.Failure, with codes of the CA's.
type Elsewhere interface {
	// Accepts says why this CA can make no certificate of a draft that another one could. It asks nobody.
	Accepts(Draft) error
	// Certify has one certificate made. The error wraps ErrUnanswered when it may have been made all the same.
	Certify(context.Context, Draft) (*x509.Certificate, error)
	// Find gives the certificate that was made of a draft whose answer was lost; nil when there is none.
	Find(context.Context, Draft) (*x509.Certificate, error)
	// Withdraw revokes a certificate that is not what was drafted.
	Withdraw(ctx context.Context, serial string) error
}

// Draft is a certificate to be made elsewhere.
type Draft struct {
	Request string            // PEM, of who asks, or made here for a key made here
	Wanted  *x509.Certificate // what it shall say, but for serial number, times and who signs it
	Issuer  *x509.Certificate
	Spec    cert.Spec

	linted bool // as it would be; else the certificate is, once it is made

	Since time.Time                // Find: nobody was asked before
	Known func(serial string) bool // Find: what is on record is another order's
}

// ErrUnanswered is wrapped when nobody knows whether a certificate was made.
var ErrUnanswered = errors.New("it is not known whether a certificate was made")

// SignElsewhere carries out a signing order at another CA. It keeps all that Carry promises: what was made before is found
// again, also where the answer was lost; what would be wrong is not asked for, and what comes back wrong is nobody's.
func (e *Embedded) SignElsewhere(ctx context.Context, o order.Sign, at Elsewhere) order.Answer {
	id := o.ID()
	leave, err := e.enter(ctx, id)
	if err != nil {
		return order.Answer{Order: id, State: order.Pending}
	}
	defer leave()
	answer, err := e.signElsewhere(ctx, id, o, at)
	if err != nil {
		if o.Signer.Hand == nil || !o.Signer.Hand.Trial {
			err = e.remember(id, o, err)
		}
		return order.Answer{Order: id, State: order.Failed, Failure: order.FailureOf(err)}
	}
	answer.Order, answer.State = id, order.Done
	return answer
}

// remember records that an order was refused for good.
func (e *Embedded) remember(id order.ID, o order.Sign, err error) error {
	if finalCode(err) == "" {
		return err
	}
	entries, unread := e.journal.Order(string(id))
	if unread != nil {
		return unread
	}
	if entry, news := e.refusedForGood(id, o, entries, err); news {
		if unwritten := e.journal.Append(entry); unwritten != nil {
			return unwritten // else who orders would count on it
		}
	}
	return err
}

func (e *Embedded) signElsewhere(ctx context.Context, id order.ID, o order.Sign, at Elsewhere) (order.Answer, error) {
	entries, err := e.journal.Order(string(id))
	if err != nil {
		return order.Answer{}, err
	}
	last := lastOf(entries)
	taken, err := e.takenBefore(o, last)
	if err != nil {
		return order.Answer{}, err
	}
	if answer, usable, err := e.signedBefore(id, o, entries, taken); usable || err != nil {
		return answer, err
	}
	key, work, err := e.errandElsewhere(id, o, taken)
	if err != nil {
		return order.Answer{}, err
	}
	draft, err := e.draftElsewhere(work, o, key)
	if err != nil {
		return order.Answer{}, refusal(work, err)
	}
	if err := at.Accepts(draft); err != nil {
		return order.Answer{}, refusal(work, err)
	}
	if work.byHand && o.Signer.Hand.Trial {
		return order.Answer{}, e.tryByHand(ctx, work, draft, at)
	}
	entry, err := e.obtain(ctx, work, draft, entries, at)
	if err != nil {
		return order.Answer{}, err
	}
	return answerOf(o, entry, key), nil
}

// takenBefore gives the key that an order took from the stock before; the zero Key where it took none, or that is gone.
func (e *Embedded) takenBefore(o order.Sign, last ledger.Entry) (cert.Key, error) {
	if !makesKey(o) || last.Detail == "" {
		return cert.Key{}, nil
	}
	keys, err := e.stock.find(last.Detail)
	return ofType(keys[last.Detail], o.KeyType), err
}

// ofType gives a key if it is one of this type; else the zero key. One that cannot be read is as good as gone.
func ofType(key cert.Key, keyType cert.KeyType) cert.Key {
	if key.IsZero() {
		return key
	}
	public, _, err := publicOf(key)
	if err != nil {
		return cert.Key{}
	}
	if made, err := cert.KeyTypeOf(public); err != nil || made != keyType {
		return cert.Key{}
	}
	return key
}

// makesKey reports whether an order wants a key made.
func makesKey(o order.Sign) bool { return o.Spec.Request == "" && o.Key.IsZero() }

// errandElsewhere is what a signing order comes to when another CA signs. The key to certify is made now unless it was taken
// before.
func (e *Embedded) errandElsewhere(id order.ID, o order.Sign, taken cert.Key) (cert.Key, issue, error) {
	issuer, err := cert.Parse(o.Signer.Certificate)
	if err != nil {
		return cert.Key{}, issue{}, order.Fail("bad-authority", "cannot sign with authority %d: %v", o.Signer.Generation, err)
	}
	if !issuer.IsCA {
		return cert.Key{}, issue{}, order.Fail("bad-authority", "cannot sign with authority %d: its certificate is not an authority's", o.Signer.Generation)
	}
	hash := ""
	if makesKey(o) {
		if taken.IsZero() {
			taken, hash, err = e.stock.take(o.KeyType)
		} else {
			hash, err = hashOf(taken)
		}
		if err != nil {
			return cert.Key{}, issue{}, err
		}
		o.Key = taken
	}
	key, public, err := subjectKey(o)
	if err != nil {
		return cert.Key{}, issue{}, err
	}
	work := issueOf(id, o, issuer, public)
	work.fresh = hash != ""
	work.elsewhere, work.taken, work.byHand = true, hash, o.Signer.Hand != nil
	return key, work, nil
}

// draftElsewhere says what the certificate shall be, and makes the request for it. What is wrong with the order is found
// before anybody is asked: what others wrote is linted in a certificate as this program would make it.
func (e *Embedded) draftElsewhere(work issue, o order.Sign, key cert.Key) (Draft, error) {
	template, err := draft(work, new(big.Int).Lsh(big.NewInt(1), 134))
	if err != nil {
		return Draft{}, err
	}
	made := Draft{Request: o.Spec.Request, Issuer: work.issuer, Spec: o.Spec, Known: e.onRecord}
	if made.Request != "" {
		made.linted = true
		made.Wanted, err = e.linter.lint(work, template)
		return made, err
	}
	private, err := cert.ParseKey(key)
	if err != nil {
		return Draft{}, err
	}
	der, err := x509.CreateCertificateRequest(e.random, &x509.CertificateRequest{
		RawSubject: template.RawSubject, DNSNames: template.DNSNames, IPAddresses: template.IPAddresses, ExtraExtensions: template.ExtraExtensions,
	}, private)
	if err != nil {
		return Draft{}, fmt.Errorf("cannot make the request: %w", err)
	}
	asked, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return Draft{}, fmt.Errorf("cannot read the request back: %w", err)
	}
	made.Request = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	wanted := *template
	wanted.RawSubject, wanted.Subject, wanted.Extensions, wanted.PublicKey = asked.RawSubject, asked.Subject, asked.Extensions, asked.PublicKey
	made.Wanted = &wanted
	if faults := nameFaults(o.Spec, &wanted); len(faults) > 0 {
		return Draft{}, order.Fail("lint", "the certificate would be wrong: %s", strings.Join(faults, "; "))
	}
	return made, nil
}

// obtain has the certificate made unless it was made before. The journal says before anybody is asked that somebody will be,
// and afterwards what came of it, so that of two certificates for one order the first is found.
func (e *Embedded) obtain(ctx context.Context, work issue, draft Draft, entries []ledger.Entry, at Elsewhere) (ledger.Entry, error) {
	last := lastOf(entries)
	entry := ledger.Entry{
		Order: string(work.order), Ask: work.ask, For: work.who, Generation: work.generation,
		Relation: work.asker.Relation, App: work.asker.App, Unit: work.asker.Unit, Rule: work.rule, Before: work.replaces,
		Subject: draft.Wanted.Subject.String(), Detail: work.taken,
	}
	note := func(event ledger.Event, reason, code string) error {
		noted := entry
		noted.Time, noted.Event, noted.Reason, noted.Code = e.now().UTC(), event, reason, code
		return e.journal.Append(noted)
	}
	// It would make the same again, and each time one more certificate would exist.
	if refused, until, stands := ledger.RefusedFor(entries); stands && e.now().Before(until) {
		return ledger.Entry{}, order.Fail(refused.Code, "%s", refused.Reason)
	}
	var made *x509.Certificate
	var err error
	if last.Event == ledger.Submitted {
		draft.Since = last.Time
		if made, err = at.Find(ctx, draft); err != nil {
			return ledger.Entry{}, refusal(work, err)
		}
	}
	if made == nil && (last.Event != ledger.Submitted || last.Detail != work.taken) { // whose key may be gone
		if err := note(ledger.Submitted, "", ""); err != nil {
			return ledger.Entry{}, err
		}
	}
	if made == nil {
		if made, err = at.Certify(ctx, draft); err != nil {
			err, unanswered := refusal(work, err), errors.Is(err, ErrUnanswered)
			if !unanswered {
				return ledger.Entry{}, errors.Join(err, note(ledger.Unsigned, err.Error(), ""))
			}
			return ledger.Entry{}, err
		}
	}
	entry.Serial = cert.SerialText(made.SerialNumber)
	entry.Certificate, entry.NotAfter = cert.Encode(made.Raw), made.NotAfter.UTC()
	if err := e.differs(work, draft, made); err != nil {
		err = refusal(work, err)
		return ledger.Entry{}, errors.Join(err, note(ledger.Refused, err.Error(), finalCode(err)), at.Withdraw(ctx, entry.Serial))
	}
	entry.Time, entry.Event = e.now().UTC(), ledger.Issued
	entry.Subject, entry.Names = made.Subject.String(), cert.NamesOf(made).List()
	return entry, e.journal.Append(entry)
}

func (e *Embedded) onRecord(serial string) bool {
	_, known, err := e.journal.Serial(serial)
	return known && err == nil
}

// lastOf is what was recorded last of an order, whose entries these are, by who carries it.
func lastOf(entries []ledger.Entry) ledger.Entry {
	for _, entry := range slices.Backward(entries) {
		if entry.Event != ledger.Ordered {
			return entry
		}
	}
	return ledger.Entry{}
}

// differs says where a certificate that was made elsewhere is not what was drafted, or is wrong in itself. How long it
// lives, within what was asked for, how keys are identified, and where to ask about its issuer are the other CA's business.
func (e *Embedded) differs(work issue, draft Draft, made *x509.Certificate) error {
	var faults []string
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	wanted := draft.Wanted
	expect(made.CheckSignatureFrom(draft.Issuer) == nil, "the authority did not sign it")
	expect(cert.IssuedBy(made, draft.Issuer), "it does not name the authority as its issuer")
	expect(cert.SameKey(made.PublicKey, wanted.PublicKey), "it is for another key")
	expect(cert.SameName(made.RawSubject, wanted.RawSubject), "the subject is %q, not %q", made.Subject, wanted.Subject)
	same := bytes.Equal(cert.Extension(made, oidSubjectAltName), cert.Extension(wanted, oidSubjectAltName))
	expect(same || work.byHand && sameNames(made, wanted), "the names are %q, not %q",
		cert.NamesOf(made).List(), cert.NamesOf(wanted).List())
	expect(made.SerialNumber.Sign() > 0 && made.SerialNumber.BitLen() > 64 && len(made.SerialNumber.Bytes()) <= 20,
		"the serial number is not positive, of more than 64 bits and at most 20 octets")
	expect(!made.NotAfter.After(draft.Issuer.NotAfter), "it outlives the authority")
	if work.byHand { // how long it lasts is the operator's business
		expect(e.now().Before(made.NotAfter), "it ended at %s", made.NotAfter)
	} else {
		expect(!made.NotAfter.After(wanted.NotAfter.Add(cert.ClockSlack)), "it ends at %s, not at %s", made.NotAfter, wanted.NotAfter)
	}
	expect(!made.NotBefore.After(e.now().Add(cert.ClockSlack)), "it begins at %s only", made.NotBefore)
	for _, extension := range made.Extensions {
		known := slices.ContainsFunc(elsewhereMay, extension.Id.Equal) || cert.Extension(wanted, extension.Id) != nil ||
			work.byHand && !extension.Critical && slices.ContainsFunc(byHandMay, extension.Id.Equal)
		expect(known, "it has the extension %s", extension.Id)
	}
	expect(len(cert.Extension(wanted, oidNoCheck)) == len(cert.Extension(made, oidNoCheck)), "it does not say that nobody asks whether it is revoked")
	faults = append(faults, usageFaults(work, made)...)
	// Where what was asked for was linted, what the other CA made of it is once for each way in which it does that.
	if shape := wayOf(made, draft.Wanted); len(faults) == 0 && !(draft.linted && e.linter.knows(shape)) {
		found, err := e.linter.zlint(made.Raw, true, work.fresh || e.linter.small.rulesOut(made.PublicKey))
		if err != nil {
			return err
		}
		if faults = found; len(faults) == 0 && draft.linted {
			e.linter.learn(shape)
		}
	}
	if len(faults) > 0 {
		return order.Fail("lint", "the certificate that was made is wrong: %s", strings.Join(faults, "; "))
	}
	return nil
}

// wayOf is what of a certificate its draft does not decide: which extensions it has and in which order, what is in those
// that the draft has not, by whom and how it is signed, and how long it lasts. Key identifiers and serial numbers count by
// their length.
func wayOf(made, wanted *x509.Certificate) string {
	hash := sha256.New()
	fmt.Fprintln(hash, made.Version, made.SignatureAlgorithm, len(made.SerialNumber.Bytes()), made.NotAfter.Sub(made.NotBefore),
		made.PublicKeyAlgorithm, len(made.RawSubject) > 2)
	hash.Write(made.RawIssuer)
	for _, extension := range made.Extensions {
		value := hex.EncodeToString(extension.Value)
		switch standing := cert.Extension(wanted, extension.Id); {
		case bytes.Equal(extension.Value, standing):
			value = ""
		case extension.Id.Equal(oidSubjectKeyID) || extension.Id.Equal(oidAuthorityKeyID):
			value = strconv.Itoa(len(extension.Value))
		}
		fmt.Fprintln(hash, extension.Id, extension.Critical, value)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNoCheck        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidSubjectKeyID   = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}

	// elsewhereMay are the extensions that another CA makes by itself: key identifiers, usages and basic constraints, which are
	// compared, the points of revocation lists and of its issuer.
	elsewhereMay = []asn1.ObjectIdentifier{
		oidSubjectKeyID, oidAuthorityKeyID, {2, 5, 29, 15}, {2, 5, 29, 37}, {2, 5, 29, 19}, {2, 5, 29, 31}, {1, 3, 6, 1, 5, 5, 7, 1, 1},
	}
)
