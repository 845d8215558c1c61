// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

// rootPathLen is that of CAs made here: each vouches for the next, which signs intermediate authorities.
const rootPathLen = 2

// consult tells which CA a place has, and what that has revoked. A mount without a CA has none, which is no failure.
func (a authority) consult(ctx context.Context, answer *order.Answer) error {
	a.keepAlive(ctx)
	found, issuer, err := a.read(ctx)
	if err != nil {
		return err
	}
	answer.Authority = found
	answer.Consulted = order.Consulted{Issuer: issuer, Until: a.lasts()}
	if found.Certificate == "" {
		return nil
	}
	a.at.Issuer = issuer
	answer.Consulted.CRL, err = a.recentCRL(ctx)
	return err
}

// read gives the CA of the place, and the ID of its issuer where the mount has several. Vault before 1.11 knows one CA for
// each mount, and no issuers.
func (a authority) read(ctx context.Context) (cert.Authority, string, error) {
	if a.at.Issuer != "" {
		secret, err := a.get(ctx, a.path("json"))
		if err != nil {
			return cert.Authority{}, "", err
		}
		found, err := readChain(text(secret, "certificate"), texts(secret, "ca_chain"))
		return found, a.at.Issuer, err
	}
	secret, err := a.get(ctx, path.Join(a.at.Mount, "cert", "ca"))
	if absent(err) {
		return cert.Authority{}, "", nil
	}
	if err != nil {
		return cert.Authority{}, "", err
	}
	certificate := text(secret, "certificate")
	if certificate == "" {
		return cert.Authority{}, "", nil
	}
	if a.severalIssuers(ctx) {
		secret, err := a.get(ctx, path.Join(a.at.Mount, "issuer", "default", "json"))
		if err != nil {
			return cert.Authority{}, "", err
		}
		found, err := readChain(text(secret, "certificate"), texts(secret, "ca_chain"))
		return found, text(secret, "issuer_id"), err
	}
	var chain []string
	if secret, err := a.get(ctx, path.Join(a.at.Mount, "cert", "ca_chain")); err == nil {
		chain = blocks(text(secret, "certificate"))
	} else if !refusedBy(err) {
		return cert.Authority{}, "", err
	}
	found, err := readChain(certificate, chain)
	return found, "", err
}

// severalIssuers reports whether mounts of this server have several CAs. Who may not ask is taken to see only one.
func (a authority) severalIssuers(ctx context.Context) bool {
	a.mu.Lock()
	known := a.issuers
	a.mu.Unlock()
	if known != nil {
		return *known
	}
	_, err := a.get(ctx, path.Join(a.at.Mount, "issuer", "default", "json"))
	var bad *trouble
	if err != nil && (!errors.As(err, &bad) || !bad.token && bad.Code != "vault-refused" && bad.Code != "vault-mount") {
		return false // not known
	}
	several := err == nil
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issuers = &several
	return several
}

// absent reports whether Vault says that a mount has no CA.
func absent(err error) bool {
	var bad *trouble
	return errors.As(err, &bad) && (bad.Code == "vault-refused" && bad.status == http.StatusNotFound || bad.Code == "vault-empty")
}

// readChain puts the certificates of a CA and of those above it in order.
func readChain(certificate string, chain []string) (cert.Authority, error) {
	leaf, err := cert.Parse(firstBlock(certificate))
	if err != nil {
		return cert.Authority{}, failed("vault-error", "Vault gives a CA certificate that cannot be read: %v", err)
	}
	var pool []*x509.Certificate
	for _, text := range chain {
		if parsed, err := cert.ParseCertificates(text); err == nil {
			pool = append(pool, parsed...)
		}
	}
	found := cert.Authority{Certificate: cert.EncodeCertificates(leaf)}
	for _, above := range cert.Issuers(leaf, pool) {
		found.Issuers = append(found.Issuers, cert.EncodeCertificates(above))
	}
	return found, nil
}

// blocks takes a text of several certificates apart.
func blocks(text string) []string {
	parsed, err := cert.ParseCertificates(text)
	if err != nil {
		return nil
	}
	var found []string
	for _, one := range parsed {
		found = append(found, cert.EncodeCertificates(one))
	}
	return found
}

// listLife is how long a revocation list is taken for the newest: others may revoke in Vault as well, but it may be long, and
// turns may be many.
const listLife = time.Minute

