// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// StandIn answers the orders of an authority for a rehearsal: with certificates that say what real ones would, and that
// nobody could use. What it signs it signs with throw-away keys in the CA's place, whatever key an order brings; nothing is
// recorded, kept or asked of anybody. Safe for concurrent use.
type StandIn struct {
	linter *linter

	mu     sync.Mutex
	serial int64
	keys   map[cert.KeyType]cert.Key // of subjects
}

// NewStandIn makes one.
func NewStandIn() *StandIn {
	return &StandIn{linter: newLinter(rand.Reader), keys: map[cert.KeyType]cert.Key{}}
}

// Carry answers an order as it would be answered at a time.
func (s *StandIn) Carry(now time.Time, wanted order.Order) order.Answer {
	answer := order.Answer{Order: wanted.ID(), State: order.Done}
	var err error
	switch o := wanted.(type) {
	case order.Sign:
		err = s.sign(&answer, o)
	case order.CreateAuthority:
		err = s.create(&answer, o)
	case order.CrossSign:
		err = s.cross(&answer, o)
	case order.SignCRL:
		err = s.list(&answer, o)
	case order.MakeSecret:
		answer.Key = cert.NewKey("cmVoZWFyc2FsIHJlaGVhcnNhbCByZWhlYXJzYWwgcmU=") // 32 bytes that seal nothing
	case order.SignRecord, order.KeepKey:
	default:
		err = order.Fail("not-carried", "a rehearsal does not ask anybody else (%T)", o)
	}
	if err != nil {
		return order.Answer{Order: wanted.ID(), State: order.Failed, Failure: order.FailureOf(err), Again: now.Add(time.Hour)}
	}
	return answer
}

// number draws a serial number that nobody has.
func (s *StandIn) number() *big.Int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 134), big.NewInt(s.serial))
}

// key gives the throw-away key of all subjects of a type.
func (s *StandIn) key(keyType cert.KeyType) (cert.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, made := s.keys[keyType]; made {
		return key, nil
	}
	private, err := keyType.Generate(rand.Reader)
	if err != nil {
		return cert.Key{}, err
	}
	key, err := cert.EncodeKey(private)
	if err == nil {
		s.keys[keyType] = key
	}
	return key, err
}

// put signs a template with a throw-away key in its issuer's place.
func (s *StandIn) put(answer *order.Answer, template, issuer *x509.Certificate, above []string) error {
	key, err := s.linter.throwAway(issuer.PublicKey)
	if err != nil {
		return err
	}
	standIn := *issuer
	standIn.PublicKey = key.Public()
	der, err := x509.CreateCertificate(rand.Reader, template, &standIn, template.PublicKey, key)
	if err != nil {
		return err
	}
	answer.Issued.Certificate, answer.Issued.Issuers = cert.Encode(der), above
	answer.Serial = cert.SerialText(template.SerialNumber)
	return nil
}

func (s *StandIn) sign(answer *order.Answer, o order.Sign) error {
	issuer, err := cert.Parse(o.Signer.Certificate)
	if err != nil {
		return err
	}
	var public crypto.PublicKey
	if o.Spec.Request == "" {
		key := o.Key
		if key.IsZero() {
			if key, err = s.key(o.KeyType); err != nil {
				return err
			}
		}
		private, err := cert.ParseKey(key)
		if err != nil {
			return err
		}
		answer.Issued.Key, public = key, private.Public()
	}
	template, err := cert.Template(o.Spec, issuer, public, s.number(), o.NotBefore)
	if err != nil {
		return order.Fail("bad-order", "%v", err)
	}
	return s.put(answer, template, issuer, o.Signer.Chain())
}

// create makes a root that verifies with its own key, as who reads it checks.
func (s *StandIn) create(answer *order.Answer, o order.CreateAuthority) error {
	if o.Vault != nil {
		return order.Fail("not-carried", "a rehearsal does not ask Vault")
	}
	private, err := o.KeyType.Generate(rand.Reader)
	if err != nil {
		return err
	}
	template, err := cert.RootTemplate(cert.Spec{
		CommonName: o.CommonName, Organizations: o.Organizations, PathLen: rootPathLen, Life: o.Life,
	}, private.Public(), s.number(), o.NotBefore)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return err
	}
	answer.Authority = cert.Authority{Generation: o.Generation, Certificate: cert.Encode(der)}
	answer.Serial = cert.SerialText(template.SerialNumber)
	answer.Key, err = cert.EncodeKey(private)
	return err
}

func (s *StandIn) cross(answer *order.Answer, o order.CrossSign) error {
	issuer, err := cert.Parse(o.Signer.Certificate)
	if err != nil {
		return err
	}
	other, err := cert.Parse(o.Certificate)
	if err != nil {
		return err
	}
	template, err := cert.CrossTemplate(other, issuer, s.number(), o.NotBefore)
	if err != nil {
		return err
	}
	return s.put(answer, template, issuer, o.Signer.Chain())
}

func (s *StandIn) list(answer *order.Answer, o order.SignCRL) error {
	issuer, err := cert.Parse(o.Signer.Certificate)
	if err != nil {
		return err
	}
	key, err := s.linter.throwAway(issuer.PublicKey)
	if err != nil {
		return err
	}
	standIn := *issuer
	standIn.PublicKey = key.Public()
	list := &x509.RevocationList{Number: big.NewInt(o.Number), ThisUpdate: o.Update, NextUpdate: o.Update.Add(o.Life)}
	for _, one := range o.Revoked {
		if serial, ok := new(big.Int).SetString(one.Serial, 16); ok {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
				SerialNumber: serial, RevocationTime: one.Time, ReasonCode: one.Reason.Code(),
			})
		}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, &standIn, key)
	if err != nil {
		return err
	}
	answer.CRL = string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	return nil
}
