// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// authority is one CA on a server, as an order names it. It is a ca.Elsewhere.
//
// Certificates are made with sign-verbatim: sign/<role> leaves the organizations of a request's subject out, and a kubelet
// without O=system:nodes is nobody. What a role would check, this program has checked by its own policy, which knows who
// asks; a role's own limits of how long certificates last are kept.
type authority struct {
	*server
	at order.Vault
}

// path is where a CA does something: under its issuer where the mount has several.
func (a authority) path(parts ...string) string {
	if a.at.Issuer != "" {
		return path.Join(slices.Concat([]string{a.at.Mount, "issuer", a.at.Issuer}, parts)...)
	}
	return path.Join(append([]string{a.at.Mount}, parts...)...)
}

var (
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNoCheck          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
)

// Accepts says why Vault cannot make a certificate: it copies subject and extensions of a request, those also that a
// certificate must not have.
func (a authority) Accepts(draft ca.Draft) error {
	request, err := cert.ParseRequest(draft.Request)
	if err != nil {
		return order.Fail("bad-order", "%v", err)
	}
	plainText := !slices.ContainsFunc(request.Subject.Names, func(attribute pkix.AttributeTypeAndValue) bool {
		_, ok := attribute.Value.(string)
		return !ok
	})
	if again, err := asn1.Marshal(pkix.Name{ExtraNames: request.Subject.Names}.ToRDNSequence()); err != nil || !plainText || !cert.SameName(again, request.RawSubject) {
		return order.Fail("bad-order", "Vault cannot keep the subject %q as it is, with several attributes in one part or of unusual types: "+
			"make a request with a plain subject", request.Subject)
	}
	if !cert.SameName(request.RawSubject, draft.Wanted.RawSubject) {
		return order.Fail("bad-order", "Vault signs the subject of a request as it is, and %q asks for more than %q: make a request "+
			"without the rest", request.Subject, draft.Wanted.Subject)
	}
	for _, extension := range request.Extensions {
		switch {
		case extension.Id.Equal(oidSubjectAltName), extension.Id.Equal(oidBasicConstraints), extension.Id.Equal(oidNoCheck):
		case extension.Id.Equal(oidKeyUsage) && draft.Spec.Kind == cert.Intermediate: // of which some signs besides
		case !bytes.Equal(extension.Value, cert.Extension(draft.Wanted, extension.Id)):
			return order.Fail("bad-order", "Vault signs the extensions of a request as they are, and %s is not what the certificate may "+
				"have: make a request without it", extensionName(extension.Id))
		}
	}
	return nil
}

func extensionName(id asn1.ObjectIdentifier) string {
	switch {
	case id.Equal(oidKeyUsage):
		return "its key usage"
	case id.Equal(oidExtKeyUsage):
		return "its extended key usage"
	}
	return "its extension " + id.String()
}

// endMargin is how long before its CA a certificate ends that would last as long: Vault refuses what would be later by its
// own clock.
const endMargin = time.Minute

// Certify implements ca.Elsewhere.
func (a authority) Certify(ctx context.Context, draft ca.Draft) (*x509.Certificate, error) {
	life := draft.Wanted.NotAfter.Sub(a.config.Now())
	if !draft.Wanted.NotAfter.Before(draft.Issuer.NotAfter.Add(-endMargin)) {
		life = draft.Issuer.NotAfter.Sub(a.config.Now()) - endMargin
	}
	if life < time.Second {
		return nil, order.Fail("authority-expired", "nothing is left of the life of Vault's CA: run rotate-ca")
	}
	// Unless the common name is kept out of the names, Vault wants it to be a host's.
	body := map[string]any{"csr": draft.Request, "format": "pem", "exclude_cn_from_sans": true, "ttl": fmt.Sprintf("%ds", int64(life/time.Second))}
	at := a.path("sign-verbatim", a.role(draft.Spec.Kind))
	if draft.Spec.Kind == cert.Intermediate {
		at = a.path("root", "sign-intermediate")
		if a.at.Issuer != "" {
			at = a.path("sign-intermediate")
		}
		body["use_csr_values"], body["max_path_length"] = true, draft.Spec.PathLen
		constrain(body, draft.Wanted)
	} else {
		body["key_usage"], body["ext_key_usage"] = keyUsages(draft.Wanted.KeyUsage), extKeyUsages(draft.Wanted.ExtKeyUsage)
	}
	secret, err := a.write(ctx, at, body)
	if err != nil {
		return nil, err
	}
	made, err := cert.Parse(firstBlock(text(secret, "certificate")))
	if err != nil { // it was made
		bad := failed("vault-error", "Vault gives a certificate that cannot be read: %v", err)
		bad.unanswered = true
		return nil, bad
	}
	a.found.note(cert.SerialText(made.SerialNumber))
	return made, nil
}

// role is the role whose limits hold for a kind; empty for none.
func (a authority) role(kind cert.Kind) string {
	if role, found := a.at.Roles[string(kind)]; found {
		return role
	}
	return a.at.Roles[""]
}