// fetched is a revocation list, and when it was read.
type fetched struct {
	text string
	at   time.Time
}

// recentCRL gives the revocation list of the CA as it was less than listLife ago.
func (a authority) recentCRL(ctx context.Context) (string, error) {
	a.mu.Lock()
	known, found := a.lists[a.path()]
	a.mu.Unlock()
	if age := a.config.Now().Sub(known.at); found && age >= 0 && age < listLife {
		return known.text, nil
	}
	return a.crl(ctx)
}

// crl gives the revocation list of the CA; empty where Vault makes none. Vault lets one expire unless it is asked for another
// (auto_rebuild is off, or not known), so it is asked when half of a list's life is over.
func (a authority) crl(ctx context.Context) (string, error) {
	list, err := a.readCRL(ctx)
	if parsed := cert.ParseCRL(list); err == nil && parsed != nil {
		if half := parsed.ThisUpdate.Add(parsed.NextUpdate.Sub(parsed.ThisUpdate) / 2); a.config.Now().After(half) {
			return a.rotateCRL(ctx, list)
		}
	}
	return list, err
}

// rotateCRL has a new list made, where that is allowed; else the standing one stays.
func (a authority) rotateCRL(ctx context.Context, standing string) (string, error) {
	if _, err := a.get(ctx, path.Join(a.at.Mount, "crl", "rotate")); err != nil {
		return standing, nil //nolint:nilerr // the list is good until it ends, which its readers see
	}
	return a.readCRL(ctx)
}

func (a authority) readCRL(ctx context.Context) (list string, err error) {
	defer func() {
		if err == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.lists[a.path()] = fetched{list, a.config.Now()}
		}
	}()
	at, member := path.Join(a.at.Mount, "cert", "crl"), "certificate"
	if a.at.Issuer != "" {
		at, member = a.path("crl"), "crl"
	}
	secret, err := a.get(ctx, at)
	if refusedBy(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode([]byte(text(secret, member)))
	if block == nil {
		return "", nil
	}
	return string(pem.EncodeToMemory(block)), nil
}

// create has a root made. A mount that has a CA already keeps it: before 1.11 Vault would put the new one in its place.
func (a authority) create(ctx context.Context, o order.CreateAuthority, answer *order.Answer) error {
	if err := a.free(ctx); err != nil {
		return err
	}
	body, err := subject(cert.Subject{CommonName: o.CommonName, Organizations: o.Organizations}, o.KeyType)
	if err != nil {
		return err
	}
	body["ttl"] = fmt.Sprintf("%ds", int64(o.Life/time.Second))
	body["max_path_length"] = rootPathLen
	secret, err := a.write(ctx, path.Join(a.at.Mount, "root", "generate", "internal"), body)
	if err != nil {
		return err
	}
	certificate := text(secret, "certificate")
	if certificate == "" {
		return failed("vault-refused", "Vault makes no root at %s: %s", a.at.Mount, warnings(secret))
	}
	answer.Authority, err = readChain(certificate, nil)
	answer.Authority.Generation = o.Generation
	a.introduce(ctx, text(secret, "issuer_id"), answer)
	return err
}

// introduce tells of a CA that is new at the place what a consultation would. That its list cannot be read is said by the next
// one.
func (a authority) introduce(ctx context.Context, issuer string, answer *order.Answer) {
	a.at.Issuer = issuer
	list, err := a.crl(ctx)
	if err != nil {
		list = ""
	}
	answer.Consulted = order.Consulted{Issuer: issuer, CRL: list}
}

// free reports why a mount cannot be given another CA.
func (a authority) free(ctx context.Context) error {
	bare := a
	bare.at.Issuer = ""
	found, _, err := bare.read(ctx)
	if err != nil {
		return err
	}
	if found.Certificate != "" && !a.severalIssuers(ctx) {
		return failed("vault-taken", "the mount %s has a CA, and this Vault (before 1.11) knows one for each mount: "+
			"mount another PKI engine and set vault-mount to it", a.at.Mount)
	}
	return nil
}

