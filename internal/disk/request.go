// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

var (
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganization     = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUniqueIdentifier = asn1.ObjectIdentifier{2, 5, 4, 45} // x500UniqueIdentifier
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidServerAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// makeRequest writes a signing request under the key of this name, which is made when there is none of the type asked
// for and never leaves the folder but into bundles. The text follows from key and order alone, so that a repeated order
// gives it again whatever was written in between.
func (f *Folder) makeRequest(o order.MakeRequest) (string, error) {
	if err := checkName(o.Name); err != nil {
		return "", order.Fail("bad-order", "cannot make a request: %v", err)
	}
	key, err := f.requestKey(o)
	if err != nil {
		return "", err
	}
	text, err := requestText(o, key)
	if err != nil {
		return "", order.Fail("bad-order", "cannot make request %s: %v", o.Name, err)
	}
	standing, err := readFile(f.path(requestsName, o.Name+".csr"))
	if err == nil && string(standing) == text {
		return text, nil
	}
	return text, f.write([]byte(text), requestsName, o.Name+".csr")
}

// requestKey gives the key for a request: the one of its name if it is of the type asked for, else a new one.
func (f *Folder) requestKey(o order.MakeRequest) (crypto.Signer, error) {
	if o.NewKey {
		return f.newKey(o)
	}
	_, private, err := f.readKey(o.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamagedKey) {
		return nil, err
	}
	if err == nil && isOfType(private, o.KeyType) {
		return private, nil
	}
	return f.makeKey(o, keysName, o.Name+".key")
}

// newKey gives the key that was made for just this order. It is kept under the order's ID before it becomes the name's,
// so that an order repeated after a crash makes no other.
func (f *Folder) newKey(o order.MakeRequest) (crypto.Signer, error) {
	prefix := o.Name + successorMark
	successor := prefix + string(o.ID())
	_, private, err := f.readKey(successor)
	if err != nil || !isOfType(private, o.KeyType) {
		if private, err = f.makeKey(o, keysName, successor+".key"); err != nil {
			return nil, err
		}
	}
	encoded, err := cert.EncodeKey(private)
	if err != nil {
		return nil, err
	}
	if standing, _, err := f.readKey(o.Name); err != nil || !standing.Equal(encoded) {
		if err := f.write([]byte(encoded.Reveal()), keysName, o.Name+".key"); err != nil {
			return nil, err
		}
	}
	others, err := f.list(keysName, func(name string) bool { return strings.HasPrefix(name, prefix) && name != successor+".key" })
	for _, other := range others {
		err = errors.Join(err, f.do.remove(f.path(keysName, other)))
	}
	return private, err
}

// successorMark stands between a request's name and the ID of the order that a key was made for.
const successorMark = "..next-"

func isOfType(private crypto.Signer, wanted cert.KeyType) bool {
	have, err := cert.KeyTypeOf(private.Public())
	return err == nil && have == wanted
}

func (f *Folder) makeKey(o order.MakeRequest, parts ...string) (crypto.Signer, error) {
	made, err := o.KeyType.Generate(rand.Reader)
	if err != nil {
		return nil, order.Fail("bad-order", "cannot make request %s: %v", o.Name, err)
	}
	encoded, err := cert.EncodeKey(made)
	if err != nil {
		return nil, err
	}
	return made, f.write([]byte(encoded.Reveal()), parts...)
}

var errDamagedKey = errors.New("the key is damaged")

// readKey gives the key of a request name; the error is fs.ErrNotExist or errDamagedKey when there is none to use.
func (f *Folder) readKey(name string) (cert.Key, crypto.Signer, error) {
	path := f.path(keysName, name+".key")
	blob, err := readFile(path)
	if err != nil {
		return cert.Key{}, nil, trouble("read", path, err)
	}
	private, err := cert.ParseKey(cert.NewKey(string(blob)))
	if err != nil {
		return cert.Key{}, nil, errDamagedKey
	}
	return cert.NewKey(string(blob)), private, nil
}

// requestText is the PEM of the request. The order's ID stands in the subject as x500UniqueIdentifier, as the charm
// libraries write one, so that a renewal has another text than its predecessor: providers take equal texts for the same
// request. The signature is deterministic (RFC 6979; PKCS #1 v1.5 is so by itself).
func requestText(o order.MakeRequest, key crypto.Signer) (string, error) {
	template := &x509.CertificateRequest{Subject: requestSubject(o), DNSNames: o.Names.DNS}
	for _, text := range o.Names.IPs {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return "", &cert.NameError{Name: text, Reason: "not an IP address"}
		}
		template.IPAddresses = append(template.IPAddresses, ip.Unmap().AsSlice())
	}
	if usages := usagesOf(o); len(usages) > 0 {
		value, err := asn1.Marshal(usages)
		if err != nil {
			return "", err
		}
		template.ExtraExtensions = []pkix.Extension{{Id: oidExtKeyUsage, Value: value}}
	}
	der, err := x509.CreateCertificateRequest(nil, template, key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// requestSubject has each attribute in a set of its own, in order: pkix.Name would put all organizations into one, which
// has no order.
func requestSubject(o order.MakeRequest) pkix.Name {
	var subject pkix.Name
	add := func(oid asn1.ObjectIdentifier, value any) {
		subject.ExtraNames = append(subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: value})
	}
	for _, organization := range o.Organizations {
		add(oidOrganization, organization)
	}
	if o.CommonName != "" {
		add(oidCommonName, o.CommonName)
	}
	add(oidUniqueIdentifier, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(o.ID())})
	return subject
}

func usagesOf(o order.MakeRequest) []asn1.ObjectIdentifier {
	var usages []asn1.ObjectIdentifier
	if o.Kind == cert.Server || o.Kind == cert.Application {
		usages = append(usages, oidServerAuth)
	}
	if o.Kind == cert.Client || o.ClientAuth {
		usages = append(usages, oidClientAuth)
	}
	return usages
}