// constrain asks for name constraints. Vault before 1.19 knows none but permitted domains, and passes over the others; what
// comes back without them is not used.
func constrain(body map[string]any, wanted *x509.Certificate) {
	ranges := func(member string, list []string) {
		if len(list) > 0 {
			body[member] = strings.Join(list, ",")
		}
	}
	var permitted, excluded []string
	for _, network := range wanted.PermittedIPRanges {
		permitted = append(permitted, network.String())
	}
	for _, network := range wanted.ExcludedIPRanges {
		excluded = append(excluded, network.String())
	}
	ranges("permitted_dns_domains", wanted.PermittedDNSDomains)
	ranges("excluded_dns_domains", wanted.ExcludedDNSDomains)
	ranges("permitted_ip_ranges", permitted)
	ranges("excluded_ip_ranges", excluded)
}

func keyUsages(usage x509.KeyUsage) []string {
	var names []string
	if usage&x509.KeyUsageDigitalSignature != 0 {
		names = append(names, "DigitalSignature")
	}
	if usage&x509.KeyUsageKeyEncipherment != 0 {
		names = append(names, "KeyEncipherment")
	}
	return names
}

func extKeyUsages(usages []x509.ExtKeyUsage) []string {
	var names []string
	for _, usage := range usages {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			names = append(names, "ServerAuth")
		case x509.ExtKeyUsageClientAuth:
			names = append(names, "ClientAuth")
		case x509.ExtKeyUsageOCSPSigning:
			names = append(names, "OCSPSigning")
		}
	}
	return names
}

// Withdraw implements ca.Elsewhere.
func (a authority) Withdraw(ctx context.Context, serial string) error {
	_, err := a.write(ctx, path.Join(a.at.Mount, "revoke"), map[string]any{"serial_number": colons(serial)})
	return err
}

// colons is a serial number as Vault writes it: "0a:1b".
func colons(serial string) string {
	number, ok := new(big.Int).SetString(serial, 16)
	if !ok {
		return serial
	}
	return strings.ReplaceAll(strings.TrimPrefix(fmt.Sprintf("% x", number.Bytes()), " "), " ", ":")
}

// plain is a serial number as this program writes it.
func plain(serial string) string {
	number, ok := new(big.Int).SetString(strings.NewReplacer(":", "", "-", "").Replace(serial), 16)
	if !ok {
		return ""
	}
	return cert.SerialText(number)
}

// strays are the certificates of a server that no record of this program's has: made for somebody else, or for an order
// whose answer was lost. Each is read once.
type strays struct {
	mu   sync.Mutex
	read map[string]bool // by serial number: it is known what it is
	all  []*x509.Certificate
}

func (s *strays) note(serial string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[serial] = true
}

// Find implements ca.Elsewhere. It reads the certificates of the mount that were not seen before, which is long only where a
// mount is shared and this unit's agent has just begun.
func (a authority) Find(ctx context.Context, draft ca.Draft) (*x509.Certificate, error) {
	listed, err := a.list(ctx, path.Join(a.at.Mount, "certs"))
	if refusedBy(err) { // Vault answers 404 where there is none yet
		return nil, nil //nolint:nilnil // there is none, as the interface says
	}
	if err != nil {
		return nil, err
	}
	a.found.mu.Lock()
	defer a.found.mu.Unlock()
	for _, key := range texts(listed, "keys") {
		serial := plain(key)
		if serial == "" || a.found.read[serial] || draft.Known(serial) {
			continue
		}
		secret, err := a.get(ctx, path.Join(a.at.Mount, "cert", key))
		if err != nil && !refusedBy(err) {
			return nil, err
		}
		a.found.read[serial] = true
		if secret == nil || isRevoked(secret) {
			continue
		}
		if one, err := cert.Parse(firstBlock(text(secret, "certificate"))); err == nil {
			a.found.all = append(a.found.all, one)
		}
	}
	at := slices.IndexFunc(a.found.all, func(one *x509.Certificate) bool {
		return cert.IssuedBy(one, draft.Issuer) && cert.SameKey(one.PublicKey, draft.Wanted.PublicKey) &&
			cert.SameName(one.RawSubject, draft.Wanted.RawSubject) && !one.NotBefore.Before(draft.Since.Add(-cert.ClockSlack)) &&
			!draft.Known(cert.SerialText(one.SerialNumber))
	})
	if at < 0 {
		return nil, nil //nolint:nilnil // there is none, as the interface says
	}
	return a.found.all[at], nil
}

func isRevoked(secret *api.Secret) bool {
	at, ok := secret.Data["revocation_time"].(json.Number)
	return ok && at != "0"
}

// firstBlock is the first certificate of a text, with the line end that PEM blocks have here.
func firstBlock(text string) string {
	const end = "-----END CERTIFICATE-----"
	block, _, found := strings.Cut(text, end)
	if !found {
		return text
	}
	return strings.TrimSpace(block) + "\n" + end + "\n"
}