// request has a key made, and gives the request for another CA to sign.
func (a authority) request(ctx context.Context, o order.RequestAuthority, answer *order.Answer) error {
	if err := a.free(ctx); err != nil {
		return err
	}
	body, err := subject(o.Subject, o.KeyType)
	if err != nil {
		return err
	}
	body["add_basic_constraints"] = true
	secret, err := a.write(ctx, path.Join(a.at.Mount, "intermediate", "generate", "internal"), body)
	if err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(text(secret, "csr")))
	if block == nil {
		return failed("vault-error", "Vault makes no request at %s: %s", a.at.Mount, warnings(secret))
	}
	answer.Request = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: block.Bytes}))
	if request, err := cert.ParseRequest(answer.Request); err != nil || cert.CheckRequest(request) != nil {
		return failed("vault-error", "Vault makes a request that nobody would sign at %s", a.at.Mount)
	}
	return nil
}

// subject is what Vault is told of a CA to be made.
func subject(subject cert.Subject, keyType cert.KeyType) (map[string]any, error) {
	body := map[string]any{
		"common_name": subject.CommonName, "format": "pem", "exclude_cn_from_sans": true,
	}
	if len(subject.Organizations) > 0 {
		body["organization"] = subject.Organizations
	}
	for member, value := range map[string]string{
		"ou": subject.Unit, "country": subject.Country, "province": subject.Province, "locality": subject.Locality,
	} {
		if value != "" {
			body[member] = value
		}
	}
	algorithm, bits, found := strings.Cut(string(keyType), "-")
	number, err := strconv.Atoi(strings.TrimPrefix(bits, "p"))
	if !found || err != nil {
		return nil, order.Fail("bad-order", "%q is no type of key", keyType)
	}
	body["key_bits"], body["key_type"] = number, algorithm
	if algorithm == "ecdsa" {
		body["key_type"] = "ec"
	}
	return body, nil
}

// install takes the certificate of a CA up whose request was made at the place. Where a mount has several CAs it is found
// again among them, whichever Vault takes for the default.
func (a authority) install(ctx context.Context, o order.InstallAuthority, answer *order.Answer) error {
	bundle := strings.Join(append([]string{o.Certificate}, o.Issuers...), "")
	secret, err := a.write(ctx, path.Join(a.at.Mount, "intermediate", "set-signed"), map[string]any{"certificate": bundle})
	if err != nil {
		return err
	}
	places := append(texts(secret, "imported_issuers"), texts(secret, "existing_issuers")...)
	if len(places) == 0 {
		places = []string{""}
	}
	for _, place := range places {
		one := a
		one.at.Issuer = place
		found, issuer, err := one.read(ctx)
		if err != nil {
			return err
		}
		if keys, mapped := secret.Data["mapping"].(map[string]any); mapped && found.Certificate == o.Certificate && keys[place] == "" {
			return failed("vault-refused", "Vault has no key for the certificate of the CA at %s: it is of another request", a.at.Mount)
		}
		if found.Certificate == o.Certificate {
			found.Generation = o.Generation
			answer.Authority = found
			a.introduce(ctx, issuer, answer)
			return nil
		}
	}
	return failed("vault-error", "Vault took the certificate of the CA at %s, but shows another one", a.at.Mount)
}

// revoke has certificates put on the revocation list, and gives it. What Vault does not know is not on it, and need not be:
// it signed no such certificate, or that has ended.
func (a authority) revoke(ctx context.Context, o order.Revoke, answer *order.Answer) error {
	for _, serial := range o.Serials {
		_, err := a.write(ctx, path.Join(a.at.Mount, "revoke"), map[string]any{"serial_number": colons(serial)})
		if err != nil && !refusedBy(err) {
			return err
		}
	}
	list, err := a.crl(ctx)
	if err != nil {
		return err
	}
	if !listed(list, o.Serials) { // Vault may make lists later, by itself (auto_rebuild): it can be asked to do it now
		if list, err = a.rotateCRL(ctx, list); err != nil {
			return err
		}
	}
	answer.Consulted.CRL = list
	return nil
}

// listed reports whether a revocation list has all these serial numbers.
func listed(list string, serials []string) bool {
	parsed := cert.ParseCRL(list)
	if parsed == nil {
		return false
	}
	has := map[string]bool{}
	for _, entry := range parsed.RevokedCertificateEntries {
		has[cert.SerialText(entry.SerialNumber)] = true
	}
	return !slices.ContainsFunc(serials, func(serial string) bool { return !has[serial] })
}

// warnings are what Vault says beside an answer.
func warnings(secret *api.Secret) string {
	if secret == nil || len(secret.Warnings) == 0 {
		return "it does not say why"
	}
	return strings.Join(secret.Warnings, "; ")
}
